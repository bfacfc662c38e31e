"""``nano-os db``: the database itself."""

from __future__ import annotations

import typer

app = typer.Typer(no_args_is_help=True, help="The database: where it is, and a way in.")
