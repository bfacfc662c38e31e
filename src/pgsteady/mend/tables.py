"""Statements that make and alter tables."""

from __future__ import annotations

from pgsteady.catalog import Catalog, Key
from pgsteady.mend import columns
from pgsteady.mend.names import columns_of, qualified

CREATED = {"persistence", "partition by", "partition of", "inherits", "access method"}
"""The facts that CREATE TABLE settles."""


def create(key: Key, catalog: Catalog) -> list[str]:
    """Return the statements that make a table with its columns, and nothing else of it."""
    facts, within = catalog[key], columns_of(key, catalog)
    words = [f"CREATE {facts.get('persistence', '')} TABLE {qualified(key)}".replace("  ", " ")]
    if "partition of" in facts:
        words.append(f"PARTITION OF {facts['partition of']}")
    else:
        words.append("({})".format(", ".join(columns.described(c, catalog[c]) for c in within)))
    words += [f"INHERITS ({facts['inherits']})"] if "inherits" in facts else []
    words += [f"PARTITION BY {facts['partition by']}"] if "partition by" in facts else []
    words += [f"USING {facts['access method']}"] if "access method" in facts else []
    statements = [" ".join(words)]
    for column in within:
        statements += columns.details(column, catalog)
    return statements


def alter(key: Key, fact: str, now: str, then: str) -> list[str]:
    """Return the statements that change one fact of a table."""
    name = qualified(key)
    table = f"ALTER TABLE {name}"
    if fact == "row security":
        return _row_security(table, now, then)
    if fact == "partition of":
        (old, _, _), (new, _, bound) = now.partition(" "), then.partition(" ")
        return ([f"ALTER TABLE {old} DETACH PARTITION {name}"] if old else []) + (
            [f"ALTER TABLE {new} ATTACH PARTITION {name} {bound}"] if new else []
        )
    if fact == "inherits":
        return [f"{table} NO INHERIT {parent}" for parent in now.split(", ") if parent] + [
            f"{table} INHERIT {parent}" for parent in then.split(", ") if parent
        ]
    return [f"-- {name} has to be made anew: {fact} is {now or 'none'}, not {then or 'none'}"]


def _row_security(table: str, now: str, then: str) -> list[str]:
    statements = []
    if ("ENABLE" in now) != ("ENABLE" in then):
        able = "ENABLE" if "ENABLE" in then else "DISABLE"
        statements.append(f"{table} {able} ROW LEVEL SECURITY")
    if ("FORCE" in now) != ("FORCE" in then):
        force = "FORCE" if "FORCE" in then else "NO FORCE"
        statements.append(f"{table} {force} ROW LEVEL SECURITY")
    return statements
