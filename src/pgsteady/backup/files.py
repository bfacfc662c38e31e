"""A whole database into a file and back, with PostgreSQL's own programs."""

from __future__ import annotations

import contextlib
import os
import re
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from sqlalchemy import text

from pgsteady.connection import connect
from pgsteady.errors import PgSteadyError
from pgsteady.server import client
from pgsteady.url import DatabaseUrl

FORMATS = {".sql": "plain", ".dump": "custom"}
_PORTABLE = ("--no-owner", "--no-privileges")
_WHERE = {"PGHOST", "PGHOSTADDR", "PGPORT", "PGUSER", "PGPASSWORD", "PGDATABASE", "PGSERVICE"}
_CUSTOM_MAGIC = b"PGDMP"
_PLAIN_HEADER = b"-- PostgreSQL database dump"
_PLAIN_TRAILER = b"-- PostgreSQL database dump complete"
_TRAILER_BYTES = 400
"""The trailer ends a plain dump, but for one short line that newer pg_dump adds."""

_EXTENSION_COMMENT = b"COMMENT ON EXTENSION "
"""Only an extension's owner may set it, and the extension came with it."""
_COPY_BEGINS = re.compile(rb"COPY .* FROM stdin;\n")
_COPY_ENDS = b"\\.\n"

_NOT_OF_AN_EXTENSION = (
    "NOT EXISTS (SELECT FROM pg_depend d WHERE d.objid = o.oid AND d.deptype = 'e')"
)
TABLES = f"""
    SELECT o.oid::regclass::text FROM pg_class o JOIN pg_namespace n ON n.oid = o.relnamespace
    WHERE o.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname !~ '^(pg_|information_schema$)'
    AND {_NOT_OF_AN_EXTENSION} ORDER BY 1
"""  # noqa: S608 - constants only
_EMPTY = f"""
DO $$
DECLARE drop_it text;
BEGIN
  FOR drop_it IN
    SELECT format('DROP SCHEMA %I CASCADE', o.nspname) FROM pg_namespace o
    WHERE o.nspname !~ '^(pg_|information_schema$|public$)' AND {_NOT_OF_AN_EXTENSION}
    UNION ALL
    SELECT format('DROP %s IF EXISTS %s CASCADE',
      CASE o.relkind WHEN 'v' THEN 'VIEW' WHEN 'm' THEN 'MATERIALIZED VIEW'
        WHEN 'S' THEN 'SEQUENCE' WHEN 'f' THEN 'FOREIGN TABLE' WHEN 'c' THEN 'TYPE'
        ELSE 'TABLE' END, 'public.' || quote_ident(o.relname))
    FROM pg_class o WHERE o.relnamespace = 'public'::regnamespace
      AND o.relkind IN ('r', 'p', 'v', 'm', 'S', 'f', 'c') AND {_NOT_OF_AN_EXTENSION}
    UNION ALL
    SELECT format('DROP ROUTINE IF EXISTS %s CASCADE', o.oid::regprocedure)
    FROM pg_proc o WHERE o.pronamespace = 'public'::regnamespace AND {_NOT_OF_AN_EXTENSION}
    UNION ALL
    SELECT format('DROP TYPE IF EXISTS public.%I CASCADE', o.typname)
    FROM pg_type o WHERE o.typnamespace = 'public'::regnamespace
      AND o.typtype IN ('e', 'd', 'r') AND {_NOT_OF_AN_EXTENSION}
  LOOP
    EXECUTE drop_it;
  END LOOP;
END $$;
"""  # noqa: S608 - constants only


def dump(database: DatabaseUrl, file: Path) -> None:
    """Write the database to ``file``: plain SQL for ``.sql``, pg_dump's format for ``.dump``.

    Owners and grants are left out, so that any role can load it. The file appears
    when it is complete, or not at all.

    Raises:
        PgSteadyError: another suffix, no such folder, or pg_dump failed.
        EnvironmentFault: the database cannot be reached.
    """
    if file.suffix not in FORMATS:
        raise PgSteadyError(f"{file}: the name must end in .sql (plain SQL) or .dump (compressed).")
    if not file.parent.is_dir():
        raise PgSteadyError(f"There is no folder {file.parent}.")
    unfinished = file.with_name(f".{file.name}.{os.getpid()}")
    command = [str(client_for("pg_dump", database)), f"--format={FORMATS[file.suffix]}"]
    try:
        run = subprocess.run(
            [*command, *_PORTABLE, f"--file={unfinished}"],
            check=False,
            env=environment(database),
            capture_output=True,
            text=True,
        )
        if run.returncode != 0:
            raise PgSteadyError(f"pg_dump failed: {tail(run.stderr)}")
        with unfinished.open("rb") as written:
            os.fsync(written.fileno())
        unfinished.replace(file)
    finally:
        unfinished.unlink(missing_ok=True)


