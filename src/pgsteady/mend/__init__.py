"""The SQL that makes a live object what it should be.

Statements run in the order given. What PostgreSQL cannot do in place is made anew; what
only a person can do is said in a comment, ``-- …``.
"""

from __future__ import annotations

from pgsteady.catalog import Catalog, Key, quoted
from pgsteady.compare import Difference
from pgsteady.mend import columns, tables
from pgsteady.mend.enums import relabel
from pgsteady.mend.names import filled, parts
from pgsteady.mend.shared import comment, domain_checks, grants, index_statistics, options, owner
from pgsteady.mend.templates import CREATE, CREATED, DROP, RENAME, SET


def mend(difference: Difference, live: Catalog, expected: Catalog) -> list[str]:
    """Return the statements after which ``difference`` is gone."""
    key = difference.key
    match difference.change:
        case "missing":
            return create(key, expected)
        case "extra":
            return drop(key)
        case "renamed":
            return [filled(RENAME[key.kind], key, then=quoted(difference.live))]
        case _:
            return alter(key, difference.fact, live, expected)


def reverse(difference: Difference, live: Catalog, expected: Catalog) -> list[str]:
    """Return the statements that undo what :func:`mend` does."""
    key = difference.key
    match difference.change:
        case "missing":
            return drop(key)
        case "extra":
            return create(key, live)
        case "renamed":
            now = key._replace(name=difference.live)
            return [filled(RENAME[key.kind], now, then=quoted(key.name))]
        case _:
            return alter(key, difference.fact, expected, live)


def create(key: Key, catalog: Catalog) -> list[str]:
    """Return the statements that make an object, with everything that belongs to it."""
    facts = catalog[key]
    if key.kind == "table":
        statements, settled = tables.create(key, catalog), tables.CREATED
    elif key.kind == "column":
        statements, settled = columns.create(key, facts), columns.CREATED
    else:
        trimmed = {fact: said.rstrip().rstrip(";") for fact, said in facts.items()}
        statements = [filled(CREATE[key.kind], key, **trimmed).rstrip()]
        settled = CREATED.get(key.kind, {"definition"})
    for fact in sorted(facts.keys() - settled):
        statements += alter(key, fact, {key: {}}, catalog)
    for part in parts(key, catalog):
        statements += create(part, catalog)
    return statements


def drop(key: Key) -> list[str]:
    """Return the statements that drop an object."""
    return [filled(DROP.get(key.kind, f"DROP {key.kind.upper()} {{own}}"), key)]


def alter(key: Key, fact: str, live: Catalog, expected: Catalog) -> list[str]:
    """Return the statements that make one fact of an object what it is in ``expected``."""
    now, then = live.get(key, {}).get(fact, ""), expected.get(key, {}).get(fact, "")
    if (key.kind, fact) in SET:
        given, taken = SET[key.kind, fact]
        return [filled(given if then else taken, key, then=then)]
    if fact in _FOR_ANY_KIND:
        return _FOR_ANY_KIND[fact](key, now, then)
    match key.kind, fact:
        case "column", _:
            statements = columns.alter(key, fact, live, expected)
        case "table", _:
            statements = tables.alter(key, fact, now, then)
        case "enum", "labels":
            statements = relabel(key, live, expected, create(key, expected))
        case "domain", "checks":
            statements = domain_checks(key, now, then)
        case "index", "statistics":
            statements = index_statistics(key, now, then)
        case _:
            statements = _anew(key, fact, expected)
    return statements


_FOR_ANY_KIND = {
    "comment": comment,
    "grants": grants,
    "options": options,
    "toast options": options,
    "owner": owner,
}


def _anew(key: Key, fact: str, expected: Catalog) -> list[str]:
    by_hand = {"attributes", "column comments", "type"}
    if fact in by_hand:
        then = expected[key].get(fact, "none")
        return [f"-- {key}: set the {fact} by hand: {then}".replace("\n", "; ")]
    return [*drop(key), *create(key, expected)]
