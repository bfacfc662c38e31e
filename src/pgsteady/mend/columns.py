"""Statements that make and alter columns."""

from __future__ import annotations

import re

from pgsteady.catalog import Catalog, Facts, Key, quoted
from pgsteady.mend.names import filled, qualified
from pgsteady.mend.shared import comment, grants, options
from pgsteady.mend.templates import SET

CREATED = {"type", "collation", "default", "generated", "identity", "null"}
"""The facts that a column's description settles."""


def create(key: Key, facts: Facts) -> list[str]:
    """Return the statement that adds a column."""
    return [f"ALTER TABLE {qualified(key)} ADD COLUMN {described(key, facts)}"]


def described(key: Key, facts: Facts) -> str:
    """Return a column as CREATE TABLE and ADD COLUMN write it."""
    words = [quoted(key.name), facts["type"]]
    words += [f"COLLATE {facts['collation']}"] if "collation" in facts else []
    words += [f"DEFAULT {facts['default']}"] if "default" in facts else []
    if "generated" in facts:
        expression, _, kept = facts["generated"].rpartition(" ")
        words.append(f"GENERATED ALWAYS AS ({expression.strip()}) {kept}")
    if "identity" in facts:
        when, sequence = _identity(facts["identity"])
        words.append(f"GENERATED {when} AS IDENTITY ({sequence})")
    words += ["NOT NULL"] if "null" in facts else []
    return " ".join(words)


def details(key: Key, catalog: Catalog) -> list[str]:
    """Return the statements that say of a new column what its description could not."""
    statements = []
    for fact in sorted(catalog[key].keys() - CREATED):
        said = catalog[key][fact]
        if (key.kind, fact) in SET:
            statements.append(filled(SET[key.kind, fact][0], key, then=said))
        else:
            how = {"comment": comment, "grants": grants, "options": options}[fact]
            statements += how(key, "", said)
    return statements


def alter(key: Key, fact: str, live: Catalog, expected: Catalog) -> list[str]:
    """Return the statements that change the type, expression or identity of a column."""
    now, then = live.get(key, {}).get(fact, ""), expected[key].get(fact, "")
    column = f"ALTER TABLE {qualified(key)} ALTER COLUMN {quoted(key.name)}"
    if fact == "generated":
        return _regenerate(key, column, live, expected)
    if fact == "identity":
        return _reidentify(column, now, then)
    return _retype(key, column, live.get(key, {}), expected[key])


def _retype(key: Key, column: str, now: Facts, then: Facts) -> list[str]:
    """Change type and collation; a default does not always follow to another type."""
    collate = f" COLLATE {then['collation']}" if "collation" in then else ""
    statement = f"{column} TYPE {then['type']}{collate}"
    if now.get("type") == then["type"]:
        return [statement]
    statement += f" USING {quoted(key.name)}::{then['type']}"
    if "default" not in now:
        return [statement]
    restored = [f"{column} SET DEFAULT {then['default']}"] if "default" in then else []
    return [f"{column} DROP DEFAULT", statement, *restored]


def _regenerate(key: Key, column: str, live: Catalog, expected: Catalog) -> list[str]:
    """Make a computed column anew, with what PostgreSQL drops along with it."""
    if "generated" not in expected[key]:
        return [f"{column} DROP EXPRESSION"]
    table, name = qualified(key), quoted(key.name)
    statements = [
        f"ALTER TABLE {table} DROP COLUMN {name}",
        *create(key, expected[key]),
        *details(key, expected),
    ]
    for other, facts in expected.items():
        definition = facts.get("definition", "")
        if other in live and other[1:3] == key[1:3] and _names(definition, name):
            if other.kind == "index":
                statements.append(definition)
            elif other.kind == "constraint":
                added = f"ADD CONSTRAINT {quoted(other.name)} {definition}"
                statements.append(f"ALTER TABLE {table} {added}")
    return statements


def _reidentify(column: str, now: str, then: str) -> list[str]:
    if not then:
        return [f"{column} DROP IDENTITY"]
    when, sequence = _identity(then)
    if not now:
        return [f"{column} SET NOT NULL", f"{column} ADD GENERATED {when} AS IDENTITY ({sequence})"]
    settings = re.sub(
        r"(START|INCREMENT|MINVALUE|MAXVALUE|CACHE|(?:NO )?CYCLE)", r"SET \1", sequence
    )
    return [f"{column} SET GENERATED {when} {settings}"]


def _identity(text: str) -> tuple[str, str]:
    """Split ``ALWAYS AS integer START WITH 1 …``; the sequence's type is the column's."""
    when, _, rest = text.partition(" AS ")
    return when, rest[rest.index("START WITH") :]


def _names(definition: str, name: str) -> bool:
    return re.search(rf"(?<![\w\"]){re.escape(name)}(?![\w\"])", definition) is not None
