"""A filled database with a bit of everything that holds data, and its project."""

from __future__ import annotations

MODELS = """
metadata.info["invariants"] = {
    "an order is of its person's past": '''
        SELECT o.id FROM orders o JOIN people p ON p.id = o.person_id WHERE p.seen > '2030-01-01'
    ''',
    "percent % and colon: are text": "SELECT 1 FROM people WHERE email LIKE '%:nobody%'",
}
metadata.info["hot_queries"] = {
    "orders of a person": "SELECT * FROM orders WHERE person_id = 7",
    "people by e-mail": "SELECT id FROM people WHERE email = 'p7@example.org'",
}
"""

SCHEMA = """
CREATE SCHEMA archive;
CREATE TYPE mood AS ENUM ('sad', 'calm', 'glad');
CREATE DOMAIN positive AS integer CONSTRAINT positive_really CHECK (VALUE > 0);
CREATE DOMAIN age AS positive;
CREATE FUNCTION shout(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT upper($1)';
CREATE FUNCTION stamp() RETURNS trigger LANGUAGE plpgsql AS 'BEGIN RETURN NEW; END';

CREATE TABLE people (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL CONSTRAINT people_email UNIQUE,
    "Nick name" text,
    mood mood NOT NULL DEFAULT 'calm',
    age age,
    balance numeric CONSTRAINT people_balance CHECK (balance >= 0),
    loud text GENERATED ALWAYS AS (shout(email)) STORED,
    seen timestamptz,
    notes jsonb,
    document json,
    tags text[],
    raw bytea,
    ratio double precision,
    place vector(3),
    span interval,
    during tstzrange,
    price money,
    kind regclass DEFAULT 'people'
);
CREATE INDEX people_tags ON people USING gin (tags);
CREATE INDEX people_notes ON people USING gin (notes jsonb_path_ops);
CREATE INDEX people_loud ON people (shout("Nick name" || id) text_pattern_ops);
CREATE TRIGGER people_stamp BEFORE UPDATE ON people FOR EACH ROW EXECUTE FUNCTION stamp();

CREATE TABLE orders (
    id serial PRIMARY KEY,
    person_id bigint CONSTRAINT orders_person REFERENCES people,
    item text,
    note text
) WITH (fillfactor = 10);
ALTER TABLE orders ALTER note SET STORAGE PLAIN;
CREATE INDEX orders_of ON orders (person_id DESC);
CREATE INDEX orders_item ON orders (lower(item), id) WHERE item IS NOT NULL;

CREATE TABLE events (id integer, day date, what text, PRIMARY KEY (id, day))
    PARTITION BY RANGE (day);
CREATE TABLE events_2025 PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01');
CREATE TABLE events_2026 PARTITION OF events FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');

CREATE TABLE archive.log (line text, times integer);
CREATE TABLE bookings (id integer PRIMARY KEY, during tstzrange,
    CONSTRAINT bookings_apart EXCLUDE USING gist (during WITH &&));
CREATE TABLE vehicles (id integer PRIMARY KEY, wheels integer);
CREATE TABLE cars (doors integer) INHERITS (vehicles);
CREATE TABLE pairs (a integer, b integer, PRIMARY KEY (a, b));
CREATE TABLE nothing ();
CREATE TABLE empty_yet (id integer PRIMARY KEY, what text);
CREATE SEQUENCE invoices;
CREATE MATERIALIZED VIEW totals AS SELECT mood, count(*) AS number FROM people GROUP BY mood;
CREATE VIEW glad AS SELECT * FROM people WHERE mood = 'glad';
"""

FILL = """
INSERT INTO people (email, "Nick name", mood, age, balance, seen, notes, document, tags, raw, ratio,
    place, span, during, price)
SELECT 'p' || n || '@example.org',
    CASE n % 4 WHEN 0 THEN NULL WHEN 1 THEN '' WHEN 2 THEN ' Ada, "the" (1st)\\'
        ELSE 'Žofie ' || n END,
    (ARRAY['sad', 'calm', 'glad']::mood[])[1 + n % 3], 1 + n, n * 1.50,
    timestamptz '2026-03-29 00:30+00' + n * interval '17 minutes',
    CASE WHEN n % 3 > 0 THEN jsonb_build_object('b', n, 'a', 1.10, 'ü', ARRAY[NULL, 'x']) END,
    '{"a": 1,  "a": 2}',
    CASE n % 3 WHEN 0 THEN '{}' WHEN 1 THEN ARRAY['a,b', NULL, '"', 'NULL'] END,
    decode(md5(n::text), 'hex'),
    (ARRAY['NaN', '-0', '0', 'Infinity', '-Infinity', '0.1', '1e-300']::float8[])[1 + n % 7] ,
    format('[%s,0.1,-1e-7]', n)::vector, n * interval '1 month 2 days 3:04:05.6',
    tstzrange('2026-01-01', '2026-01-02' ::timestamptz + n * interval '1 h', '[)'), n * 1.5::money
FROM generate_series(1, 100) n;
INSERT INTO orders (person_id, item, note)
SELECT 1 + n % 100, CASE WHEN n % 5 > 0 THEN 'Item ' || n END, rpad(n::text, 700, 'x')
FROM generate_series(1, 1200) n;
INSERT INTO events SELECT n, date '2025-06-01' + n, 'event ' || n FROM generate_series(1, 300) n;
INSERT INTO archive.log SELECT 'line ' || n % 10, n % 7 FROM generate_series(1, 50) n;
INSERT INTO bookings SELECT n, tstzrange(timestamptz '2026-01-01' + n * interval '1 day',
    timestamptz '2026-01-01' + (n + 1) * interval '1 day') FROM generate_series(1, 30) n;
INSERT INTO vehicles SELECT n, 2 FROM generate_series(1, 5) n;
INSERT INTO cars SELECT 100 + n, 4, n FROM generate_series(1, 5) n;
INSERT INTO pairs SELECT n, 1 + n FROM generate_series(1, 3000) n;
INSERT INTO nothing DEFAULT VALUES;
SELECT nextval('invoices') FROM generate_series(1, 41);
REFRESH MATERIALIZED VIEW totals;
SELECT lo_from_bytea(4711, 'large'), lo_from_bytea(4712, 'objects');
ANALYZE;
"""
