"""Names as SQL writes them, and what belongs to what."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterator

from pgsteady.catalog import Catalog, Key, quoted

_ORDER = ("constraint", "index", "policy", "trigger", "rule")


def qualified(key: Key, name: str | None = None) -> str:
    """Return ``name`` in the object's schema; by default that of its table, or its own."""
    name = name or key.table or key.name
    shown = name if "(" in name else quoted(name)  # a function's name is SQL already
    return f"{quoted(key.schema)}.{shown}" if key.schema else shown


def filled(template: str, key: Key, **facts: str) -> str:
    """Fill a template with the object's names and facts; what is not said is empty."""
    words = {
        "table": qualified(key),
        "own": qualified(key, key.name) if key.name else "",
        "name": quoted(key.name),
        "schema": quoted(key.schema),
        "schema_dot": f"{quoted(key.schema)}." if key.schema else "",
    }
    return template.format_map(defaultdict(str, facts | words))


def parts(key: Key, catalog: Catalog) -> Iterator[Key]:
    """Yield what belongs to a relation and is made after it."""
    if key.kind not in {"table", "view", "materialized view"}:
        return
    inside = [k for k in catalog if k[1:3] == (key.schema, key.name) and k.kind in _ORDER]
    # Foreign keys come after what they may refer to, in the table itself too.
    yield from sorted(inside, key=lambda k: (_ORDER.index(k.kind), _is_foreign(k, catalog), k))


def columns_of(key: Key, catalog: Catalog) -> list[Key]:
    """Return the columns of a table, in their order."""
    return [k for k in catalog if k[:3] == ("column", key.schema, key.name)]


def columns_of_type(key: Key, catalog: Catalog) -> list[Key]:
    """Return the columns whose type is ``key``, or an array of it."""
    types = {qualified(key), f"{qualified(key)}[]"}
    return [k for k, facts in catalog.items() if k.kind == "column" and facts["type"] in types]


def _is_foreign(key: Key, catalog: Catalog) -> bool:
    return catalog[key].get("definition", "").startswith("FOREIGN KEY")
