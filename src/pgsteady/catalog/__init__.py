"""What a schema really is, in PostgreSQL's own canonical words.

Two catalogs of the same schema are equal, whatever the server's major version, and
whether it stands in ``public`` or was built in a scratch schema.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from typing import Any, NamedTuple

from sqlalchemy import Connection, text
from sqlalchemy.dialects.postgresql.base import PGDialect, PGIdentifierPreparer
from sqlalchemy.exc import OperationalError

from pgsteady.catalog.queries import QUERIES
from pgsteady.connection import LOCK_NOT_AVAILABLE
from pgsteady.errors import SchemaBusy

_PREPARER = PGIdentifierPreparer(PGDialect())  # type: ignore[no-untyped-call]

OURS = "pgsteady"
"""The schema of pgsteady's own state, which is no part of anybody's catalog."""


class Key(NamedTuple):
    """What an object is and what it is called.

    ``schema`` is empty in the default schema, ``table`` for what is in no table.
    """

    kind: str
    schema: str
    table: str
    name: str

    def __str__(self) -> str:
        named = ".".join(part for part in (self.schema, self.table, self.name) if part)
        return f"{self.kind} {named}"


LOCK_TIMEOUT = "3s"
"""Longest wait for a table that somebody alters just now."""

Facts = dict[str, str]
Catalog = dict[Key, Facts]

_VERBATIM = {"comment", "column comments", "labels"}
"""Facts that hold people's text, in which no name is to be looked for."""

_SQL = re.compile(
    r"""(?P<string>'(?:[^']|'')*')(?P<names>::reg\w+)?
    | (?P<tag>\$\w*\$) .*? (?P=tag)
    | (?<![.\w"]) (?P<schema>"(?:[^"]|"")+"|[a-z_]\w*) \. (?=["\w])
    """,
    re.VERBOSE | re.DOTALL | re.IGNORECASE,
)


def default_schema(connection: Connection) -> str:
    """Return the schema in which unqualified names are made."""
    return connection.scalar(text("SELECT current_schema()")) or "public"


def project_schemas(connection: Connection) -> list[str]:
    """Return the schemas that may be a project's: no system's, no extension's, not ours."""
    rows = connection.scalars(
        text(
            "SELECT nspname FROM pg_namespace n WHERE nspname !~ '^pg_' "
            "AND nspname NOT IN ('information_schema', :ours) AND NOT EXISTS (SELECT FROM "
            "pg_depend d WHERE d.classid = 'pg_namespace'::regclass AND d.objid = n.oid "
            "AND d.deptype = 'e') ORDER BY nspname"
        ),
        {"ours": OURS},
    )
    return list(rows)


def read(
    connection: Connection,
    schemas: Mapping[str, str],
    *,
    owner: str | None = None,
    unqualified: Iterable[str] = (),
) -> Catalog:
    """Read what stands in ``schemas``: the name of each, and the name to know it by.

    The default schema is to be known as the empty name. Objects of ``owner`` (by default
    the role that reads) are taken as the project's own. Names in the schemas
    ``unqualified`` are written bare too, as are those of extensions.

    The transaction's ``search_path`` is changed while it reads.

    Raises:
        SchemaBusy: another transaction holds a table too long.
    """
    before, path, me, homes = connection.execute(
        text(
            "SELECT current_setting('search_path'), current_schemas(true)::text[], "
            "current_user::text, array(SELECT DISTINCT nspname::text FROM pg_extension x "
            "JOIN pg_namespace n ON n.oid = x.extnamespace WHERE nspname <> 'pg_catalog')"
        )
    ).one()
    bare = {name: "" for name in (*homes, *unqualified) if name not in schemas}
    names = {quoted(name): quoted(known) for name, known in {**bare, **schemas}.items()}
    parameters = {"schemas": list(schemas), "owner": owner or me, "path": path}
    catalog: Catalog = {}
    for kind, schema, table, name, facts in _rows(connection, parameters, before):
        known = schemas.get(schema, "")
        if kind == "schema" and not known:
            continue  # every database has the default one
        key = Key(kind, known, table, renamed(name, names) if "(" in name else name)
        catalog[key] = {
            fact: said if fact in _VERBATIM else renamed(said, names)
            for fact, said in facts.items()
            if said
        }
    return catalog


def _rows(connection: Connection, parameters: dict[str, Any], path: str) -> list[Any]:
    """Run the queries; some functions of PostgreSQL wait for a table that is being altered."""
    configure = text(
        "SELECT set_config('search_path', :path, true), set_config('lock_timeout', :limit, true)"
    )
    patience = connection.scalar(text("SELECT current_setting('lock_timeout')"))
    connection.execute(configure, {"path": "", "limit": LOCK_TIMEOUT})
    try:
        rows = [row for q in QUERIES for row in connection.exec_driver_sql(q, parameters)]
    except OperationalError as error:
        if getattr(error.orig, "pgcode", None) != LOCK_NOT_AVAILABLE:
            raise
        raise SchemaBusy(
            f"Another transaction has held a table for longer than {LOCK_TIMEOUT}.",
            hint="Run the command again when it has ended; `doctor` names long transactions.",
        ) from error
    connection.execute(configure, {"path": path, "limit": patience})
    return rows


def renamed(sql: str, schemas: Mapping[str, str]) -> str:
    """Return ``sql`` with other schemas' names, or none, before the names of objects.

    Strings and the bodies of functions stay as they are, unless a string is a name,
    as in ``nextval('public.things_id_seq'::regclass)``.
    """
    if not any(schema in sql for schema in schemas):
        return sql

    def replace(found: re.Match[str]) -> str:
        if found["names"]:
            return f"'{renamed(found['string'][1:-1], schemas)}'{found['names']}"
        if found["schema"] in schemas:
            known = schemas[found["schema"]]
            return f"{known}." if known else ""
        return found[0]

    return _SQL.sub(replace, sql)


def quoted(name: str) -> str:
    """Return a name as SQL writes it, in quotes where it needs them."""
    return _PREPARER.quote(name) if name else ""
