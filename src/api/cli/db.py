"""``nano-os db``: where the database is, the ways into it, and the commands of pgsteady."""

from __future__ import annotations

import json
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Annotated, Any

import typer

from api.cli.output import Json, err, out, print_json
from pgsteady.cli.commands import Commands
from pgsteady.cli.source import Source

app = typer.Typer(
    cls=Commands,
    no_args_is_help=True,
    help="The database: where it is, the ways into it, and changes of its schema.",
)


@app.callback()
def remember(context: typer.Context) -> None:
    """Note which project the commands of pgsteady are about: this one."""
    from api import embedded
    from api.settings import PROJECT_ROOT

    context.obj = Source(PROJECT_ROOT / "alembic.ini", embedded.join)


@app.command("url")
def show_url(
    psql: Annotated[bool, typer.Option("--psql", help="As psql and pg_dump read it.")] = False,
    as_json: Json = False,
) -> None:
    """Print the database's URL, password included, and say which source named it.

    The embedded database then runs until `nano-os db stop`, so that the URL stays good.
    """
    from api import embedded
    from api.db import database_url

    where = database_url()
    kept = embedded.keep()
    url = where.libpq() if psql else where.url.render_as_string(hide_password=False)
    if as_json:
        print_json({"url": url, "source": where.source})
        return
    until = "; it runs until `nano-os db stop`" if kept else ""
    err.print(f"From {where.source}{until}.", markup=False)
    sys.stdout.write(f"{url}\n")


@app.command()
def shell() -> None:
    """Open psql on the database."""
    import signal
    import subprocess

    from api.db import database_url
    from pgsteady import backup

    where = database_url()
    program = backup.client_for("psql", where)
    # psql is our child, for we hold the embedded server; Ctrl-C is for psql alone.
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    run = subprocess.run([program], check=False, env=backup.environment(where))
    raise typer.Exit(run.returncode)


@app.command()
def sql(
    statement: Annotated[str, typer.Argument(metavar="SQL", help="One statement that only reads.")],
    bare: Annotated[bool, typer.Option("-t", help="Bare rows, columns apart by tabs.")] = False,
    as_json: Json = False,
) -> None:
    """Run one reading statement and print its rows."""
    import asyncio

    columns, rows = asyncio.run(_read(statement))
    if as_json:
        print_json([dict(zip(columns, row, strict=True)) for row in rows])
    elif bare:
        for row in rows:
            sys.stdout.write("\t".join(map(_text, row)) + "\n")
    else:
        _print_table(columns, rows)


@app.command()
def dump(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="….sql (plain SQL) or ….dump (compressed).")
    ],
) -> None:
    """Write the whole database to a file, which appears complete or not at all."""
    from api.db import database_url
    from pgsteady import backup

    backup.dump(database_url(), file)
    out.print(f"Wrote {file}.", markup=False)


@app.command()
def load(
    file: Annotated[
        Path, typer.Argument(metavar="FILE", help="What `nano-os db dump` or pg_dump wrote.")
    ],
    replace: Annotated[
        bool, typer.Option("--replace", help="First drop everything the database holds.")
    ] = False,
) -> None:
    """Load a file into the database: all of it, or nothing."""
    from api.db import database_url
    from pgsteady import backup

    backup.load(database_url(), file, replace=replace)
    out.print(f"Loaded {file}.", markup=False)


@app.command()
def stop() -> None:
    """Stop the embedded database, whoever uses it; the next command starts it again."""
    from api import embedded

    out.print("Stopped." if embedded.stop() else "It was not running.")


@app.command("upgrade-server")
def upgrade_server(as_json: Json = False) -> None:
    """Move the embedded database to the newest PostgreSQL that is bundled.

    The old cluster is kept. Interrupted at any moment, the database is the old one or the new.
    """
    from api import embedded

    done = embedded.upgrade_server()
    if as_json:
        print_json(done._asdict())
    elif done.kept is None:
        out.print(f"The server is already PostgreSQL {done.new_major}.")
    else:
        out.print(f"Moved from PostgreSQL {done.old_major} to {done.new_major}.")
        out.print(
            f"The old cluster is kept in {done.kept}; remove it when you no longer need it.",
            markup=False,
        )


async def _read(statement: str) -> tuple[list[str], Sequence[Sequence[Any]]]:
    """Run one statement that cannot write: the server itself sees to both.

    asyncpg's protocol takes a single statement. Once a transaction that is READ
    ONLY has read something, PostgreSQL does not let it become READ WRITE.
    """
    from asyncpg import PostgresSyntaxError, ReadOnlySQLTransactionError
    from sqlalchemy.exc import DBAPIError

    from api.db import connection, make_engine
    from api.errors import PlatformError, WrongUsage

    engine = make_engine()
    try:
        async with connection(engine) as reading:
            await reading.execution_options(postgresql_readonly=True)
            await reading.exec_driver_sql("SELECT 1")
            result = await reading.exec_driver_sql(statement)
            if not result.returns_rows:
                return [], []
            return list(result.keys()), result.fetchall()
    except DBAPIError as error:
        cause = error.orig.__cause__ if error.orig else None
        if isinstance(cause, ReadOnlySQLTransactionError):
            raise WrongUsage(f"`db sql` only reads: {cause}. To write, use `db shell`.") from error
        if isinstance(cause, PostgresSyntaxError) and "multiple commands" in str(cause):
            raise WrongUsage("`db sql` runs one statement; for several, use `db shell`.") from error
        raise PlatformError(str(cause or error.orig)) from error
    finally:
        await engine.dispose()


def _print_table(columns: Sequence[str], rows: Sequence[Sequence[Any]]) -> None:
    from rich import box
    from rich.table import Table
    from rich.text import Text

    table = Table(box=box.SIMPLE_HEAD)
    for column in columns:
        table.add_column(Text(column))
    for row in rows:
        table.add_row(*(Text(_text(value)) for value in row))
    out.print(table)
    err.print(f"{len(rows)} row{'' if len(rows) == 1 else 's'}")


def _text(value: Any) -> str:
    """Show a value as psql would, near enough; NULL is empty."""
    if value is None:
        return ""
    if isinstance(value, bool):
        return "t" if value else "f"
    if isinstance(value, list | dict):
        return json.dumps(value, default=str, ensure_ascii=False)
    return str(value)
