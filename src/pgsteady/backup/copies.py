"""Copies of a backup on servers of our own, and the proof that they are what was backed up."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from sqlalchemy import Connection

from pgsteady.backup.restoring import restore, unpacked
from pgsteady.backup.store import Backup
from pgsteady.backup.surroundings import Surroundings
from pgsteady.catalog import Catalog, default_schema, quoted
from pgsteady.connection import connect
from pgsteady.errors import BackupDamaged, ClusterError
from pgsteady.finding import Finding
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
    backup: Backup, project: Project, *, jobs: int = JOBS, progress: Progress = SILENT
) -> Iterator[DatabaseUrl]:
    """Restore a backup on a server of its own, which lasts as long as the block, and compare.

    Yields the copy. Nothing is left of it, even if we are killed.

    Raises:
        BackupDamaged: a file was changed, or what it restores is not what was backed up.
        RestoreFailed: it does not load there.
        ClusterError: no server of that major version can be had.
    """
    backup.verify_files(progress)
    surroundings = backup.manifest.surroundings
    room_bytes = ROOM_BYTES + surroundings.size_bytes * 3 // 2 + backup.manifest.raw_bytes
    with private_server(_fitting(surroundings), room_bytes=room_bytes) as cluster:
        _furnish(cluster, surroundings)
        workplace = cluster.folder.parent  # which goes with the server
        copy = url_of(cluster, _COPY)
        archive = unpacked(backup, workplace, jobs, progress)
        options = (f"--jobs={jobs}", "--no-tablespaces")
        restore(backup, archive, copy, *options, private=True, progress=progress)
        require_same(backup, project, copy, progress)
        yield copy


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
    differing = [finding for finding in compare(manifest.evidence, found) if _counts(finding)]
    said = [f"{finding.object}: {finding.message}" for finding in differing]
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


def _counts(finding: Finding) -> bool:
    return finding.code not in _OF_CIRCUMSTANCES


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
    sorting = "" if surroundings.encoding == "UTF8" else "LC_COLLATE 'C' LC_CTYPE 'C'"
    with cluster.session() as cursor:
        for role in set(surroundings.roles) - {SUPERUSER}:
            cursor.execute(f"CREATE ROLE {quoted(role)}")
        encoding = (surroundings.encoding,)
        cursor.execute(
            f"CREATE DATABASE {_COPY} TEMPLATE template0 ENCODING %s {sorting}", encoding
        )
        cursor.execute("SELECT set_config('search_path', %s, false)", (surroundings.search_path,))
        cursor.execute(f"ALTER DATABASE {_COPY} SET search_path FROM CURRENT")
