"""A project's catalog as it stands in a database."""

from __future__ import annotations

from sqlalchemy import Connection, text

from pgsteady import catalog
from pgsteady.catalog import Catalog
from pgsteady.project import Project


def read_project(
    project: Project, connection: Connection, default: str, owner: str | None = None
) -> Catalog:
    """Read the project's catalog from a database, without Alembic's own table."""
    schemas = {
        name: "" if name == default else name for name in catalog.project_schemas(connection)
    }
    found = catalog.read(connection, schemas, owner=owner)
    schema = project.version_table_schema or default
    own = (schemas.get(schema, schema), project.version_table)
    return {
        key: facts for key, facts in found.items() if (key.schema, key.table or key.name) != own
    }


def read_live(project: Project, connection: Connection, default: str) -> Catalog:
    """Read the project's catalog from its database.

    Its objects are those of the role that owns Alembic's table, for that one migrates.
    """
    schema, table = project.version_table_schema or default, project.version_table
    owner = connection.scalar(
        text(
            "SELECT pg_get_userbyid(c.relowner)::text FROM pg_class c "
            "JOIN pg_namespace n ON n.oid = c.relnamespace "
            "WHERE n.nspname = :schema AND c.relname = :table"
        ),
        {"schema": schema, "table": table},
    )
    return read_project(project, connection, default, owner)
