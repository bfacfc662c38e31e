"""Where the database stands in the project's history, and whether that is true."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator, Sequence
from pathlib import Path

from sqlalchemy import text

from pgsteady.audit import DONE, Record, landed_files
from pgsteady.doctor.examination import Answer, Patient, not_known
from pgsteady.doctor.recognition import Recognition, recognise, some
from pgsteady.finding import Finding, Severity
from pgsteady.fingerprints import recorded
from pgsteady.status import Status

_TABLES = text(
    "SELECT c.oid::regclass::text FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace "
    "WHERE c.relkind IN ('r', 'p') AND n.nspname !~ '^(pg_|information_schema$|pgsteady$)' "
    "AND NOT EXISTS (SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass "
    "AND d.objid = c.oid AND d.deptype = 'e') AND c.relname <> :version_table "
    "AND c.relname = ANY(CAST(:names AS text[])) ORDER BY 1"
)
_NAME = re.compile(r"\w+")


def revision(patient: Patient) -> Answer:
    """Tell whether the database has every revision of the project, and no other."""
    status = patient.status
    if status.unknown:
        return Answer("", tuple(_unknown(id_, patient) for id_ in status.unknown))
    if not status.current and not status.pending:
        return Answer("the project has no revision yet")
    if not status.current:
        return Answer("", (_unversioned(patient, status),))
    return Answer(", ".join(status.current), tuple(_behind(status)))


def schema(patient: Patient) -> Answer:
    """Tell whether the schema is that of the revision that the version table names."""
    if len(patient.status.current) != 1 or patient.status.unknown:
        return not_known("the version table names no single revision of this project")
    (current,) = patient.status.current
    if current not in recorded(patient.project):
        return not_known(f"`python -m pgsteady catalog` has kept no fingerprint of {current}")
    match = recognise(patient)
    if match.exact and current in match.revisions:
        return Answer(f"that of {current}")
    return Answer("", (_stamped(current, match) if match.exact else _drifted(current, match),))


def landed(patient: Patient) -> Answer:
    """Tell whether applied revisions' files are still those that were applied."""
    pending = {revision.id for revision in patient.status.pending}
    applied = [file for file in patient.script.walk_revisions() if file.revision not in pending]
    hashes = landed_files(patient.audit)
    findings = []
    for file in applied:
        now = hashlib.sha256(Path(file.path).read_bytes()).hexdigest()
        if hashes.get(file.revision, now) != now:
            findings.append(_edited(file.revision, Path(file.path), patient.audit))
    unrecorded = [file.revision for file in applied if file.revision not in hashes]
    if unrecorded:
        reason = f"the audit has no record of {some(unrecorded)} being applied"
        return Answer(reason, tuple(findings), known=False)
    return Answer(f"as they were applied: {len(applied)}", tuple(findings))


def _behind(status: Status) -> Iterator[Finding]:
    if status.pending:
        names = some([revision.id for revision in status.pending])
        yield Finding(
            severity=Severity.WARNING,
            code="database-behind",
            object=", ".join(status.current),
            message=f"The database lacks {names}. Alembic calls this "
            '"Target database is not up to date".',
            cure="alembic upgrade head",
        )


def _unknown(id_: str, patient: Patient) -> Finding:
    applied = [r for r in patient.audit if id_ in r.to_revisions and r.outcome == DONE]
    if applied and applied[-1].command == "upgrade":
        return _ahead(id_, applied[-1])
    match = recognise(patient)
    message = (
        f"The version table names it, but no file of this project has that id. {match.told} "
        'Alembic calls this "Can\'t locate revision", and `alembic stamp head` fails with it too.'
    )
    bring = (
        "Bring in the file, from the branch or version that has it: "
        f"git log --all --oneline -- '*{id_}*'"
    )
    return Finding(
        severity=Severity.ERROR,
        code="unknown-revision",
        object=f"revision {id_}",
        message=message,
        cure=f"{bring}; or, if it is gone for good: {match.stamp('--purge ')}"
        if match.exact
        else f"{bring}. Stamp nothing: that would hide what differs.",
    )


def _ahead(id_: str, record: Record) -> Finding:
    commit = (record.git_revision or "").removesuffix("-dirty")
    code = " ".join(filter(None, [record.code, f"commit {commit[:12]}" if commit else ""]))
    return Finding(
        severity=Severity.ERROR,
        code="database-ahead",
        object=f"revision {id_}",
        message=f"The database is ahead of this code: {record.os_user} applied it on "
        f"{record.started_at:%Y-%m-%d}, from {code or 'code that is not named'}.",
        cure=f"Use that code: git checkout {commit}" if commit else "Update this code: git pull",
    )


def _unversioned(patient: Patient, status: Status) -> Finding:
    tables = _tables(patient)
    if not tables:
        return Finding(
            severity=Severity.WARNING,
            code="not-migrated",
            object=f'database "{patient.database.url.database}"',
            message="No revision was applied yet; pending: "
            f"{some([revision.id for revision in status.pending])}.",
            cure="alembic upgrade head",
        )
    match = recognise(patient)
    return Finding(
        severity=Severity.ERROR,
        code="tables-without-version",
        object=f"{patient.project.version_table}",
        message=f"It names no revision, but tables are there: {some(tables)}. "
        f'`alembic upgrade head` would fail with "relation already exists". {match.told}',
        cure=match.stamp()
        if match.exact
        else "Stamp nothing yet: that would hide what differs. Bring the schema to a revision's, "
        "or drop what is left of an attempt; then run doctor again.",
    )


def _stamped(current: str, match: Recognition) -> Finding:
    return Finding(
        severity=Severity.ERROR,
        code="wrong-version",
        object=current,
        message=f"The version table says so, but it is not true. {match.told}",
        cure=match.stamp(),
    )


def _drifted(current: str, match: Recognition) -> Finding:
    return Finding(
        severity=Severity.WARNING,
        code="schema-drifted",
        object=current,
        message=f"Somebody changed the schema past the revisions. {match.told}",
        cure="See what differs, and the SQL that mends it: python -m pgsteady check",
    )


def _edited(id_: str, path: Path, records: Sequence[Record]) -> Finding:
    applied = [r for r in records if r.to_revisions == [id_] and r.command == "upgrade"][-1]
    commit = applied.git_revision or ""
    restore = (
        f"git checkout {commit} -- {path}"
        if commit and not commit.endswith("-dirty")
        else f"git log -p -- {path}"
    )
    return Finding(
        severity=Severity.ERROR,
        code="landed-revision-edited",
        object=f"revision {id_}",
        message=f"Its file was changed after it was applied here on {applied.started_at:%Y-%m-%d}: "
        "this database and a new one differ from now on.",
        cure=f"Restore it, and make the change in a revision of its own: {restore}",
        file=path,
    )


def _tables(patient: Patient) -> list[str]:
    """Return the project's tables that are there: its models', or what its revisions name."""
    models = {t.name for metadata in patient.project.metadata for t in metadata.tables.values()}
    names = models or {
        name
        for file in patient.script.walk_revisions()
        for name in _NAME.findall(Path(file.path).read_text())
    }
    parameters = {"version_table": patient.project.version_table, "names": list(names)}
    return list(patient.connection.scalars(_TABLES, parameters))
