"""What of its server a database needs to stand elsewhere as it stood."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

from sqlalchemy import Connection, text

_READ = text("""
    SELECT current_setting('server_version_num')::int / 10000 AS major,
           current_setting('server_version') AS version,
           replace(current_setting('search_path'), '"$user"', quote_ident(current_user))
               AS search_path,
           pg_encoding_to_char(encoding)::text AS encoding,
           datcollate::text AS collate, datctype::text AS ctype, datlocprovider::text AS provider,
           pg_database_size(oid) AS size_bytes, datacl IS NOT NULL AS granted
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
    SELECT coalesce(r.rolname::text, '') AS role, split_part(setting, '=', 1) AS name,
           substr(setting, strpos(setting, '=') + 1) AS value
    FROM pg_db_role_setting s JOIN pg_database d ON d.oid = s.setdatabase
    LEFT JOIN pg_roles r ON r.oid = s.setrole, LATERAL unnest(s.setconfig) AS setting
    WHERE d.datname = current_database() ORDER BY 1, 2
""")
_GRANTS = text("""
    SELECT coalesce(r.rolname::text, '') AS role, lower(a.privilege_type) AS privilege
    FROM pg_database d, LATERAL aclexplode(d.datacl) a LEFT JOIN pg_roles r ON r.oid = a.grantee
    WHERE d.datname = current_database() AND a.grantee <> d.datdba ORDER BY 1, 2
""")


@dataclass(frozen=True)
class Setting:
    """A setting of ``ALTER DATABASE … SET``, or of ``ALTER ROLE … IN DATABASE`` for a role."""

    role: str
    name: str
    value: str


@dataclass(frozen=True)
class Grant:
    """A privilege on the database; the role is empty for PUBLIC."""

    role: str
    privilege: str


@dataclass(frozen=True)
class Surroundings:
    """The server's version, and what the database has of it.

    ``search_path`` is that of the role that makes backups. ``provider`` is PostgreSQL's
    letter for who sorts text: ``b``, ``c`` or ``i``; ``locale`` that provider's name for
    the order. ``roles`` own something in the database or were granted something;
    ``grants`` is None where nobody changed the privileges on the database itself.
    """

    major: int
    version: str
    search_path: str
    encoding: str
    collate: str
    ctype: str
    provider: str
    locale: str | None
    size_bytes: int
    extensions: Mapping[str, str]
    roles: tuple[str, ...]
    settings: tuple[Setting, ...]
    grants: tuple[Grant, ...] | None

    @classmethod
    def of(cls, connection: Connection) -> Self:
        """Read the surroundings of the database of ``connection``."""
        row = connection.execute(_READ).one()._asdict()
        granted = row.pop("granted")
        grants = connection.execute(_GRANTS).all() if granted else None
        return cls(
            **row,
            locale=connection.scalar(_LOCALE),
            extensions=dict(connection.execute(_EXTENSIONS).all()),
            roles=tuple(connection.scalars(_ROLES)),
            settings=tuple(Setting(*row) for row in connection.execute(_SETTINGS)),
            grants=None if grants is None else tuple(Grant(*row) for row in grants),
        )

    @classmethod
    def from_json(cls, document: Mapping[str, Any]) -> Self:
        """Read what a manifest says of them."""
        grants = document["grants"]
        lists = {
            "roles": tuple(document["roles"]),
            "settings": tuple(Setting(**each) for each in document["settings"]),
            "grants": None if grants is None else tuple(Grant(**each) for each in grants),
        }
        return cls(**{**document, **lists})
