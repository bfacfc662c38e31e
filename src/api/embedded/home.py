"""What lies where under ``NANO_OS_HOME``.

===============  =============================================================
``start.lock``   held while a server is made, started, stopped or upgraded
``use.lock``     shared by every process that uses the database
``kept``         exists while the server is to outlive its users
``password``     of the application's role, readable by its owner only
``location``     where the clusters lie, when they cannot lie here
``postgres-18``  a cluster (see :class:`pgsteady.server.Cluster`), named by major
``current``      the name of the cluster in use; written when it is complete
===============  =============================================================
"""

from __future__ import annotations

import fcntl
import os
import re
import secrets
import shutil
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import quote

from pgsteady.errors import ClusterError
from pgsteady.server import Account, Cluster, bundled

DATABASE = "nano_os"
ROLE = "nano_os"
CLOSED_HOMES = Path("/var/lib/nano-os")
"""Root's clusters whose NANO_OS_HOME is closed to the user that serves them."""
_PATIENCE_S = 120.0
_POLL_S = 0.01


class Home:
    """One ``NANO_OS_HOME``; every change to it happens inside :meth:`exclusive`."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder.expanduser().absolute()

    @contextmanager
    def exclusive(self) -> Iterator[None]:
        """Hold ``start.lock``: one process at a time makes, starts, stops or upgrades.

        Raises:
            ClusterError: another process holds it for longer than is plausible,
                or the folder cannot be used.
        """
        file = self._open("start.lock")
        try:
            deadline = time.monotonic() + _PATIENCE_S
            while not _locked(file, fcntl.LOCK_EX):
                if time.monotonic() > deadline:
                    raise ClusterError(
                        f"Another process has been preparing {self.folder} for minutes.",
                        hint="An upgrade of the server may be running; try again later.",
                    )
                time.sleep(_POLL_S)
            yield
        finally:
            os.close(file)

    def share(self) -> int:
        """Return an open file that marks this process as a user of the database."""
        file = self._open("use.lock")
        fcntl.flock(file, fcntl.LOCK_SH)
        return file

    @property
    def in_use(self) -> bool:
        """Whether any process uses the database."""
        file = self._open("use.lock")
        try:
            return not _locked(file, fcntl.LOCK_EX)
        finally:
            os.close(file)

    @property
    def password(self) -> str:
        """The password of the application's role, made when first asked for."""
        path = self.folder / "password"
        if not path.exists():
            write_atomically(path, secrets.token_urlsafe(24))
        return path.read_text()

    def url(self, cluster: Cluster) -> str:
        """Return the URL under which the application reaches ``cluster``."""
        host = quote(str(cluster.socket_folder), safe="/")
        password = quote(self.password, safe="")
        return f"postgresql://{ROLE}:{password}@/{DATABASE}?host={host}&port={cluster.port}"

    def current(self) -> Cluster | None:
        """Return the cluster in use, or None when none has been completed.

        What a killed upgrade left unfinished is removed, its processes too.
        """
        location = self._location()
        for unfinished in location.glob("*.partial"):
            wipe(unfinished)
        if not (location / "current").exists():
            return None
        return cluster_in(location / (location / "current").read_text())

    def switch_to(self, folder: Path) -> None:
        """Make the cluster in ``folder``, which is complete, the one in use."""
        write_atomically(folder.parent / "current", folder.name)

    def unused_folder(self, major: int) -> Path:
        """Return a folder for another cluster: ``postgres-18``, ``postgres-18-2`` …"""
        names = [f"postgres-{major}", *(f"postgres-{major}-{n}" for n in range(2, 100))]
        location = self._location()
        return next(location / name for name in names if not (location / name).exists())

    def choose_location(self) -> Path:
        """Return the folder that holds the clusters, chosen when first asked for.

        That is this home itself, unless the user that PostgreSQL must run as may
        not enter it: then a folder of its own, which ``location`` names.
        """
        location = self._location()
        if location != self.folder:
            return location
        if Account.for_folder(self.folder / "none yet").may_enter(self.folder):
            return self.folder
        for folder in (CLOSED_HOMES.parent, CLOSED_HOMES):
            if not folder.exists():
                folder.mkdir()
                folder.chmod(0o711)
        elsewhere = Path(tempfile.mkdtemp(dir=CLOSED_HOMES))
        elsewhere.chmod(0o711)
        write_atomically(self.folder / "location", str(elsewhere))
        return elsewhere

    def _location(self) -> Path:
        elsewhere = self.folder / "location"
        return Path(elsewhere.read_text()) if elsewhere.exists() else self.folder

    def _open(self, name: str) -> int:
        try:
            if not self.folder.exists():
                self.folder.mkdir(mode=0o700, parents=True, exist_ok=True)
                if os.geteuid() == 0:  # the server's own user must pass through
                    self.folder.chmod(0o711)
            return os.open(self.folder / name, os.O_RDWR | os.O_CREAT, 0o600)
        except OSError as error:
            raise ClusterError(
                f"The folder of the embedded database cannot be used: {error}",
                hint="NANO_OS_HOME moves it; DATABASE_URL names another database.",
            ) from error


def cluster_in(folder: Path) -> Cluster:
    """Return the cluster in a folder whose name begins with ``postgres-<major>``."""
    found = re.match(r"postgres-(\d+)", folder.name)
    if not found:
        raise ClusterError(f"{folder} is not named after a version of PostgreSQL.")
    return Cluster(folder, bundled(int(found[1])))


def write_atomically(path: Path, text: str) -> None:
    """Write a file that is either absent, old or complete, and readable by its owner only."""
    handle, name = tempfile.mkstemp(dir=path.parent, prefix=f".{path.name}-")
    with os.fdopen(handle, "w") as stream:
        stream.write(text)
        stream.flush()
        os.fsync(handle)
    Path(name).replace(path)
    folder = os.open(path.parent, os.O_RDONLY)
    os.fsync(folder)
    os.close(folder)


def wipe(folder: Path) -> None:
    """Remove what a killed process left unfinished, and its processes."""
    if folder.exists():
        cluster_in(folder).lock.evict()
        shutil.rmtree(folder)


def _locked(file: int, kind: int) -> bool:
    try:
        fcntl.flock(file, kind | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    return True
