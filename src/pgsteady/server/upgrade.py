"""Moving a cluster to a newer major version of PostgreSQL."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import NamedTuple

from psycopg2 import sql

from pgsteady.errors import ClusterError
from pgsteady.server.cluster import SUPERUSER, Cluster, tail

_TABLES = """
    SELECT n.nspname, c.relname FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind = 'r' AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY 1, 2
"""
_VALID_INDEXES = """
    SELECT i.indexrelid::regclass::text FROM pg_index i JOIN pg_class c ON c.oid = i.indexrelid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE i.indisvalid AND n.nspname !~ '^(pg_|information_schema$)' ORDER BY 1
"""


class _Contents(NamedTuple):
    """What one database holds: rows by table, and its valid indexes."""

    rows: dict[str, int]
    indexes: list[str]


def upgrade(old: Cluster, new: Cluster, settings: Mapping[str, str] | None = None) -> None:
    """Copy all that ``old`` holds into ``new``, which is made, and verify the copy.

    ``old`` is left as it is. Both are stopped afterwards. Every process at work
    holds the lock of ``new``, so that evicting it ends what a kill leaves behind.

    Raises:
        ClusterError: pg_upgrade refused, or the copy differs.
    """
    old.start(settings)  # which also recovers it from a crash; pg_upgrade wants it clean
    before = _inventory(old)
    old.stop()
    new.create(password=old.password)
    _pg_upgrade(old, new)
    new.start(settings)
    try:
        for database in _databases(new):
            _refresh(new, database)
        if (after := _inventory(new)) != before:
            raise ClusterError(f"The upgraded copy differs. Before: {before}; after: {after}")
    finally:
        new.stop()


def _pg_upgrade(old: Cluster, new: Cluster) -> None:
    account = old.account
    # pg_upgrade hands paths to a shell and puts a socket beside them: give it plain, short ones.
    workplace = Path(tempfile.mkdtemp(prefix="pgsteady-upgrade-", dir="/tmp"))
    try:
        account.own(workplace)
        command = [str(new.programs(account).program("pg_upgrade")), f"--username={SUPERUSER}"]
        for name, cluster in (("old", old), ("new", new)):
            programs, data = workplace / f"{name}-programs", workplace / f"{name}-data"
            programs.symlink_to(cluster.programs(account).root)
            data.symlink_to(cluster.data)
            command += [f"--{name}-bindir={programs / 'bin'}", f"--{name}-datadir={data}"]
        with old.lock.held() as old_lock, new.lock.held() as new_lock:
            run = account.run(
                [*command, f"--socketdir={workplace}"],
                environment={"PGPASSWORD": old.password},
                folder=workplace,
                keep_open=[old_lock, new_lock],
            )
        if run.returncode != 0:
            reports = (new.data / "pg_upgrade_output.d").rglob("*.txt")  # lists what is in the way
            said = [tail(run.stdout, lines=20), *(tail(file.read_text()) for file in reports)]
            raise ClusterError("\n".join(["pg_upgrade failed:", *said]))
    finally:
        shutil.rmtree(workplace)


def _databases(cluster: Cluster) -> list[str]:
    with cluster.session() as cursor:
        cursor.execute("SELECT datname FROM pg_database WHERE datallowconn ORDER BY 1")
        return [name for (name,) in cursor]


def _inventory(cluster: Cluster) -> dict[str, _Contents]:
    return {database: _contents(cluster, database) for database in _databases(cluster)}


def _contents(cluster: Cluster, database: str) -> _Contents:
    rows = {}
    with cluster.session(database) as cursor:
        cursor.execute(_TABLES)
        for schema, table in cursor.fetchall():
            name = sql.Identifier(schema, table)
            cursor.execute(sql.SQL("SELECT count(*) FROM ONLY {}").format(name))
            ((rows[f"{schema}.{table}"],),) = cursor.fetchall()
        cursor.execute(_VALID_INDEXES)
        return _Contents(rows, [name for (name,) in cursor])


def _refresh(cluster: Cluster, database: str) -> None:
    """Bring the extensions to the version that the new programs ship, and the statistics up."""
    with cluster.session(database) as cursor:
        cursor.execute("SELECT extname FROM pg_extension")
        for (name,) in cursor.fetchall():
            cursor.execute(sql.SQL("ALTER EXTENSION {} UPDATE").format(sql.Identifier(name)))
        cursor.execute("ANALYZE")
