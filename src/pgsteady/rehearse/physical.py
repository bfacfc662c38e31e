"""A copy of a whole server, block by block, by PostgreSQL's own pg_basebackup.

It is what the live server is: bloat, statistics, every role. It takes the right to
replicate, and room for every database of the server.
"""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from sqlalchemy import Row, text

from pgsteady.backup.files import environment
from pgsteady.catalog import quoted
from pgsteady.connection import connect
from pgsteady.errors import RehearsalFailed
from pgsteady.progress import Progress
from pgsteady.server import BUNDLED_MAJORS, Cluster, private_server
from pgsteady.server.cluster import tail
from pgsteady.server.private import SETTINGS
from pgsteady.url import DatabaseUrl

_SERVER = text("""
    SELECT current_setting('server_version_num')::int / 10000 AS major,
        current_setting('wal_level') AS wal_level,
        current_setting('max_wal_senders')::int AS senders,
        current_setting('max_prepared_transactions') AS prepared,
        (SELECT rolreplication OR rolsuper FROM pg_roles WHERE rolname = current_user) AS may,
        (SELECT rolname::text FROM pg_roles WHERE oid = 10) AS superuser,
        (SELECT count(*) FROM pg_tablespace) > 2 AS tablespaces,
        (SELECT datlocprovider = 'i' FROM pg_database WHERE datname = current_database()) AS icu,
        (SELECT sum(pg_database_size(oid))::bigint FROM pg_database
            WHERE has_database_privilege(oid, 'CONNECT')) AS bytes
""")

_HARMLESS = {"max_logical_replication_workers": "0"}
"""A copy has the subscriptions too, and would take what is meant for the live server."""


@contextmanager
def physical_copy(database: DatabaseUrl, progress: Progress) -> Iterator[DatabaseUrl]:
    """Copy the server that ``database`` is on, and start the copy as our own.

    It archives nothing, follows nobody, and listens only to us. Yields the database as it
    stands there, as superuser.

    Raises:
        RehearsalFailed: the role may not replicate, or the server cannot be run here.
        ClusterError: the copy does not come up.
    """
    with connect(database) as live, live.begin():
        server = live.execute(_SERVER).one()
    _suitable(server, database)
    with private_server(server.major, room_bytes=2 * server.bytes) as cluster:
        cluster.stop()
        with progress.step("Copying the server"):
            _copy(database, cluster)
        trust = cluster.data / "pg_hba.conf"
        trust.write_text("local all all trust\n")  # the socket lies in a folder that is ours
        for configured in ("postgresql.conf", "postgresql.auto.conf"):
            (cluster.data / configured).write_text("")
        cluster.start(SETTINGS | _HARMLESS | {"max_prepared_transactions": server.prepared})
        url = database.url.set(host=None, port=cluster.port, username=server.superuser)
        url = url.set(password="", query={"host": str(cluster.socket_folder)})
        yield DatabaseUrl(url, "the copied server")


def _suitable(server: Row[Any], database: DatabaseUrl) -> None:
    """Refuse what cannot be copied, or would not run here."""
    user = quoted(str(database.url.username))
    obstacles = (
        (
            not server.may,
            "this role may not replicate",
            f"An administrator runs: ALTER ROLE {user} REPLICATION;",
        ),
        (
            server.wal_level == "minimal" or server.senders < 2,
            "the server sends no WAL",
            "It needs wal_level = replica and max_wal_senders of 2 or more.",
        ),
        (server.major not in BUNDLED_MAJORS, f"PostgreSQL {server.major} is not bundled", ""),
        (server.tablespaces, "it has tablespaces besides its own folder", ""),
        (server.icu, "it sorts by ICU, which the bundled PostgreSQL lacks", ""),
    )
    for applies, reason, hint in obstacles:
        if applies:
            raise RehearsalFailed(
                f"The server cannot be copied physically: {reason}.",
                hint=f"{hint} Without --physical a restored backup serves.".strip(),
            )


def _copy(database: DatabaseUrl, cluster: Cluster) -> None:
    shutil.rmtree(cluster.data)
    account = cluster.account
    programs = cluster.programs(account)
    with cluster.lock.held() as lock:
        run = account.run(
            [
                programs.program("pg_basebackup"),
                f"--pgdata={cluster.data}",
                "--checkpoint=fast",
                "--no-password",
                "--no-sync",
            ],
            environment=environment(database),
            keep_open=[lock],
        )
    if run.returncode != 0:
        raise RehearsalFailed(
            f"pg_basebackup failed: {tail(run.stdout)}",
            hint="pg_hba.conf of the server must let this role in for the database `replication`.",
        )
