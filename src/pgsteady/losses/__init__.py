"""What a statement would destroy of what a database holds: rows, and values of columns.

It is asked of the database just before the statement runs. Not seen is what functions and
triggers of the server do by themselves, and SQL that a DO block puts together.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from dataclasses import dataclass

from psycopg2 import extensions, sql

from pgsteady.catalog import quoted
from pgsteady.lint.rules.data import inner
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import (
    Statement,
    Tree,
    commands,
    expression_text,
    statement_text,
    type_text,
    unwrap,
    walk,
    words,
)
from pgsteady.losses.database import Database, Existing, Table, dotted


@dataclass(frozen=True)
class Loss:
    """What would be lost: ``what`` is done, and to how many rows (None: not to be counted)."""

    what: str
    rows: int | None

    def __str__(self) -> str:
        if self.rows is None:
            return f"{self.what} (rows not counted)"
        return f"{self.what} ({self.rows:,} row{'' if self.rows == 1 else 's'})"


_DOOMED = """
    WITH RECURSIVE doomed (classid, objid, objsubid) AS (
        SELECT * FROM unnest(%(classes)s::regclass[]::oid[], %(objects)s::oid[], %(columns)s::int[])
        UNION
        SELECT further.* FROM doomed x CROSS JOIN LATERAL (
            SELECT d.classid, d.objid, d.objsubid FROM pg_depend d
            WHERE d.refclassid = x.classid AND d.refobjid = x.objid
            AND x.objsubid IN (0, d.refobjsubid)
            UNION ALL  -- a rule takes its view with it, an expression its generated column
            SELECT d.refclassid, d.refobjid, d.refobjsubid FROM pg_depend d
            WHERE d.classid = x.classid AND d.objid = x.objid AND d.deptype = 'i'
            AND d.classid IN ('pg_rewrite'::regclass, 'pg_attrdef'::regclass)) further
    )
    SELECT c.oid, n.nspname, c.relname, c.relkind, coalesce(a.attnum, 0), a.attname
    FROM doomed x JOIN pg_class c ON x.classid = 'pg_class'::regclass AND c.oid = x.objid
    JOIN pg_namespace n ON n.oid = c.relnamespace
    LEFT JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = x.objsubid AND x.objsubid > 0
    WHERE c.relkind IN ('r', 'p', 'm') AND coalesce(a.attgenerated, '') = ''
    ORDER BY n.nspname, c.relname, 5
"""
_REFERRING = """
    WITH RECURSIVE emptied (oid) AS (
        SELECT unnest(%s::oid[]) UNION
        SELECT k.conrelid FROM pg_constraint k JOIN emptied e ON e.oid = k.confrelid
        WHERE k.contype = 'f')
    SELECT oid FROM emptied
