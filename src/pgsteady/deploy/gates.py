"""What has to be in order before an upgrade begins; each gate raises if it is not."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from datetime import UTC, datetime, timedelta
from pathlib import Path

from sqlalchemy import Connection, text

from pgsteady.backup import Backup
from pgsteady.doctor import examine
from pgsteady.errors import GateClosed
from pgsteady.finding import Severity
from pgsteady.lint import lint
from pgsteady.progress import Progress
from pgsteady.project import Project
from pgsteady.rehearse.change import Rehearsed, last_rehearsal
from pgsteady.url import DatabaseUrl

BACKUP_GOOD_FOR = timedelta(minutes=60)
"""A backup named by the user may be so old; the writes since are lost if it is restored."""

STANDING = frozenset({"revision", "schema"})
"""The doctor's examinations whose errors say that what is pending is not what comes next."""

_LAST = text(
    "SELECT rehearsed_at, from_revisions, to_revisions FROM pgsteady.rehearsal "
    "ORDER BY id DESC LIMIT 1"
)


def require_health(project: Project) -> None:
    """Let the doctor find nothing that prevents work, or that the next revision would fail on.

    Other errors of the schema or the files, such as an invalid index, are no such thing.

    Raises:
        GateClosed: it does.
    """
    prevents = [
        finding
        for result in examine(project.ini, project.fallback_url)
        if result.prevents_work or result.name in STANDING
        for finding in result.answer.findings
        if finding.severity is Severity.ERROR
    ]
    if prevents:
        raise GateClosed(
            "The doctor finds what prevents work: "
            + "; ".join(f"{finding.object}: {finding.message}" for finding in prevents),
            hint="\n".join(f"{finding.cure} {finding.sql}".strip() for finding in prevents),
        )


def require_lint(project: Project, revisions: Sequence[str], accepted: Collection[str]) -> None:
    """Let lint find no error in the pending revisions but the ``accepted`` ones.

    Raises:
        GateClosed: it does.
    """
    errors = [
        finding
        for finding in lint(project, revisions).findings
        if finding.severity is Severity.ERROR and finding.code not in accepted
    ]
    if errors:
        listed = "\n".join(f"  {one.object}: {one.message} [{one.code}]" for one in errors)
        codes = " ".join(f"--accept-lint {code}" for code in sorted({one.code for one in errors}))
        raise GateClosed(
            f"lint finds errors in the pending revisions:\n{listed}",
            hint=f"`lint` says the safe form of each. If it is meant so: {codes}",
        )


def require_rehearsal(
    connection: Connection, change: str, ends: tuple[tuple[str, ...], tuple[str, ...]], program: str
) -> Rehearsed:
    """Return the rehearsal of exactly this change, whose last word was go.

    ``ends`` are the revisions from and to which it leads.

    Raises:
        GateClosed: there is none, or it found what speaks against the change.
    """
    last = last_rehearsal(connection, change)
    if last is None:
        raise GateClosed(
            f"The change was not rehearsed: {_why_not(connection, ends)}.",
            hint=f'Run `{program} rehearse` first; or say --no-rehearsal "the reason", '
            "which is recorded.",
        )
    if not last.go:
        reasons = "; ".join(last.report.get("reasons", ()))
        raise GateClosed(
            f"The rehearsal of {last.rehearsed_at.astimezone():%Y-%m-%d %H:%M:%S} speaks against "
            f"the change: {reasons}",
            hint=f"Put it right and run `{program} rehearse` again.",
        )
    return last


def expected_s(rehearsal: Rehearsed) -> dict[str, float]:
    """Return how long each revision is expected to take here, by what the rehearsal measured."""
    steps = (rehearsal.report.get("upgrade") or {}).get("steps", ())
    return {
        step["revision"]: sum(statement["live_ms"] for statement in step["statements"]) / 1000
        for step in steps
    }


def _why_not(connection: Connection, ends: tuple[tuple[str, ...], tuple[str, ...]]) -> str:
    last = connection.execute(_LAST).one_or_none()
    if last is None:
        return "nothing was ever rehearsed for this database"
    when = f"{last.rehearsed_at.astimezone():%Y-%m-%d %H:%M:%S}"
    if (sorted(last.from_revisions), sorted(last.to_revisions)) != tuple(map(sorted, ends)):
        return f"the rehearsal of {when} was of other revisions"
    return f"since the rehearsal of {when}, a revision's file or the live schema was changed"


def require_backup(
    folder: Path, database: DatabaseUrl, current: tuple[str, ...], progress: Progress
) -> Backup:
    """Return the backup that the user names, if it is good for going back.

    Raises:
        GateClosed: it is too old, of another database or revision, or was never restored.
        BackupDamaged: it is none, or not as it was written.
    """
    backup = Backup(folder)
    manifest = backup.manifest
    age = datetime.now(UTC) - manifest.made_at
    reasons = {
        "it was never restored and compared": not manifest.proved,
        f"it is of {manifest.database} at {manifest.address}": (
            (manifest.database, manifest.address) != (database.url.database, database.address)
        ),
        f"it is of revision {', '.join(manifest.revisions) or 'base'}": (
            tuple(sorted(manifest.revisions)) != current
        ),
        f"it is {age.total_seconds() / 60:.0f} minutes old": age > BACKUP_GOOD_FOR,
    }
    if any(reasons.values()):
        said = ", ".join(reason for reason, holds in reasons.items() if holds)
        raise GateClosed(
            f"The backup {folder} cannot be the way back: {said}.",
            hint="Without --backup, a new one is made.",
        )
    backup.verify_files(progress)
    return backup
