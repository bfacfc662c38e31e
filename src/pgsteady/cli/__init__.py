"""The command ``python -m pgsteady``, for any project on Alembic and PostgreSQL.

Exit codes: 0 done or nothing found, 1 findings or failure, 2 wrong usage, 3 the
environment. Each command is a module with a function ``run`` that returns the exit code.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pgsteady.cli.audit import audit
from pgsteady.cli.catalog import catalog
from pgsteady.cli.check import check
from pgsteady.cli.doctor import doctor
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


app.command()(audit)
app.command()(catalog)
app.command()(check)
app.command()(doctor)
app.command()(status)


def main() -> None:
    """Run ``python -m pgsteady``; an error of ours is one clear message and its exit code."""
    try:
        app(prog_name="python -m pgsteady")
    except PgSteadyError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(ENVIRONMENT if isinstance(error, EnvironmentFault | UrlError) else FAILURE)
