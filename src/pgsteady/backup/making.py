"""A backup is made: dumped, restored, compared, and only then given its name."""

from __future__ import annotations

import socket
import subprocess
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path

import psutil
from sqlalchemy import text

from pgsteady.backup.copies import JOBS, restored, schema_of
from pgsteady.backup.dumping import Form, dump
from pgsteady.backup.files import client_for
from pgsteady.backup.manifest import Manifest, Proof
from pgsteady.backup.snapshot import snapshot
from pgsteady.backup.store import Backup, backup_folder, finish, name_of, sync, unfinished
from pgsteady.backup.surroundings import Surroundings
from pgsteady.connection import connect
from pgsteady.errors import BackupFailed
from pgsteady.lock import direct
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.url import DatabaseUrl
from pgsteady.verify import take

_SIZES = text("""
    SELECT c.oid::text, pg_table_size(c.oid) FROM pg_class c WHERE c.oid >= 16384
    AND c.relkind IN ('r', 'm', 'i')
    UNION ALL
    SELECT k.oid::text, pg_table_size(k.conindid) FROM pg_constraint k WHERE k.oid >= 16384
    AND k.contype IN ('p', 'u', 'x')
""")
_BYTES = text("""
    SELECT coalesce(sum(pg_table_size(oid)), 0)::bigint FROM pg_class
    WHERE oid >= 16384 AND relkind = 'r'
""")


def back_up(
    project: Project,
    *,
    folder: Path | None = None,
    form: str = Form.DIRECTORY,
    jobs: int = JOBS,
    prove: bool = True,
    on: DatabaseUrl | None = None,
    progress: Progress = SILENT,
) -> Backup:
    """Back up the project's database into a folder of its own in ``folder``.

    With ``prove``, it is restored and compared first, and there is no backup if that
    fails; ``on`` names a database on whose server that is done, instead of one of our own.
    ``form`` is pg_dump's: ``directory`` or ``custom``.

    Raises:
        BackupFailed: it could not be written.
        BackupDamaged: what it restores is not what was backed up.
        EnvironmentFault: the database cannot be reached, or no server be had for the proof.
    """
    if prove:
        with proved(project, folder=folder, form=form, jobs=jobs, on=on, progress=progress) as (
            done,
            _,
        ):
            return done
    with _made(project, folder, form, jobs, progress) as backup:
        return Backup(finish(backup.folder))


@contextmanager
def proved(
    project: Project,
    *,
    folder: Path | None = None,
    form: str = Form.DIRECTORY,
    jobs: int = JOBS,
    on: DatabaseUrl | None = None,
    progress: Progress = SILENT,
) -> Iterator[tuple[Backup, DatabaseUrl]]:
    """Back up as :func:`back_up`, and lend the copy that proved it as long as the block lasts.

    The backup is complete when the block begins, whatever happens in it.
    """
    with (
        _made(project, folder, form, jobs, progress) as backup,
        restored(backup, project, on=on, jobs=jobs, progress=progress) as copy,
    ):
        _note_proof(backup, copy)
        yield Backup(finish(backup.folder)), copy


def prove(
    backup: Backup,
    project: Project,
    *,
    on: DatabaseUrl | None = None,
    jobs: int = JOBS,
    progress: Progress = SILENT,
) -> None:
    """Restore a backup on a server of its own and compare; raises as :func:`restored`.

    One that was not proved yet, is from then on, if its folder can be written to.
    """
    with restored(backup, project, on=on, jobs=jobs, progress=progress) as copy:
        if not backup.manifest.proved:
            try:
                _note_proof(backup, copy)
            except BackupFailed as error:
                progress.note(f"It is good, but cannot be marked as proved: {error}")


def _note_proof(backup: Backup, copy: DatabaseUrl) -> None:
    with connect(copy) as connection, connection.begin():
        version = connection.scalars(text("SHOW server_version")).one()
    backup.write(replace(backup.manifest, proof=Proof(datetime.now(UTC), version)))


@contextmanager
def _made(
    project: Project, folder: Path | None, form: str, jobs: int, progress: Progress
) -> Iterator[Backup]:
    """Dump the database into a backup that has not its name yet, and is gone after the block."""
    database = direct(project.database(), project.ini)
    made_at = datetime.now(UTC)
    with ExitStack() as until_done:
        with snapshot(database, progress) as (connection, exported):
            surroundings = Surroundings.of(connection)
            catalog = schema_of(project, connection)
            # Before the dump, for sequences are in no snapshot and only go on.
            evidence = take(connection, project, progress=progress)
            name = name_of(str(database.url.database), evidence.revisions, made_at)
            place, lock = until_done.enter_context(
                unfinished(folder or backup_folder(project.ini), name)
            )
            backup = Backup(place)
            sizes: dict[str, int] = dict(connection.execute(_SIZES).all())
            with progress.step("Dump", connection.scalar(_BYTES) or 1) as advance:
                files = dump(
                    database,
                    exported,
                    backup.files,
                    form=form,
                    jobs=jobs,
                    lock=lock,
                    advance=advance,
                )
        sync(backup.files)
        backup.write(
            Manifest(
                database=str(database.url.database),
                address=database.address,
                made_at=made_at,
                made_by=f"{psutil.Process().username()}@{socket.gethostname()}",
                pg_dump=_version_of(client_for("pg_dump", database)),
                form=form,
                surroundings=surroundings,
                catalog=catalog,
                evidence=evidence,
                sizes=sizes,
                files=files,
            )
        )
        yield backup


def _version_of(program: Path) -> str:
    return subprocess.run(
        [program, "--version"], check=True, capture_output=True, text=True
    ).stdout.strip()
