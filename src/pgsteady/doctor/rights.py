"""What our role may do in the database."""

from __future__ import annotations

from collections.abc import Iterator

from sqlalchemy import text

from pgsteady.doctor.examination import Answer, Patient
from pgsteady.finding import Finding, Severity

_MAY = text(
    "SELECT quote_ident(current_schema()), has_schema_privilege(current_schema(), 'CREATE'), "
    "quote_ident(current_database()), has_database_privilege(current_database(), 'CREATE')"
)
_OF_OTHERS = text(
    "SELECT c.oid::regclass::text, quote_ident(pg_get_userbyid(c.relowner)) "
    "FROM unnest(CAST(:schemas AS text[]), CAST(:tables AS text[])) AS model (schema, name) "
    "JOIN pg_namespace n ON n.nspname = coalesce(model.schema, current_schema()) "
    "JOIN pg_class c ON c.relnamespace = n.oid AND c.relname = model.name "
    "WHERE c.relkind IN ('r', 'p') AND NOT pg_has_role(c.relowner, 'USAGE') ORDER BY 1"
)


def rights(patient: Patient) -> Answer:
    """Tell whether our role may do what revisions do: make tables, and alter those there."""
    findings = (*_creating(patient), *_altering(patient))
    return Answer(f"{patient.role} may make tables and alter those there", findings)


def _creating(patient: Patient) -> Iterator[Finding]:
    schema, in_schema, database, in_database = patient.connection.execute(_MAY).one()
    if schema is None:
        yield Finding(
            severity=Severity.ERROR,
            code="no-schema",
            object="search_path",
            message="It names no schema that exists, so no table can be made.",
            cure="An administrator makes one, in this database:",
            sql=f"CREATE SCHEMA public AUTHORIZATION {patient.role};",
        )
    elif not in_schema:
        yield Finding(
            severity=Severity.ERROR,
            code="no-right-on-schema",
            object=f"schema {schema}",
            message=f"{patient.role} may not make tables in it.",
            cure="An administrator runs once, in this database:",
            sql=f"GRANT CREATE ON SCHEMA {schema} TO {patient.role};",
        )
    if not in_database:
        yield Finding(
            severity=Severity.WARNING,
            code="no-right-on-database",
            object=f"database {database}",
            message=f"{patient.role} may not make schemas in it: no audit can be begun, "
            "and `check` has no place to work.",
            cure="An administrator runs once:",
            sql=f"GRANT CREATE ON DATABASE {database} TO {patient.role};",
        )


def _altering(patient: Patient) -> Iterator[Finding]:
    models = [table for metadata in patient.project.metadata for table in metadata.tables.values()]
    named = {"schemas": [t.schema for t in models], "tables": [t.name for t in models]}
    for table, owner in patient.connection.execute(_OF_OTHERS, named):
        yield Finding(
            severity=Severity.ERROR,
            code="not-owner",
            object=f"table {table}",
            message=f"It belongs to {owner}; {patient.role} may not alter it.",
            cure=f"{owner} or an administrator runs once, in this database:",
            sql=f"ALTER TABLE {table} OWNER TO {patient.role};",
        )
