"""A backup comes back: into a new database, compared there, and then switched to."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime

from pgsteady.backup import databases
from pgsteady.backup.copies import JOBS, require_same
from pgsteady.backup.restoring import (
    IN_ONE_TRANSACTION,
    WITHOUT_OWNERS,
    restore,
    unpacked,
    workplace,
)
from pgsteady.backup.store import Backup
from pgsteady.backup.switch import in_use, sessions, swap
from pgsteady.errors import DatabaseMissing, PgSteadyError, RestoreFailed
from pgsteady.lock import direct
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.url import DatabaseUrl, parse

NAME_BYTES = 63
"""PostgreSQL's NAMEDATALEN, less its closing zero."""


@dataclass(frozen=True)
class Recovered:
    """Where a backup was restored.

    ``switched`` says that it is the project's database now, and ``kept`` what the one
    before is called, if there was one.
    """

    database: DatabaseUrl
    switched: bool = False
    kept: str | None = None


def recover(
    backup: Backup,
    project: Project,
    *,
    into: str | None = None,
    switch: bool = False,
    end_sessions: bool = False,
    owners: bool = True,
    jobs: int = JOBS,
    progress: Progress = SILENT,
) -> Recovered:
    """Restore a backup into a new database beside the project's, and compare it there.

    ``into`` names the new database, or is the URL of an empty one. With ``switch``, the new
    one then takes the name of the project's, which is kept under another if it exists. Until
    then nothing of it is touched. The same call goes on where one was killed.

    Raises:
        BackupDamaged: a file was changed, or what it restores is not what was backed up.
        RestoreFailed: it could not be restored, or not be switched to.
        EnvironmentFault: the server cannot be reached.
    """
    live = place_of(project)
    backup.verify_files(progress)
    options = [] if owners else list(WITHOUT_OWNERS)
    if into and "://" in into:
        database = parse(into, "--into")
        _fill(backup, project, database, [*options, IN_ONE_TRANSACTION], jobs, progress)
        return Recovered(database)
    stamp = f"{datetime.now(UTC):%Y%m%d_%H%M%S}"
    name = str(live.url.database)
    new = into or _derived(name, f"_restored_{stamp}")
    if switch and not end_sessions:
        _require_unused(live, name)
    database = _new(backup, project, live, new, [*options, f"--jobs={jobs}"], jobs, progress)
    if not switch:
        return Recovered(database)
    kept = _derived(name, f"_before_{stamp}")
    try:
        replaced = swap(live, new, kept, end_sessions=end_sessions)
    except PgSteadyError as error:
        raise RestoreFailed(
            f"{error.args[0]} The database {name} is as it was; the backup is restored, and "
            f"compared, as {new}.",
            hint=f"{error.hint or ''} Then run: restore {backup.folder} --into {new} --switch",
        ) from error
    return Recovered(live, switched=True, kept=kept if replaced else None)


def place_of(project: Project) -> DatabaseUrl:
    """Return the project's database at the server's own address, whether it exists or not.

    Raises:
        EnvironmentFault: the server cannot be reached.
    """
    database = project.database()
    try:
        return direct(database, project.ini)
    except DatabaseMissing:
        return database


def _new(
    backup: Backup,
    project: Project,
    live: DatabaseUrl,
    name: str,
    options: list[str],
    jobs: int,
    progress: Progress,
) -> DatabaseUrl:
    """Restore into a new database, or compare again what an earlier run restored there."""
    made_at = backup.manifest.made_at.isoformat()
    origin = f"pgsteady: restored from the backup of {backup.manifest.database} of {made_at}"
    surroundings = backup.manifest.surroundings
    new = databases.sibling(live, name)
    with databases.administration(live) as connection:
        there = databases.exists(connection, name)
        comment = databases.comment_on(connection, name)
    if there and comment != origin:
        raise RestoreFailed(
            f"There is a database {name} already, which is not this backup restored.",
            hint="Name another with --into.",
        )
    if there:
        require_same(backup, project, new, progress)
        return new
    with databases.unfinished(live, surroundings) as making:
        _fill(backup, project, making.database, options, jobs, progress)
        return making.finish(name, origin)


def _fill(
    backup: Backup,
    project: Project,
    database: DatabaseUrl,
    options: list[str],
    jobs: int,
    progress: Progress,
) -> None:
    """Restore into an empty database and compare."""
    surroundings = backup.manifest.surroundings
    databases.require_fit(database, surroundings)
    with workplace() as place:
        archive = unpacked(backup, place, jobs, progress)
        restore(backup, archive, database, *options, progress=progress)
    databases.arrange(database, surroundings, progress)
    databases.analyze(database, progress)
    require_same(backup, project, database, progress)


def _require_unused(live: DatabaseUrl, name: str) -> None:
    with databases.administration(live) as connection:
        if connected := sessions(connection, name):
            raise in_use(name, connected)


def _derived(name: str, suffix: str) -> str:
    """Return a database's name with a suffix, as long as names may be."""
    room = NAME_BYTES - len(suffix)
    return name.encode()[:room].decode(errors="ignore") + suffix