"""
_LOSSLESS = (
    "SELECT %(old)s = %(new)s::regtype OR EXISTS (SELECT FROM pg_cast WHERE castsource = %(old)s "
    "AND casttarget = %(new)s::regtype AND castcontext = 'i')"
)
_OWNED = (
    "SELECT classid::regclass::text, objid, objsubid FROM pg_shdepend WHERE deptype = 'o' "
    "AND dbid = (SELECT oid FROM pg_database WHERE datname = current_database()) "
    "AND refobjid = quote_ident(%s)::regrole"
)
_OBJECTS = {
    "OBJECT_TABLE": ("pg_class", "to_regclass(%s)"),
    "OBJECT_MATVIEW": ("pg_class", "to_regclass(%s)"),
    "OBJECT_VIEW": ("pg_class", "to_regclass(%s)"),
    "OBJECT_TYPE": ("pg_type", "to_regtype(%s)"),
    "OBJECT_DOMAIN": ("pg_type", "to_regtype(%s)"),
    "OBJECT_SCHEMA": ("pg_namespace", "to_regnamespace(%s)"),
    "OBJECT_EXTENSION": (
        "pg_extension",
        "(SELECT oid FROM pg_extension WHERE quote_ident(extname) = %s)",
    ),
}


def losses(
    connection: extensions.connection, statements: Iterable[Statement], existing: Existing
) -> list[Loss]:
    """Return what ``statements``, run in order, would destroy of the tables ``existing``.

    A transaction that ``connection`` is in stays as it is.
    """
    database = Database(connection, existing)
    found: dict[str, Loss] = {}
    for statement in statements:
        for one in (statement, *inner(statement, Schema())):
            for loss in _losses(database, one):
                found.setdefault(loss.what, loss)
            database.rename(one)
    return list(found.values())


def _losses(database: Database, statement: Statement) -> Iterator[Loss]:
    kinds: dict[str, Callable[[Database, Tree], Iterator[Loss]]] = {
        "drop_stmt": _drop,
        "drop_owned_stmt": _drop_owned,
        "truncate_stmt": _truncate,
    }
    if destroy := kinds.get(statement.kind):
        yield from destroy(database, statement.tree)
    for subtype, command, definition in commands(statement):
        table = database.table(statement.tree["relation"])
        if table and subtype == "AT_DropColumn":
            yield from _drop_column(database, table, command["name"])
        elif table and subtype == "AT_AlterColumnType":
            yield from _retype(database, table, command["name"], definition)
    changes: dict[str, Callable[[Database, Tree], Iterator[Loss]]] = {
        "delete_stmt": _delete,
        "update_stmt": _update,
        "merge_stmt": _merge,
        "insert_stmt": _upsert,
    }
    if statement.kind in {*changes, "select_stmt"}:  # WITH may hold the others
        for kind, tree in [(statement.kind, statement.tree), *walk(statement.tree)]:
            if change := changes.get(kind):
                yield from change(database, tree)


def _counted(database: Database, what: str, query: sql.Composable | str) -> Iterator[Loss]:
    """Yield the loss, unless no row is concerned."""
    rows = database.value(query)
    if rows != 0:
        yield Loss(what, rows)


def _drop(database: Database, tree: Tree) -> Iterator[Loss]:
    if tree["remove_type"] not in _OBJECTS:
        return
    class_, finds = _OBJECTS[tree["remove_type"]]
    found = [database.oid(finds, dotted(_names(node))) for node in tree["objects"]]
    yield from _doomed(database, [(class_, oid, 0) for oid in found if oid])


def _names(node: Tree) -> list[str]:
    kind, body = unwrap(node)
    if kind == "string":
        return [body.get("sval", "")]
    return words(body.get("items", []) if kind == "list" else body["names"])


def _drop_owned(database: Database, tree: Tree) -> Iterator[Loss]:
    for node in tree["roles"]:
        role = node["role_spec"].get("rolename") or database.value("SELECT current_user")
        yield from _doomed(database, [tuple(row) for row in database.ask(_OWNED, [role]) or ()])


def _drop_column(database: Database, table: Table, name: str) -> Iterator[Loss]:
    if column := database.column(table, name):
        yield from _doomed(database, [("pg_class", table.oid, column.number)])


def _doomed(database: Database, objects: Sequence[tuple[str, int, int]]) -> Iterator[Loss]:
    """Yield what goes with ``objects``, by PostgreSQL's own records of what depends on what."""
    if not objects:
        return
    classes, oids, columns = (list(part) for part in zip(*objects, strict=True))
    rows = database.ask(_DOOMED, {"classes": classes, "objects": oids, "columns": columns}) or ()
    whole = {row[0] for row in rows if not row[4]}
    for oid, schema, name, kind, number, column in rows:
        table = Table(oid, schema, name)
        if number == 0 and oid in database.existing and kind != "p":  # partitions are listed
            what = "materialized view" if kind == "m" else "table"
            query = sql.SQL("SELECT count(*) FROM ONLY {}").format(table.quoted)
            yield from _counted(database, f"drops {what} {table}", query)
        elif oid not in whole and number <= database.existing.get(oid, 0):
            query = sql.SQL("SELECT count({}) FROM {}").format(sql.Identifier(column), table.quoted)
            yield from _counted(database, f"drops column {table}.{column}", query)


def _retype(database: Database, table: Table, name: str, definition: Tree) -> Iterator[Loss]:
    """Yield a loss for values that another type cannot hold: there and back, they differ."""
    column = database.column(table, name)
    if column is None:
        return
    type_, using = definition["type_name"], definition.get("raw_default")
    new = type_text(type_)
    if using is None:
        if new.split("(")[0] in {"text", "varchar"}:
            return  # text that is too long is refused, not cut off
        cast = {"old": column.type_oid, "new": new}
        if "typmods" not in type_ and database.value(_LOSSLESS, cast):
            return
    value = expression_text(using) if using else quoted(column.name)
    there_and_back = sql.SQL(f"CAST(CAST(({value}) AS {new}) AS {column.type})")
    query = sql.SQL("SELECT count(*) FROM {} WHERE {} IS DISTINCT FROM {}").format(
        table.quoted, there_and_back, column.quoted
    )
    yield from _counted(database, f"changes values of {table}.{column.name}", query)


