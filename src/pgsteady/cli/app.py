"""The command ``python -m pgsteady``, for any project on Alembic and PostgreSQL."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer

from pgsteady.cli.commands import Commands
from pgsteady.cli.source import Source
from pgsteady.errors import (
    EnvironmentFault,
    PgSteadyError,
    RevisionUnknown,
    UrlError,
    WrongAllowance,
    WrongDeclaration,
)

FAILURE, USAGE, ENVIRONMENT = 1, 2, 3

app = typer.Typer(
    name="pgsteady",
    cls=Commands,
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
    context.obj = Source(ini)


def main() -> None:
    """Run ``python -m pgsteady``; an error of ours is one clear message and its exit code."""
    try:
        app(prog_name="python -m pgsteady")
    except PgSteadyError as error:
        sys.stderr.write(f"Error: {error}\n")
        sys.exit(exit_code(error))
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)


def exit_code(error: PgSteadyError) -> int:
    """Return what ``error`` makes the program end with."""
    if isinstance(error, RevisionUnknown | WrongAllowance | WrongDeclaration):
        return USAGE
    return ENVIRONMENT if isinstance(error, EnvironmentFault | UrlError) else FAILURE
