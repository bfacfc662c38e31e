"""What a project's models make: they are built beside the live schema, and rolled back.

Nothing is committed and no lock is taken on anybody's table, so nothing is left even if
we are killed. It needs the right to create schemas in the database, and no other.
"""

from __future__ import annotations

from collections.abc import Sequence

from sqlalchemy import Connection, MetaData, text
from sqlalchemy.exc import DBAPIError, SQLAlchemyError

from pgsteady import catalog
from pgsteady.catalog import Catalog
from pgsteady.errors import ModelsFailed

SCRATCH = "pgsteady_scratch"
LOCK_TIMEOUT = "2s"
"""For models whose own DDL touches something live; theirs alone never waits."""


def built(connection: Connection, models: Sequence[MetaData], default: str) -> Catalog:
    """Return the catalog that ``models`` make, in a database whose default schema is given.

    ``connection`` must be in a transaction, which the caller rolls back.

    Raises:
        ModelsFailed: the database refuses to build them.
    """
    homes = sorted({_home(table.schema, default) for m in models for table in m.tables.values()})
    scratch = {home: f"{SCRATCH}_{n}" for n, home in enumerate(dict.fromkeys(["", *homes]))}
    translation = {home: made for home, made in scratch.items() if home} | {default: scratch[""]}
    before = connection.get_execution_options().get("schema_translate_map")
    path = connection.scalar(text("SELECT current_setting('search_path')"))
    connection.execution_options(schema_translate_map=translation)
    try:
        connection.exec_driver_sql(f"SET LOCAL lock_timeout = '{LOCK_TIMEOUT}'")
        for made in scratch.values():
            connection.exec_driver_sql(f"CREATE SCHEMA {made}")
        connection.execute(
            text("SELECT set_config('search_path', :path, true)"),
            {"path": f"{scratch['']}, {path}" if path else scratch[""]},
        )
        for metadata in models:
            metadata.create_all(connection, checkfirst=False)
    except DBAPIError as error:
        raise _refused(error, connection) from error
    except SQLAlchemyError as error:
        raise ModelsFailed(f"The models cannot be built: {error}") from error
    finally:
        connection.execution_options(schema_translate_map=before)
    schemas = {made: home for home, made in scratch.items()}
    return catalog.read(connection, schemas, unqualified=[default])


def _home(schema: str | None, default: str) -> str:
    return "" if schema in {None, default} else str(schema)


def _refused(error: DBAPIError, connection: Connection) -> ModelsFailed:
    cause = str(error.orig).strip().splitlines()[0]
    if "permission denied for database" in cause:
        url = connection.engine.url
        return ModelsFailed(
            "This role may not create schemas, so the models cannot be built for comparison.",
            hint="An administrator runs once: "
            f'GRANT CREATE ON DATABASE "{url.database}" TO "{url.username}";',
        )
    return ModelsFailed(f"The models cannot be built: {cause}.")
