"""What of its server a database needs to stand elsewhere as it stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, text

_READ = text("""
    SELECT current_setting('server_version_num')::int / 10000 AS major,
           current_setting('server_version') AS version,
           current_schema()::text AS default_schema,
           pg_encoding_to_char(encoding)::text AS encoding,
           datcollate::text AS collate, datctype::text AS ctype, datlocprovider::text AS provider,
           pg_database_size(oid) AS size_bytes
    FROM pg_database WHERE datname = current_database()
""")
_LOCALE = text("""
    SELECT coalesce(to_jsonb(d) ->> 'datlocale', to_jsonb(d) ->> 'daticulocale')
    FROM pg_database d WHERE datname = current_database()
""")  # the column's name up to PostgreSQL 16 is the second
_EXTENSIONS = text("SELECT extname::text, extversion FROM pg_extension ORDER BY 1")
_ROLES = text("""
    SELECT rolname::text FROM pg_roles r WHERE rolname !~ '^pg_' AND (
        oid = 10  -- who made the cluster: nothing records what is its
        OR EXISTS (SELECT FROM pg_shdepend s, pg_database d
            WHERE d.datname = current_database() AND s.refobjid = r.oid
            AND s.refclassid = 'pg_authid'::regclass
            AND (s.dbid = d.oid OR s.classid = 'pg_database'::regclass AND s.objid = d.oid)))
    ORDER BY 1
""")
_SETTINGS = text("""
    SELECT split_part(setting, '=', 1), substr(setting, strpos(setting, '=') + 1)
    FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase,
    LATERAL unnest(s.setconfig) AS setting
    WHERE d.datname = current_database() AND s.setrole = 0 ORDER BY 1
""")


@dataclass(frozen=True)
class Surroundings:
    """The server's version, and what the database has of it.

    ``roles`` own something in the database or were granted something; ``settings`` are
    those of ``ALTER DATABASE … SET``. ``provider`` is PostgreSQL's letter for who sorts
    text: ``b``, ``c`` or ``i``; ``locale`` that provider's name for the order.
    """

    major: int
    version: str
    default_schema: str
    encoding: str
    collate: str
    ctype: str
    provider: str
    locale: str | None
    size_bytes: int
    extensions: Mapping[str, str]
    roles: tuple[str, ...]
    settings: Mapping[str, str]

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """Read the surroundings of the database of ``connection``."""
        row = connection.execute(_READ).one()
        return cls(
            **row._asdict(),
            locale=connection.scalar(_LOCALE),
            extensions=dict(connection.execute(_EXTENSIONS).tuples().all()),
            roles=tuple(connection.scalars(_ROLES)),
            settings=dict(connection.execute(_SETTINGS).tuples().all()),
        )

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what a manifest says of them."""
        return cls(**{**document, "roles": tuple(document["roles"])})
