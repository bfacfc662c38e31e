"""What killed runs left lying: servers, unfinished backups, scratch databases and schemas."""

from __future__ import annotations

import fcntl
import os
import shutil
import tempfile
import time
from collections.abc import Iterator
from functools import partial
from pathlib import Path

import psutil
from sqlalchemy import text

from pgsteady.backup import backup_folder, remove_unfinished
from pgsteady.backup.databases import UNFINISHED, remove_left_behind
from pgsteady.backup.restoring import workplaces
from pgsteady.backup.store import PARTIAL
from pgsteady.catalog import quoted
from pgsteady.connection import connect
from pgsteady.errors import EnvironmentFault
from pgsteady.project import Project
from pgsteady.repair.report import Repair
from pgsteady.scratch import SCRATCH
from pgsteady.server.lock import ServerLock
from pgsteady.server.private import PREFIX
from pgsteady.url import DatabaseUrl

SETTLED_S = 10.0
"""A folder younger than this may be one that is just being set up."""
UPGRADES = "pgsteady-upgrade-"
"""How the folder is called in which a cluster is upgraded."""

_SCHEMAS = text("SELECT nspname FROM pg_namespace WHERE nspname ~ :pattern ORDER BY nspname")
_DATABASES = text(
    "SELECT datname::text FROM pg_database d WHERE starts_with(datname, :prefix) "
    "AND pg_has_role(datdba, 'MEMBER') "
    "AND NOT EXISTS (SELECT FROM pg_stat_activity a WHERE a.datid = d.oid) ORDER BY 1"
)


def folders(project: Project) -> Iterator[Repair]:
    """Yield the folders of ours in which nobody works any more."""
    temporary = {Path("/dev/shm"), Path(tempfile.gettempdir())}  # noqa: S108 - only looked into
    for place in sorted(temporary):
        for folder in _ours(place, PREFIX):
            if not _is_guarded(folder):
                yield _removed(folder, folder / "server" / "server.lock", "A private server")
        for folder in _ours(place, UPGRADES):
            yield from _upgrades(folder)
    for place in (backup_folder(project.ini), workplaces()):
        if left := [partial_ for partial_ in place.glob(f"*{PARTIAL}") if not _is_locked(partial_)]:
            yield Repair(
                ", ".join(map(str, sorted(left))),
                "A backup or restore that was killed left it; it is no backup.",
                "remove it",
                partial(remove_unfinished, place),
            )


def scratch(database: DatabaseUrl) -> Iterator[Repair]:
    """Yield schemas and databases of ours that nobody uses; the migration lock is held."""
    with connect(database) as connection, connection.begin():
        schemas = list(connection.scalars(_SCHEMAS, {"pattern": f"^{SCRATCH}_[0-9]+$"}))
        databases = list(connection.scalars(_DATABASES, {"prefix": UNFINISHED}))
    for schema in schemas:
        drop = f"DROP SCHEMA IF EXISTS {quoted(schema)} CASCADE"
        yield Repair(
            f"schema {schema}",
            "Models are built in schemas of that name for comparison, and rolled back.",
            "drop it",
            partial(_execute, database, drop),
            (f"{drop};",),
        )
    if databases:
        yield Repair(
            f"database {', '.join(databases)}",
            "A restore that was killed left it; nobody is connected to it.",
            "drop it",
            partial(remove_left_behind, database),
            tuple(f"DROP DATABASE {quoted(name)};" for name in databases),
        )


def _ours(place: Path, prefix: str) -> Iterator[Path]:
    """Yield the folders of this user that are not just being made."""
    for folder in sorted(place.glob(f"{prefix}*")):
        try:
            status = folder.lstat()
        except FileNotFoundError:
            continue
        old = time.time() - status.st_mtime > SETTLED_S
        if old and status.st_uid == os.geteuid() and not folder.is_symlink():
            yield folder


def _is_guarded(folder: Path) -> bool:
    """Tell whether the process lives that ends the server when its program does."""
    for process in psutil.process_iter(["cmdline"]):
        if str(folder) in (process.info["cmdline"] or []):
            return True
    return False


def _upgrades(folder: Path) -> Iterator[Repair]:
    """Yield the folder, unless one of the two clusters that it names is at work."""
    clusters = [(folder / f"{name}-data").resolve().parent for name in ("old", "new")]
    locks = [cluster / "server.lock" for cluster in clusters if cluster.is_dir()]
    if not any(ServerLock(lock).taken for lock in locks if lock.exists()):
        yield Repair(
            str(folder),
            "An upgrade of the server that was killed left it.",
            "remove it",
            partial(shutil.rmtree, folder, ignore_errors=True),
        )


def _removed(folder: Path, lock: Path, what: str) -> Repair:
    return Repair(
        str(folder),
        f"{what} whose program and guard were killed left it.",
        "stop the server, if it runs, and remove the folder",
        partial(_remove, folder, lock),
    )


def _remove(folder: Path, lock: Path) -> None:
    if lock.exists():
        ServerLock(lock).evict()
    shutil.rmtree(folder, ignore_errors=True)
    if folder.exists():
        raise EnvironmentFault(f"{folder} cannot be removed.", hint="Remove it as its owner.")


def _is_locked(folder: Path) -> bool:
    """Tell whether somebody works in a folder."""
    try:
        opened = os.open(folder, os.O_RDONLY)
    except FileNotFoundError:
        return True  # it is gone this moment
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    finally:
        os.close(opened)
    return False


def _execute(database: DatabaseUrl, statement: str) -> None:
    with connect(database) as connection, connection.begin():
        connection.exec_driver_sql(statement)
