"""Statements that are one line for each kind of object, by kind and fact.

``{table}`` is the relation that the object lies in, else the object itself, ``{name}`` its
name, ``{own}`` its name with its schema; ``{then}`` is what the fact is to be, ``{now}``
what it is; any other word is another fact.
"""

from __future__ import annotations

CREATE = {
    "aggregate": "-- make the aggregate {own} by hand: {definition}",
    "collation": "-- make the collation {own} by hand: {definition}",
    "composite type": "CREATE TYPE {own} AS ({attributes})",
    "constraint": "ALTER TABLE {table} ADD CONSTRAINT {name} {definition}",
    "domain": "CREATE DOMAIN {own} AS {type}",
    "enum": "CREATE TYPE {own} AS ENUM ({labels})",
    "event trigger": "CREATE EVENT TRIGGER {name} {definition}",
    "extension": "CREATE EXTENSION IF NOT EXISTS {name}",
    "foreign table": "-- make the foreign table {own} by hand",
    "function": "{definition}",
    "index": "{definition}",
    "materialized view": "CREATE MATERIALIZED VIEW {own} AS\n{definition} {populated}",
    "policy": "CREATE POLICY {name} ON {table} {definition}",
    "procedure": "{definition}",
    "publication": "CREATE PUBLICATION {name} {definition}",
    "range type": "CREATE TYPE {own} AS RANGE (SUBTYPE = {type})",
    "rule": "{definition}",
    "schema": "CREATE SCHEMA {schema}",
    "sequence": "CREATE SEQUENCE {own} {definition}",
    "statistics": "{definition}",
    "trigger": "{definition}",
    "view": "CREATE VIEW {own} AS\n{definition}",
}

CREATED = {
    "constraint": {"definition", "index", "valid"},
    "composite type": {"attributes"},
    "domain": {"type"},
    "enum": {"labels"},
    "extension": {"version", "schema"},
    "index": {"definition", "valid"},
    "materialized view": {"definition", "populated"},
    "publication": {"definition", "options"},
    "range type": {"type"},
}
"""The facts that CREATE settles, where they are not just the definition."""

DROP = {
    "column": "ALTER TABLE {table} DROP COLUMN {name}",
    "composite type": "DROP TYPE {own}",
    "constraint": "ALTER TABLE {table} DROP CONSTRAINT {name}",
    "enum": "DROP TYPE {own}",
    "policy": "DROP POLICY {name} ON {table}",
    "range type": "DROP TYPE {own}",
    "rule": "DROP RULE {name} ON {table}",
    "schema": "DROP SCHEMA {schema}",
    "trigger": "DROP TRIGGER {name} ON {table}",
}
"""For all other kinds it is DROP, the kind, the name."""

RENAME = {
    "index": "ALTER INDEX {schema_dot}{then} RENAME TO {name}",
    "constraint": "ALTER TABLE {table} RENAME CONSTRAINT {then} TO {name}",
}
"""``{then}`` is what it is called now."""

NAMED = {
    "column": "COLUMN {table}.{name}",
    "composite type": "TYPE {own}",
    "constraint": "CONSTRAINT {name} ON {table}",
    "enum": "TYPE {own}",
    "policy": "POLICY {name} ON {table}",
    "range type": "TYPE {own}",
    "rule": "RULE {name} ON {table}",
    "schema": "SCHEMA {schema}",
    "trigger": "TRIGGER {name} ON {table}",
}
"""As COMMENT names an object; for all other kinds it is the kind and the name."""

_COLUMN = "ALTER TABLE {table} ALTER COLUMN {name}"

