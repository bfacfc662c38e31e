"""The extensions that the project needs, and their versions."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from alembic.script import ScriptDirectory
from sqlalchemy import text

from pgsteady.doctor.examination import Answer, Patient
from pgsteady.finding import Finding, Severity
from pgsteady.project import Project

_CREATE = re.compile(r'CREATE\s+EXTENSION\s+(?:IF\s+NOT\s+EXISTS\s+)?"?([\w-]+)', re.IGNORECASE)

_PGVECTOR_SINCE = {"hnsw": "0.5.0", "halfvec": "0.7.0", "sparsevec": "0.7.0"}
"""The version of pgvector that brought the index or type (CHANGELOG.md of pgvector)."""

_KNOWN = text(
    "SELECT needed AS name, a.default_version AS available, x.extversion AS installed, "
    "coalesce((SELECT r.rolsuper FROM pg_roles r WHERE r.rolname = current_user) OR v.trusted "
    "AND has_database_privilege(current_database(), 'CREATE'), false) AS may_create, "
    "quote_ident(needed) AS quoted, quote_ident(current_database()) AS database "
    "FROM unnest(CAST(:needed AS text[])) AS needed "
    "LEFT JOIN pg_available_extensions a ON a.name = needed "
    "LEFT JOIN pg_available_extension_versions v "
    "ON v.name = a.name AND v.version = a.default_version "
    "LEFT JOIN pg_extension x ON x.extname = needed ORDER BY needed"
)


def extensions(patient: Patient) -> Answer:
    """Tell whether each extension is installed, created, and new enough."""
    minimum = _needed(patient)
    known = patient.connection.execute(_KNOWN, {"needed": list(minimum)}).all()
    findings = [finding for row in known for finding in _wrong(row, minimum[row.name], patient)]
    seen = ", ".join(f"{row.name} {row.installed or 'not created'}" for row in known)
    return Answer(seen or "none is needed", tuple(findings))


def _needed(patient: Patient) -> dict[str, str]:
    """Return the extensions that revisions create or models use, and the version of each."""
    found = {name: "0" for names in _created(patient.script).values() for name in names}
    for feature in _pgvector_features(patient.project):
        versions = (found.get("vector", "0"), _PGVECTOR_SINCE.get(feature, "0"))
        found["vector"] = max(versions, key=_numbers)
    return found


def _created(script: ScriptDirectory) -> dict[str, set[str]]:
    """Return which extensions each revision creates."""
    return {
        file.revision: {name.lower() for name in _CREATE.findall(Path(file.path).read_text())}
        for file in script.walk_revisions()
    }


def _pgvector_features(project: Project) -> Iterator[str]:
    for metadata in project.metadata:
        for table in metadata.tables.values():
            for column in table.columns:
                type_ = getattr(column.type, "item_type", column.type)
                if type(type_).__module__.partition(".")[0] == "pgvector":
                    yield type(type_).__name__.lower()
            for index in table.indexes:
                if index.dialect_options["postgresql"]["using"] == "hnsw":
                    yield "hnsw"


def _wrong(row: Any, minimum: str, patient: Patient) -> Iterator[Finding]:
    if row.installed is None:
        yield from _not_created(row, patient)
    elif _numbers(row.installed) < _numbers(minimum):
        newer = row.available is not None and _numbers(row.available) >= _numbers(minimum)
        yield Finding(
            severity=Severity.ERROR,
            code="extension-too-old",
            object=f"extension {row.name}",
            message=f"Its version is {row.installed}; the models need {minimum} or newer.",
            cure=f"An administrator {'runs' if newer else 'installs a newer package, then runs'}, "
            f"in database {row.database}:",
            sql=f"ALTER EXTENSION {row.quoted} UPDATE;",
        )
    elif row.available is None:
        yield _not_installed(row, "It was created, but its files are gone from the server.")
    elif _numbers(row.installed) < _numbers(row.available):
        yield Finding(
            severity=Severity.WARNING,
            code="extension-behind",
            object=f"extension {row.name}",
            message=f"Its version is {row.installed}; the server has {row.available}.",
            cure=f"Its owner or an administrator runs, in database {row.database}:",
            sql=f"ALTER EXTENSION {row.quoted} UPDATE;",
        )


def _not_created(row: Any, patient: Patient) -> Iterator[Finding]:
    if row.available is None:
        yield _not_installed(row, "It is not installed on the server.")
        return
    if row.may_create:
        created = _created(patient.script)
        if any(row.name in created[revision.id] for revision in patient.status.pending):
            return  # `alembic upgrade` will
    yield Finding(
        severity=Severity.ERROR,
        code="extension-missing",
        object=f"extension {row.name}",
        message="It is installed on the server, but this database does not have it"
        + (".", f", and {patient.role} may not create it.")[not row.may_create],
        cure=f"Run, in database {row.database}:"
        if row.may_create
        else f"An administrator runs once, in database {row.database}:",
        sql=f"CREATE EXTENSION IF NOT EXISTS {row.quoted};",
    )


def _not_installed(row: Any, message: str) -> Finding:
    package = "; for vector: postgresql-<major>-pgvector" if row.name == "vector" else ""
    return Finding(
        severity=Severity.ERROR,
        code="extension-not-installed",
        object=f"extension {row.name}",
        message=message,
        cure=f"An administrator installs its package there{package}.",
    )


def _numbers(version: str) -> list[int]:
    return [int(number) for number in re.findall(r"\d+", version)]
