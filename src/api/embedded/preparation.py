"""A new cluster, from nothing to what the application expects."""

from __future__ import annotations

import psutil

from api.embedded.home import DATABASE, ROLE, Home, cluster_in, wipe
from pgsteady.errors import ClusterError
from pgsteady.server import Cluster


def _shared_buffers_mb() -> int:
    """An eighth of the computer's memory, at most 2 GB: what a million structures are read from."""
    return max(128, min(psutil.virtual_memory().total // 2**23, 2048))


SETTINGS = {
    "maintenance_work_mem": "256MB",  # an HNSW build needs about 4 · dim + 716 bytes a row
    "max_connections": "100",
    "max_wal_size": "2GB",
    "random_page_cost": "1.1",  # workstations have solid-state disks
    "shared_buffers": f"{_shared_buffers_mb()}MB",
    "timezone": "UTC",
    "log_timezone": "UTC",
}
"""Server settings; durability is left at PostgreSQL's safe defaults."""


def prepare(home: Home, major: int) -> Cluster:
    """Make, start and equip a cluster, and make it the one in use.

    ``current`` is written last: a cluster that it does not name holds nothing of
    anybody's and is made anew.
    """
    location = home.choose_location()
    folder = location / f"postgres-{major}"
    wipe(folder)
    cluster = cluster_in(folder)
    cluster.create()
    try:
        cluster.start(SETTINGS)
        _equip(cluster, home.password)
        home.switch_to(folder)
    except BaseException:
        cluster.lock.evict()  # nothing in it is of worth; its log stays
        raise
    return cluster


def furnish(cluster: Cluster) -> None:
    """Let the role make databases like its own, as a restore does; earlier clusters did not."""
    with cluster.session() as cursor:
        cursor.execute(f"ALTER ROLE {ROLE} CREATEDB")
    _add_vector(cluster)


def _equip(cluster: Cluster, password: str) -> None:
    """Make the application's role, which is no superuser, its database and the extension."""
    from psycopg2.extensions import encrypt_password

    with cluster.session() as cursor:
        hashed = encrypt_password(
            password, ROLE, scope=cursor.connection, algorithm="scram-sha-256"
        )
        cursor.execute(f"CREATE ROLE {ROLE} LOGIN PASSWORD %s", (hashed,))
        cursor.execute(f"GRANT pg_read_all_settings TO {ROLE}")  # doctor looks at the data's disk
    furnish(cluster)
    with cluster.session() as cursor:
        cursor.execute(f"CREATE DATABASE {DATABASE} OWNER {ROLE}")


def _add_vector(cluster: Cluster) -> None:
    """Create the extension where new databases are copied from."""
    import psycopg2

    try:
        with cluster.session("template1") as cursor:
            cursor.execute("CREATE EXTENSION IF NOT EXISTS vector")
            cursor.execute("SELECT '[1,2,3]'::vector <-> '[1,2,5]'::vector")
            distance = cursor.fetchone()
    except psycopg2.Error as error:
        raise ClusterError(
            f"The bundled pgvector does not work on this computer: {error}",
            hint="It may be built for a newer processor. Set DATABASE_URL to a PostgreSQL "
            "server that has pgvector.",
        ) from error
    if distance != (2.0,):
        raise ClusterError(f"The bundled pgvector computes wrong distances: {distance}, not 2.")
