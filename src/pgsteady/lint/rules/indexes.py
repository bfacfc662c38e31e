"""Indexes: built, rebuilt, dropped."""

from __future__ import annotations

from collections.abc import Iterator

from pgsteady.lint.hit import Hit
from pgsteady.lint.rule import AUTOCOMMIT, ERROR, INFO, Rule
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, Tree, columns_named, dropped, options, relation

RULES = (
    Rule(
        "index-blocks-writes",
        ERROR,
        "nobody can write to the table until the index is built",
        f"create it with postgresql_concurrently=True {AUTOCOMMIT}",
    ),
    Rule(
        "index-on-partitioned-table",
        ERROR,
        "nobody can write to any partition until all their indexes are built, and the whole "
        "cannot be built concurrently",
        "CREATE INDEX … ON ONLY the parent, on each partition CONCURRENTLY, then ALTER INDEX … "
        "ATTACH PARTITION",
    ),
    Rule(
        "reindex-blocks",
        ERROR,
        "nobody can write to the table, nor read through the index, until it is rebuilt",
        f"REINDEX … CONCURRENTLY {AUTOCOMMIT}",
    ),
    Rule(
        "drop-index-waits",
        INFO,
        "it waits for everybody who uses the table, and everybody after waits for it",
        f"drop it with postgresql_concurrently=True {AUTOCOMMIT}",
    ),
    Rule(
        "index-over-constant",
        ERROR,
        "every row has the same key, so the index helps no query and a unique one refuses rows",
        'name the column: sa.literal_column("lower(email)"), not func.lower("email")',
    ),
    Rule(
        "wide-index",
        INFO,
        "more than three columns, not unique: seldom used whole, and each write pays for it",
        "index the columns that the query selects by",
    ),
    Rule(
        "unique-may-fail",
        INFO,
        "if rows share a key it fails and leaves an INVALID index",
        "look for duplicates first: SELECT key, count(*) … GROUP BY key HAVING count(*) > 1",
    ),
)


MOST_COLUMNS = 3


def check_index(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """CREATE INDEX."""
    if statement.kind != "index_stmt":
        return
    tree = statement.tree
    table, name = relation(tree["relation"]), tree.get("idxname", "")
    yield from _keys(tree, name or table)
    if schema.is_new(table):
        return
    found = schema.tables.get(table)
    if found and found.materialized:
        return  # nobody writes to it
    partitioned = found is not None and found.partitioned
    if tree.get("concurrent"):
        if partitioned:
            yield Hit("index-on-partitioned-table", table, "CONCURRENTLY is refused here")
        if tree.get("unique"):
            yield Hit("unique-may-fail", name)
    elif not partitioned:
        yield Hit("index-blocks-writes", table, f"index {name}")
    elif tree["relation"].get("inh"):
        yield Hit("index-on-partitioned-table", table)


def _keys(tree: Tree, name: str) -> Iterator[Hit]:
    expressions = [
        element["index_elem"]["expr"]
        for element in tree.get("index_params", [])
        if "expr" in element["index_elem"]
    ]
    if any(not columns_named(expression) for expression in expressions):
        yield Hit("index-over-constant", name)
    if len(tree.get("index_params", [])) > MOST_COLUMNS and not tree.get("unique"):
        yield Hit("wide-index", name)


def check_reindex(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """REINDEX."""
    if statement.kind == "reindex_stmt":
        name = relation(statement.tree.get("relation")) or statement.tree.get("name", "")
        concurrently = "concurrently" in options(statement.tree.get("params", []))
        if not concurrently and not schema.is_new(name):
            yield Hit("reindex-blocks", name)


def check_drop_index(statement: Statement, schema: Schema) -> Iterator[Hit]:
    """DROP INDEX."""
    if statement.kind == "drop_stmt" and statement.tree.get("remove_type") == "OBJECT_INDEX":
        for name in dropped(statement.tree):
            index = schema.indexes.get(name)
            new = index is not None and schema.is_new(index.table)
            if not new and not statement.tree.get("concurrent"):
                yield Hit("drop-index-waits", name)
