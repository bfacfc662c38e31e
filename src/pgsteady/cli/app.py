"""The command ``python -m pgsteady``, for any project on Alembic and PostgreSQL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pgsteady.cli.audit import audit
from pgsteady.cli.catalog import catalog
from pgsteady.cli.check import check
from pgsteady.cli.doctor import doctor
from pgsteady.cli.lint import lint
from pgsteady.cli.status import status
from pgsteady.errors import EnvironmentFault, PgSteadyError, UrlError

FAILURE, ENVIRONMENT = 1, 3

app = typer.Typer(
    name="pgsteady",
    help="What is true of a database, and what a change would do to it.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
)


@app.callback()
def remember(
    context: typer.Context,
    ini: Annotated[Path, typer.Option("-c", "--config", help="The project's alembic.ini.")] = Path(
        "alembic.ini"
    ),
) -> None:
    """Note which project is meant."""
    context.obj = ini


for command in (status, check, doctor, lint, audit, catalog):
    app.command()(command)


def main() -> None:
    """Run ``python -m pgsteady``; an error of ours is one clear message and its exit code."""
    try:
        app(prog_name="python -m pgsteady")
    except PgSteadyError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(ENVIRONMENT if isinstance(error, EnvironmentFault | UrlError) else FAILURE)
