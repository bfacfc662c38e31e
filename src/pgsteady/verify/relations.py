"""What a database has that holds content: tables, materialized views, sequences, enums."""

from __future__ import annotations

from dataclasses import dataclass

from sqlalchemy import Connection, text
from sqlalchemy.exc import DBAPIError

from pgsteady import catalog
from pgsteady.project import Project
from pgsteady.verify.digest import name, query, said_by
from pgsteady.verify.evidence import Sequence

MATERIALIZED_VIEW, PARTITIONED = "m", "p"

OURS_OR_THE_SYSTEMS = (
    f"n.nspname ~ '^pg_' OR n.nspname IN ('information_schema', '{catalog.OURS}') OR EXISTS "
    "(SELECT FROM pg_depend d WHERE d.classid = 'pg_class'::regclass AND d.objid = c.oid "
    "AND d.deptype = 'e')"
)
"""SQL for what is no project's: of a class ``c`` in the namespace ``n``."""

_RELATIONS = text(
    f"""
    SELECT c.oid, n.nspname::text, c.relname::text, c.relkind::text, c.relispopulated,
      ARRAY(SELECT attname::text FROM pg_attribute a WHERE a.attrelid = c.oid
        AND attnum > 0 AND NOT attisdropped ORDER BY attnum) AS columns,
      ARRAY(SELECT a.attname::text FROM pg_index i
        CROSS JOIN unnest(i.indkey::int[]) WITH ORDINALITY k (attnum, place)
        JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.attnum
        WHERE i.indrelid = c.oid AND i.indisprimary AND k.place <= i.indnkeyatts
        ORDER BY k.place) AS key,
      (SELECT coalesce(sum(pg_table_size(t.relid)), 0)::bigint
        FROM pg_partition_tree(c.oid) t) + CASE c.relkind WHEN 'p' THEN 0
        ELSE pg_table_size(c.oid) END AS bytes
    FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
    WHERE c.relkind IN ('r', 'p', 'm') AND NOT c.relispartition AND NOT ({OURS_OR_THE_SYSTEMS})
      AND NOT (n.nspname = :schema AND c.relname = :version_table)
    ORDER BY 2, 3
    """  # noqa: S608 - constants only
)

_SEQUENCES = f"""
SELECT n.nspname::text, c.relname::text, q.seqincrement
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
JOIN pg_sequence q ON q.seqrelid = c.oid
WHERE c.relkind = 'S' AND NOT ({OURS_OR_THE_SYSTEMS}) ORDER BY 1, 2
"""  # noqa: S608 - constants only

_ENUMS = text(
    """
    SELECT n.nspname || '.' || t.typname, array_agg(e.enumlabel::text ORDER BY e.enumsortorder)
    FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace
    JOIN pg_enum e ON e.enumtypid = t.oid
    WHERE n.nspname !~ '^pg_' AND NOT EXISTS (SELECT FROM pg_depend d
      WHERE d.classid = 'pg_type'::regclass AND d.objid = t.oid AND d.deptype = 'e')
    GROUP BY 1 ORDER BY 1
    """
)


@dataclass(frozen=True)
class Relation:
    """A table or a materialized view; ``key`` is empty where it has no primary key."""

    oid: int
    schema: str
    table: str
    kind: str
    populated: bool
    columns: tuple[str, ...]
    key: tuple[str, ...]
    bytes: int

    def __str__(self) -> str:
        return f"{self.schema}.{self.table}"

    @property
    def sql(self) -> str:
        """What stands behind FROM: with partitions, without tables that inherit."""
        only = "" if self.kind == PARTITIONED else "ONLY "
        return f"{only}{name(self.schema, self.table)}"


def version_table(connection: Connection, project: Project) -> tuple[str, str]:
    """Return schema and name of Alembic's table."""
    schema = project.version_table_schema or catalog.default_schema(connection)
    return schema, project.version_table


def relations(connection: Connection, version_table: tuple[str, str]) -> list[Relation]:
    """Return what holds rows of the project: not ours, the system's, extensions' or Alembic's.

    ``version_table`` is Alembic's schema and table. A partitioned table stands
    for all its partitions: rows may move between them.
    """
    schema, table = version_table
    parameters = {"schema": schema, "version_table": table}
    return [
        Relation(oid, schema, table, kind, populated, tuple(columns), tuple(key), size)
        for oid, schema, table, kind, populated, columns, key, size in connection.execute(
            _RELATIONS, parameters
        )
    ]


def sequences(connection: Connection) -> tuple[dict[str, Sequence], dict[str, str]]:
    """Return where each sequence stands, and of those that cannot be read why."""
    found, not_read = {}, {}
    for schema, sequence, increment in query(connection, _SEQUENCES):
        title = f"{schema}.{sequence}"
        try:
            found[title] = Sequence(position(connection, schema, sequence, increment), increment)
        except DBAPIError as error:
            not_read[f"sequence {title}"] = said_by(error)
    return found, not_read


def position(connection: Connection, schema: str, sequence: str, increment: int) -> int:
    """Return the number after which a sequence goes on, whether it was ever given out or not.

    Raises:
        DBAPIError: the role may not read it; the transaction can go on.
    """
    with connection.begin_nested():
        [(last, given_out)] = query(
            connection,
            f"SELECT last_value, is_called FROM {name(schema, sequence)}",  # noqa: S608
        )
    return int(last if given_out else last - increment)


def enums(connection: Connection) -> dict[str, list[str]]:
    """Return the labels of each enum in their order."""
    return {name: list(labels) for name, labels in connection.execute(_ENUMS)}


OBJECTS_SQL = "(SELECT oid AS id, lo_get(oid) AS content FROM pg_largeobject_metadata) AS objects"
"""What stands behind FROM for the large objects of a role that may read them."""
