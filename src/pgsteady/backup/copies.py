"""Copies of a backup on servers of our own, and the proof that they are what was backed up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

from sqlalchemy import Connection

from pgsteady.backup import databases
from pgsteady.backup.restoring import WITHOUT_OWNERS, restore, unpacked, workplace
from pgsteady.backup.store import Backup
from pgsteady.backup.surroundings import Setting, Surroundings
from pgsteady.catalog import Catalog, default_schema, quoted
from pgsteady.connection import connect
from pgsteady.errors import BackupDamaged, ClusterError
from pgsteady.fingerprints import Fingerprint, fingerprint
from pgsteady.live import read_live
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.server import BUNDLED_MAJORS, SUPERUSER, Cluster, private_server, url_of
from pgsteady.server.private import ROOM_BYTES
from pgsteady.url import DatabaseUrl
from pgsteady.verify import compare, take

JOBS = 2
_COPY = "restored"
_OF_CIRCUMSTANCES = {"changed-view", "not-read"}
"""Differences that a sound backup may have: a materialized view is filled anew."""


@contextmanager
def restored(
    backup: Backup,
    project: Project,
    *,
    on: DatabaseUrl | None = None,
    jobs: int = JOBS,
    progress: Progress = SILENT,
) -> Iterator[DatabaseUrl]:
    """Restore a backup on a server of its own, which lasts as long as the block, and compare.

    Yields the copy. Nothing is left of it, even if we are killed. It is made on the server
    of the database ``on`` instead, if that is given, without owners and grants.

    Raises:
        BackupDamaged: a file was changed, or what it restores is not what was backed up.
        RestoreFailed: it does not load there.
        EnvironmentFault: no server can be had that it would load on.
    """
    backup.verify_files(progress)
    with _on_server(backup, on, jobs, progress) if on else _alone(backup, jobs, progress) as copy:
        require_same(backup, project, copy, progress)
        yield copy


@contextmanager
def _alone(backup: Backup, jobs: int, progress: Progress) -> Iterator[DatabaseUrl]:
    surroundings = backup.manifest.surroundings
    room_bytes = ROOM_BYTES + surroundings.size_bytes * 3 // 2 + backup.manifest.raw_bytes
    with private_server(_fitting(surroundings), room_bytes=room_bytes) as cluster:
        _furnish(cluster, surroundings)
        copy = url_of(cluster, _COPY)
        archive = unpacked(backup, cluster.folder.parent, jobs, progress)  # goes with the server
        options = (f"--jobs={jobs}", "--no-tablespaces")
        restore(backup, archive, copy, *options, private=True, progress=progress)
        yield copy


@contextmanager
def _on_server(
    backup: Backup, server: DatabaseUrl, jobs: int, progress: Progress
) -> Iterator[DatabaseUrl]:
    surroundings = backup.manifest.surroundings
    path = Setting("", "search_path", surroundings.search_path)
    with databases.unfinished(server, surroundings) as making, workplace() as place:
        databases.require_fit(making.database, surroundings)
        archive = unpacked(backup, place, jobs, progress)
        options = (f"--jobs={jobs}", "--no-tablespaces", *WITHOUT_OWNERS)
        restore(backup, archive, making.database, *options, progress=progress)
        bare = replace(surroundings, settings=(path,), grants=None)
        databases.arrange(making.database, bare, progress)
        yield making.database


def require_same(
    backup: Backup, project: Project, database: DatabaseUrl, progress: Progress = SILENT
) -> None:
    """Compare a restored database with what was backed up: its content and its schema.

    Raises:
        BackupDamaged: they differ.
    """
    manifest = backup.manifest
    with connect(database) as connection:
        connection.execution_options(isolation_level="REPEATABLE READ")
        with connection.begin():
            catalog = schema_of(project, connection)
            found = take(connection, project, like=manifest.evidence, progress=progress)
    differing = compare(manifest.evidence, found)
    for finding in differing:
        if finding.code in _OF_CIRCUMSTANCES:
            progress.note(f"{finding.object}: {finding.message}.")
    said = [
        f"{finding.object}: {finding.message}"
        for finding in differing
        if finding.code not in _OF_CIRCUMSTANCES
    ]
    if found.revisions != manifest.revisions:
        said.append(f"revision {found.revisions}, not {manifest.revisions}")
    said += [f"{name} differs" for name in _unlike(manifest.catalog, catalog)]
    if said:
        raise BackupDamaged(
            f"{backup.folder}: what it restores is not what was backed up: {'; '.join(said)}."
        )


def schema_of(project: Project, connection: Connection) -> Fingerprint:
    """Return the fingerprint of the database's whole schema, as far as a dump holds it."""
    catalog: Catalog = {
        key: facts
        for key, facts in read_live(project, connection, default_schema(connection)).items()
        if not (key.kind == "index" and "valid" in facts)  # pg_dump leaves out what is INVALID
    }
    return fingerprint(catalog)


def _unlike(one: Fingerprint, other: Fingerprint) -> list[str]:
    return sorted(name for name in one.keys() | other.keys() if one.get(name) != other.get(name))


def _fitting(surroundings: Surroundings) -> int:
    """Return the bundled major version that can load the dump: the server's, or the next."""
    for major in BUNDLED_MAJORS:
        if major >= surroundings.major:
            return major
    raise ClusterError(
        f"The backup is of PostgreSQL {surroundings.major}, and the newest that is bundled is "
        f"{BUNDLED_MAJORS[-1]}.",
        hint="Prove it on a server of that version: --on URL. Or make it with --no-proof.",
    )


def _furnish(cluster: Cluster, surroundings: Surroundings) -> None:
    """Make what the dump takes for granted: an empty database, and roles without any right."""
    sorting = "" if surroundings.encoding == "UTF8" else "LOCALE_PROVIDER libc LOCALE 'C'"
    with cluster.session() as cursor:
        cursor.execute("SELECT name FROM pg_available_extensions")
        if missing := surroundings.extensions.keys() - {name for (name,) in cursor}:
            raise ClusterError(
                f"The bundled PostgreSQL has no extension {', '.join(sorted(missing))}.",
                hint="Prove the backup on a server that has it: --on URL. Or make it with "
                "--no-proof.",
            )
        for role in set(surroundings.roles) - {SUPERUSER}:
            cursor.execute(f"CREATE ROLE {quoted(role)}")
        encoding = (surroundings.encoding,)
        cursor.execute(
            f"CREATE DATABASE {_COPY} TEMPLATE template0 ENCODING %s {sorting}", encoding
        )
        cursor.execute("SELECT set_config('search_path', %s, false)", (surroundings.search_path,))
        cursor.execute(f"ALTER DATABASE {_COPY} SET search_path FROM CURRENT")