def load(database: DatabaseUrl, file: Path, *, replace: bool = False) -> None:
    """Load what :func:`dump` or pg_dump wrote, in one transaction.

    Whatever fails, and whenever the program is killed, the database stays as it
    was. With ``replace``, what it holds is dropped in that same transaction.

    Raises:
        PgSteadyError: the database has tables and ``replace`` was not given, the
            file is damaged, or the database refused a statement.
        EnvironmentFault: the database cannot be reached.
    """
    custom = _is_custom(file)  # before anything else: is it whole?
    with connect(database) as connection:
        tables = connection.scalars(text(TABLES)).all()
    if tables and not replace:
        named = ", ".join(tables[:5]) + (" …" if len(tables) > 5 else "")
        raise PgSteadyError(
            f"The database has tables already: {named}.",
            hint="Load into an empty database, or say --replace to drop everything in it first.",
        )
    with tempfile.TemporaryFile() as complaints:
        psql = subprocess.Popen(
            [client_for("psql", database), "--no-psqlrc", "--quiet", "--set=ON_ERROR_STOP=1"],
            stdin=subprocess.PIPE,
            stdout=subprocess.DEVNULL,
            stderr=complaints,
            env=environment(database),
        )
        with contextlib.suppress(BrokenPipeError), psql:  # psql stops at an error and says which
            assert psql.stdin is not None  # noqa: S101 - a pipe, as asked for
            psql.stdin.writelines(_script(database, file, custom=custom, replace=replace))
        if psql.returncode != 0:
            complaints.seek(0)
            raise PgSteadyError(
                f"Nothing was loaded: {tail(complaints.read().decode(errors='replace'))}",
                hint="What refers to roles of another server loads if pg_dump wrote it with "
                "--no-owner --no-privileges.",
            )


def environment(database: DatabaseUrl) -> dict[str, str]:
    """Return our environment, in which libpq finds ``database`` and no other."""
    kept = {name: value for name, value in os.environ.items() if name not in _WHERE}
    return kept | database.libpq_env()


def client_for(name: str, database: DatabaseUrl) -> Path:
    """Return the client program that fits the database's server.

    Raises:
        EnvironmentFault: the database cannot be reached.
    """
    with connect(database) as connection:
        version: int = connection.scalars(
            text("SELECT current_setting('server_version_num')::int")
        ).one()
    return client(name, version // 10_000)


def _script(database: DatabaseUrl, file: Path, *, custom: bool, replace: bool) -> Iterator[bytes]:
    """Yield what psql is to run: one transaction that only its complete end commits.

    A reader who is killed, or a damaged file, ends it early; psql then rolls back.
    """
    yield b"BEGIN;\n"
    if replace:
        yield _EMPTY.encode()
    in_data = False
    for line in _restored(database, file) if custom else _lines(file):
        if in_data or not line.startswith(_EXTENSION_COMMENT):
            yield line
        in_data = line != _COPY_ENDS if in_data else bool(_COPY_BEGINS.fullmatch(line))
    yield b"\nCOMMIT;\n"


def _lines(file: Path) -> Iterator[bytes]:
    with file.open("rb") as lines:
        yield from lines


def _restored(database: DatabaseUrl, file: Path) -> Iterator[bytes]:
    """Yield the SQL that a dump in pg_dump's own format stands for."""
    with tempfile.TemporaryFile() as complaints:
        restore = subprocess.Popen(
            [client_for("pg_restore", database), *_PORTABLE, "--file=-", file],
            stdout=subprocess.PIPE,
            stderr=complaints,
        )
        with restore:
            assert restore.stdout is not None  # noqa: S101 - a pipe, as asked for
            yield from restore.stdout
        if restore.returncode != 0:
            complaints.seek(0)
            raise PgSteadyError(
                f"{file} is damaged: {tail(complaints.read().decode(errors='replace'))}"
            )


def _is_custom(file: Path) -> bool:
    """Tell pg_dump's own format from SQL, and refuse SQL that breaks off."""
    if not file.is_file():
        raise PgSteadyError(f"There is no file {file}.")
    with file.open("rb") as opened:
        start = opened.read(_TRAILER_BYTES)
        opened.seek(max(0, file.stat().st_size - _TRAILER_BYTES))
        end = opened.read()
    if _PLAIN_HEADER in start and _PLAIN_TRAILER not in end:
        raise PgSteadyError(f"{file} breaks off before its end.", hint="Dump it again.")
    return start.startswith(_CUSTOM_MAGIC)


def tail(complaints: str) -> str:
    """Return the end of what a program complained of."""
    return "\n".join(complaints.strip().splitlines()[-4:])
