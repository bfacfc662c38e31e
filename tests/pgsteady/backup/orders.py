"""What is backed up in these tests, and how it is looked at."""

from __future__ import annotations

import json
from collections.abc import Callable
from typing import Any, NamedTuple

import psycopg2

TABLES = """op.execute('''
    CREATE TABLE customers (
        id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name text NOT NULL, near vector(3));
    CREATE TABLE orders (
        id bigint PRIMARY KEY, customer_id bigint NOT NULL REFERENCES customers,
        paid numeric(12, 2), placed_at timestamptz, lines jsonb,
        total numeric GENERATED ALWAYS AS (paid * 2) STORED);
    CREATE INDEX ix_orders_customer_id ON orders (customer_id);
    CREATE INDEX ix_customers_near ON customers USING hnsw (near vector_l2_ops);
    CREATE VIEW debtors AS SELECT customer_id FROM orders WHERE paid IS NULL;
    CREATE TYPE colour AS ENUM ('red', 'Größe');
    CREATE TABLE "Odd Names" ("Größe %" colour, raw bytea);
    COMMENT ON TABLE orders IS 'it''s 100 % theirs';
''')"""
ROWS = r"""
    INSERT INTO customers (name, near)
        SELECT E'tab\t \\ "' || g, ARRAY[g, 1, 0]::vector FROM generate_series(1, 300) g;
    INSERT INTO orders (id, customer_id, paid, placed_at, lines)
        SELECT g, 1 + g % 300, CASE WHEN g % 7 > 0 THEN g / 3.0 END,
        '2026-01-01Z'::timestamptz + g * interval '1 minute', jsonb_build_object('n', g)
        FROM generate_series(1, 2000) g;
    INSERT INTO "Odd Names" VALUES ('red', '\x00ff'), ('Größe', NULL);
    SELECT lo_from_bytea(0, '\x0102');
"""

EVERYTHING = """
    SELECT (SELECT md5(string_agg(c::text, '|' ORDER BY id)) FROM customers c),
           (SELECT md5(string_agg(o::text, '|' ORDER BY id)) FROM orders o),
           (SELECT md5(string_agg(t::text, '|' ORDER BY raw)) FROM "Odd Names" t),
           (SELECT count(*) FROM debtors), (SELECT last_value FROM customers_id_seq),
           (SELECT string_agg(indexdef, '|' ORDER BY indexname) FROM pg_indexes
            WHERE schemaname = 'public'),
           (SELECT string_agg(encode(lo_get(oid), 'hex'), '|') FROM pg_largeobject_metadata),
           (SELECT hash FROM pgsteady.audit)
"""
"""Returns one row, that of all there is."""

Sql = Callable[..., list[tuple[Any, ...]]]


class Run(NamedTuple):
    """How a command ended."""

    code: int
    out: str
    err: str

    @property
    def json(self) -> Any:
        return json.loads(self.out)


Command = Callable[..., Run]


def query(url: str, statement: str, *parameters: object) -> list[tuple[Any, ...]]:
    connection = psycopg2.connect(url)
    try:
        with connection, connection.cursor() as cursor:
            cursor.execute(statement, parameters or None)
            return cursor.fetchall() if cursor.description else []
    finally:
        connection.close()
