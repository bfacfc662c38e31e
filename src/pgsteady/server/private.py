"""Servers of our own that last as long as they are needed: for replays, rehearsals and proofs."""

from __future__ import annotations

import os
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from sqlalchemy import URL

from pgsteady.server.binaries import BUNDLED_MAJORS, bundled
from pgsteady.server.cluster import SUPERUSER, Cluster
from pgsteady.url import DatabaseUrl

PREFIX = "pgsteady-private-"
"""How the folder of a private server is called, in memory or in the temporary folder."""
SETTINGS = {
    "autovacuum": "off",
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "shared_buffers": "16MB",
    "wal_level": "minimal",
    "max_wal_senders": "0",
}
ROOM_BYTES = 2**28
"""Free memory that is enough for a cluster with next to nothing in it."""

_GUARD = """
read _
for attempt in $(seq 600); do
    pid=$(head -n 1 "$0/server/data/postmaster.pid") && kill -QUIT "$pid"
    while [ -n "$pid" ] && kill -0 "$pid"; do sleep 0.05; done
    rm -rf "$0" && break
    sleep 0.1
done 2>/dev/null
"""
"""Waits until we close its input, or are gone, and leaves nothing of the server.

If we are killed, initdb may still be writing: then it takes more than one attempt.
"""


@contextmanager
def private_server(major: int, *, room_bytes: int = ROOM_BYTES) -> Iterator[Cluster]:
    """Run an empty server for as long as the block lasts; it goes even if we are killed.

    It is the bundled one of that major version, or of the one nearest to it. Its data lies
    in memory if ``room_bytes`` are free there, else in the temporary folder (``TMPDIR``).

    Raises:
        ClusterError: it cannot be made or started.
    """
    nearest = min(BUNDLED_MAJORS, key=lambda bundled: abs(bundled - major))
    memory = Path("/dev/shm")  # noqa: S108 - mkdtemp makes a folder of our own in it
    roomy = memory.is_dir() and shutil.disk_usage(memory).free > room_bytes
    folder = Path(tempfile.mkdtemp(prefix=PREFIX, dir=memory if roomy else None))
    guard = subprocess.Popen(
        ["/bin/sh", "-c", _GUARD, folder],
        stdin=subprocess.PIPE,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,  # Ctrl-C is not for it
    )
    try:
        if os.geteuid() == 0:
            folder.chmod(0o711)  # the server runs as another user, who has to pass
        cluster = Cluster(folder / "server", bundled(nearest))
        cluster.create()
        cluster.start(SETTINGS)
        yield cluster
        cluster.stop()
    finally:
        guard.communicate()


def url_of(cluster: Cluster, database: str) -> DatabaseUrl:
    """Return the URL of a database of ``cluster``, as superuser."""
    url = URL.create(
        "postgresql",
        username=SUPERUSER,
        password=cluster.password,
        port=cluster.port,
        database=database,
        query={"host": str(cluster.socket_folder)},
    )
    return DatabaseUrl(url, "the private server")