SET: dict[tuple[str, str], tuple[str, str]] = {
    ("column", "null"): (f"{_COLUMN} SET NOT NULL", f"{_COLUMN} DROP NOT NULL"),
    ("column", "default"): (f"{_COLUMN} SET DEFAULT {{then}}", f"{_COLUMN} DROP DEFAULT"),
    ("column", "storage"): (f"{_COLUMN} SET STORAGE {{then}}", f"{_COLUMN} SET STORAGE DEFAULT"),
    ("column", "compression"): (
        f"{_COLUMN} SET COMPRESSION {{then}}",
        f"{_COLUMN} SET COMPRESSION default",
    ),
    ("column", "statistics"): (
        f"{_COLUMN} SET STATISTICS {{then}}",
        f"{_COLUMN} SET STATISTICS -1",
    ),
    ("constraint", "triggers"): (
        "ALTER TABLE {table} DISABLE TRIGGER ALL",
        "ALTER TABLE {table} ENABLE TRIGGER ALL",
    ),
    ("domain", "default"): (
        "ALTER DOMAIN {own} SET DEFAULT {then}",
        "ALTER DOMAIN {own} DROP DEFAULT",
    ),
    ("domain", "null"): ("ALTER DOMAIN {own} SET NOT NULL", "ALTER DOMAIN {own} DROP NOT NULL"),
    ("event trigger", "fires"): (
        "ALTER EVENT TRIGGER {name} DISABLE",
        "ALTER EVENT TRIGGER {name} ENABLE",
    ),
    ("extension", "version"): ("ALTER EXTENSION {name} UPDATE", "ALTER EXTENSION {name} UPDATE"),
    ("extension", "schema"): (
        "ALTER EXTENSION {name} SET SCHEMA {then}",
        "ALTER EXTENSION {name} SET SCHEMA public",
    ),
    ("function", "definition"): ("{then}", ""),
    ("procedure", "definition"): ("{then}", ""),
    ("index", "tablespace"): (
        "ALTER INDEX {own} SET TABLESPACE {then}",
        "ALTER INDEX {own} SET TABLESPACE pg_default",
    ),
    ("materialized view", "populated"): (
        "REFRESH MATERIALIZED VIEW {own} {then}",
        "REFRESH MATERIALIZED VIEW {own}",
    ),
    ("sequence", "definition"): ("ALTER SEQUENCE {own} {then}", ""),
    ("sequence", "owned by"): (
        "ALTER SEQUENCE {own} OWNED BY {then}",
        "ALTER SEQUENCE {own} OWNED BY NONE",
    ),
    ("sequence", "persistence"): (
        "ALTER SEQUENCE {own} SET UNLOGGED",
        "ALTER SEQUENCE {own} SET LOGGED",
    ),
    ("statistics", "statistics"): (
        "ALTER STATISTICS {own} SET STATISTICS {then}",
        "ALTER STATISTICS {own} SET STATISTICS -1",
    ),
    ("table", "access method"): (
        "ALTER TABLE {own} SET ACCESS METHOD {then}",
        "ALTER TABLE {own} SET ACCESS METHOD heap",
    ),
    ("table", "persistence"): ("ALTER TABLE {own} SET UNLOGGED", "ALTER TABLE {own} SET LOGGED"),
    ("table", "replica identity"): (
        "ALTER TABLE {own} REPLICA IDENTITY {then}",
        "ALTER TABLE {own} REPLICA IDENTITY DEFAULT",
    ),
    ("table", "tablespace"): (
        "ALTER TABLE {own} SET TABLESPACE {then}",
        "ALTER TABLE {own} SET TABLESPACE pg_default",
    ),
    **{
        (kind, "clustered"): (
            "ALTER TABLE {table} CLUSTER ON {name}",
            "ALTER TABLE {table} SET WITHOUT CLUSTER",
        )
        for kind in ("index", "constraint")
    },
    **{
        (kind, "valid"): ("REINDEX INDEX {schema_dot}{name}", "REINDEX INDEX {schema_dot}{name}")
        for kind in ("index", "constraint")
    },
    **{
        (kind, "fires"): (
            f"ALTER TABLE {{table}} {{then}} {kind.upper()} {{name}}",
            f"ALTER TABLE {{table}} ENABLE {kind.upper()} {{name}}",
        )
        for kind in ("trigger", "rule")
    },
}
"""How a fact is set, and how it is brought back to what CREATE leaves it at."""