def _truncate(database: Database, tree: Tree) -> Iterator[Loss]:
    found = [database.table(node["range_var"]) for node in tree["relations"]]
    oids = [table.oid for table in found if table]
    if tree.get("behavior") == "DROP_CASCADE":
        oids = [oid for (oid,) in database.ask(_REFERRING, [oids]) or ()]
    for table in database.tables(oids):
        query = sql.SQL("SELECT count(*) FROM {}").format(table.quoted)
        yield from _counted(database, f"empties table {table}", query)


def _delete(database: Database, tree: Tree) -> Iterator[Loss]:
    if table := database.table(tree["relation"]):
        yield from _concerned(database, f"deletes rows of {table}", table, tree, "using_clause")


def _update(database: Database, tree: Tree) -> Iterator[Loss]:
    """Yield a loss for each column in which a value, not NULL, is overwritten."""
    if table := database.table(tree["relation"]):
        for column in _columns_set(database, table, tree.get("target_list", [])):
            what = f"overwrites {table}.{column}"
            yield from _concerned(database, what, table, tree, "from_clause", column)


def _merge(database: Database, tree: Tree) -> Iterator[Loss]:
    """Yield a loss for any row of the target: which ones are met, only the MERGE itself tells."""
    if table := database.table(tree["relation"]):
        clauses = [node["merge_when_clause"] for node in tree["merge_when_clauses"]]
        count = sql.SQL("SELECT count(*) FROM {}").format(table.quoted)
        if any(clause["command_type"] == "CMD_DELETE" for clause in clauses):
            yield from _counted(database, f"may delete rows of {table}", count)
        for clause in clauses:
            if clause["command_type"] == "CMD_UPDATE":
                yield from _overwritten(database, table, clause.get("target_list", []))


def _upsert(database: Database, tree: Tree) -> Iterator[Loss]:
    clause = tree.get("on_conflict_clause", {})
    if clause.get("action") == "ONCONFLICT_UPDATE" and (table := database.table(tree["relation"])):
        yield from _overwritten(database, table, clause.get("target_list", []))


def _overwritten(database: Database, table: Table, targets: Sequence[Tree]) -> Iterator[Loss]:
    for column in _columns_set(database, table, targets):
        query = sql.SQL("SELECT count({}) FROM {}").format(sql.Identifier(column), table.quoted)
        yield from _counted(database, f"may overwrite {table}.{column}", query)


def _columns_set(database: Database, table: Table, targets: Sequence[Tree]) -> Iterator[str]:
    """Yield the columns set that were there before."""
    for node in targets:
        if column := database.column(table, node["res_target"]["name"]):
            yield column.name


def _concerned(
    database: Database, what: str, table: Table, tree: Tree, others: str, column: str = ""
) -> Iterator[Loss]:
    """Yield the loss of the rows that WHERE picks; of all, where that cannot be asked yet."""
    alias = tree["relation"].get("alias", {}).get("aliasname") or tree["relation"]["relname"]
    conditions = [tree["where_clause"]] if "where_clause" in tree else []
    if column:
        fields = [{"string": {"sval": name}} for name in (alias, column)]
        test = {"arg": {"column_ref": {"fields": fields}}, "nulltesttype": "IS_NOT_NULL"}
        conditions.append({"null_test": test})
    query: Tree = {
        "target_list": [{"res_target": {"val": _COUNT}}],
        "from_clause": [{"range_var": tree["relation"]}, *tree.get(others, [])],
        "limit_option": "LIMIT_OPTION_DEFAULT",
        "op": "SETOP_NONE",
    }
    if conditions:
        query["where_clause"] = {"bool_expr": {"boolop": "AND_EXPR", "args": conditions}}
    if "with_clause" in tree:
        query["with_clause"] = tree["with_clause"]
    written = any(kind in _WRITES for kind, _ in walk(query))
    rows = None if written else database.value(statement_text("select_stmt", query))
    if rows is None:
        counted = sql.Identifier(column) if column else sql.SQL("*")
        every = sql.SQL("SELECT count({}) FROM {}").format(counted, table.quoted)
        yield from _counted(database, what, every)
    elif rows:
        yield Loss(what, rows)


_WRITES = {"insert_stmt", "update_stmt", "delete_stmt", "merge_stmt"}
_COUNT = {"func_call": {"funcname": [{"string": {"sval": "count"}}], "agg_star": True}}
