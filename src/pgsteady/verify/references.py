"""Does every foreign key hold? Each is looked up anew, whatever its triggers did or did not."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from sqlalchemy import Connection
from sqlalchemy.exc import DBAPIError

from pgsteady.finding import Finding, Severity
from pgsteady.progress import Progress
from pgsteady.verify.digest import name, query
from pgsteady.verify.relations import OURS_OR_THE_SYSTEMS
from pgsteady.verify.rows import unreadable

_FOREIGN_KEYS = f"""
SELECT k.conname::text, n.nspname::text, c.relname::text, c.relkind = 'p',
  rn.nspname::text, r.relname::text, r.relkind = 'p', k.confmatchtype = 'f', k.convalidated,
  ARRAY(SELECT ARRAY[a.attname::text, b.attname::text, o.nspname::text, p.oprname::text]
    FROM unnest(k.conkey, k.confkey, k.conpfeqop) AS u (here, there, operator)
    JOIN pg_attribute a ON a.attrelid = k.conrelid AND a.attnum = u.here
    JOIN pg_attribute b ON b.attrelid = k.confrelid AND b.attnum = u.there
    JOIN pg_operator p ON p.oid = u.operator JOIN pg_namespace o ON o.oid = p.oprnamespace)
FROM pg_constraint k JOIN pg_class c ON c.oid = k.conrelid
JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_class r ON r.oid = k.confrelid JOIN pg_namespace rn ON rn.oid = r.relnamespace
WHERE k.contype = 'f' AND k.conparentid = 0 AND NOT ({OURS_OR_THE_SYSTEMS})
  AND to_jsonb(k) ->> 'conenforced' IS DISTINCT FROM 'false'
  AND to_jsonb(k) ->> 'conperiod' IS DISTINCT FROM 'true'
ORDER BY 2, 3, 1
"""  # noqa: S608 - constants only


class _Table(NamedTuple):
    schema: str
    table: str
    partitioned: bool

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        return ("" if self.partitioned else "ONLY ") + name(self.schema, self.table)


def references(connection: Connection, progress: Progress) -> Iterator[Finding]:
    """Find rows that refer to rows that do not exist."""
    foreign_keys = query(connection, _FOREIGN_KEYS)
    with progress.step("Following the foreign keys", len(foreign_keys) or 1) as advance:
        for number, key in enumerate(foreign_keys, 1):
            here, there = _Table(*key[1:4]), _Table(*key[4:7])
            yield from _dangling(connection, key[0], here, there, *key[7:])
            advance(number)


def _dangling(
    connection: Connection,
    constraint: str,
    table: _Table,
    referred: _Table,
    match_full: bool,
    valid: bool,
    pairs: list[list[str]],
) -> Iterator[Finding]:
    """Anti-join the two tables; with MATCH FULL, a key that is NULL in part dangles too."""
    object_ = f"constraint {table}.{constraint}"
    columns = ", ".join(f"h.{name(column)}" for column, *_ in pairs)
    filled = f"num_nulls({columns}) " + (f"< {len(pairs)}" if match_full else "= 0")
    equal = " AND ".join(
        f"t.{name(there)} OPERATOR({name(schema)}.{operator}) h.{name(here)}"
        for here, there, schema, operator in pairs
    )
    dangling = (
        f"FROM {table.sql} AS h WHERE {filled} "
        f"AND NOT EXISTS (SELECT FROM {referred.sql} AS t WHERE {equal})"
    )
    try:
        with connection.begin_nested():
            [(number,)] = query(connection, f"SELECT count(*) {dangling}")
    except DBAPIError as error:
        yield unreadable(object_, error)
        return
    if number:
        yield Finding(
            severity=Severity.ERROR if valid else Severity.WARNING,
            code="dangling-reference",
            object=object_,
            message=f"{number} row{' refers' if number == 1 else 's refer'} to what is not in "
            f"{referred}",
            cure=f"See them: SELECT * {dangling};",
        )
