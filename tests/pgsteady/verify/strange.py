"""A schema of everything that PostgreSQL lets one do, filled, in which nothing is wrong."""

from __future__ import annotations

STRANGE = """
CREATE SCHEMA "O'Hara %s :x";
SET LOCAL search_path = "O'Hara %s :x", public;
CREATE TYPE pair AS (a integer, b text);
CREATE DOMAIN positive AS integer CHECK (VALUE > 0);
CREATE DOMAIN small AS positive NOT NULL CHECK (VALUE < 1000);
CREATE DOMAIN text_or_not AS text;

CREATE TABLE "select" (
    "from" integer, "100%" text, "a:b" text, "Ünï ""q"" x" text, gone integer,
    tiny small DEFAULT 1, tinies positive[], p pair, ps pair[], t text_or_not,
    b bit(3), v bit varying, c char(5), n name, i inet, m macaddr, pt point, poly polygon,
    ts tsvector, u uuid, r int4range, mr int4multirange, tz timetz, j jsonpath, ch "char", o oid,
    CONSTRAINT "It's %" PRIMARY KEY ("from", "a:b") INCLUDE ("100%"),
    CONSTRAINT "colon: %" CHECK ("100%" LIKE '%:%' OR "100%" <> ':x')
);
ALTER TABLE "select" DROP gone;
INSERT INTO "select" SELECT n, '50%', 'a:' || n, chr(960), 1 + n, ARRAY[1, n],
    (n, 'x')::pair, ARRAY[(n, NULL)::pair], NULL, B'101', B'1', 'ab', 'n', '10.0.0.1',
    '08:00:2b:01:02:03',
    '(1,2)', '((0,0),(1,1),(1,0))', 'a b',
    gen_random_uuid(), '[1,5)', '{[1,2),[4,5)}', '10:00+02',
    '$.a', 'c', 42
FROM generate_series(1, 50) n;
CREATE INDEX ON "select" ("from" DESC NULLS LAST, lower("100%") COLLATE "C" DESC) WHERE "from" > 3;
CREATE UNIQUE INDEX ON "select" (("from" + 1), ("a:b" || 'x'));
CREATE INDEX ON "select" USING hash ("a:b");
CREATE INDEX ON "select" USING gin (ts);
CREATE INDEX ON "select" USING brin ("from");

CREATE TABLE nulls (a integer, b integer, UNIQUE NULLS NOT DISTINCT (a), UNIQUE (b));
INSERT INTO nulls VALUES (NULL, NULL), (1, NULL), (2, NULL);

CREATE TABLE parts (id integer, sub integer, day date, boss_id integer, boss_sub integer,
    boss_day date, UNIQUE (id, sub, day),
    FOREIGN KEY (boss_id, boss_sub, boss_day) REFERENCES parts (id, sub, day) MATCH FULL
      DEFERRABLE INITIALLY DEFERRED) PARTITION BY LIST (sub);
CREATE TABLE parts_1 PARTITION OF parts FOR VALUES IN (1) PARTITION BY HASH (id);
CREATE TABLE parts_1_a PARTITION OF parts_1 FOR VALUES WITH (MODULUS 2, REMAINDER 0);
CREATE TABLE parts_1_b PARTITION OF parts_1 FOR VALUES WITH (MODULUS 2, REMAINDER 1);
CREATE TABLE parts_rest PARTITION OF parts DEFAULT;
INSERT INTO parts SELECT n, n % 3, '2026-01-01', NULL FROM generate_series(1, 60) n;
UPDATE parts SET boss_id = 3, boss_sub = 0, boss_day = '2026-01-01' WHERE sub = 1;
INSERT INTO parts VALUES (99, NULL, '2026-01-01');
CREATE TABLE of_parts (id integer, sub integer, day date,
    FOREIGN KEY (id, sub, day) REFERENCES parts (id, sub, day));
INSERT INTO of_parts VALUES (3, 0, '2026-01-01'), (NULL, 7, '2026-01-01');

CREATE TABLE backwards (id integer PRIMARY KEY);
CREATE SEQUENCE down INCREMENT -1 OWNED BY backwards.id;
ALTER TABLE backwards ALTER id SET DEFAULT nextval('down');
INSERT INTO backwards SELECT nextval('down') FROM generate_series(1, 9);
CREATE TABLE base (id integer PRIMARY KEY, CHECK (id < 100) NO INHERIT);
CREATE TABLE derived () INHERITS (base);
INSERT INTO base VALUES (1);
INSERT INTO derived VALUES (1), (1000);
CREATE TABLE rounded (a numeric(10, 4), b numeric(10, 2) GENERATED ALWAYS AS (a / 3) STORED,
    c varchar(3) GENERATED ALWAYS AS (left(a::text, 3)) STORED);
INSERT INTO rounded SELECT n * 1.1 FROM generate_series(1, 20) n;
CREATE UNLOGGED TABLE fleeting (x integer);
CREATE MATERIALIZED VIEW unfilled AS SELECT * FROM nulls WITH NO DATA;
CREATE MATERIALIZED VIEW filled AS SELECT * FROM nulls;
CREATE UNIQUE INDEX ON filled (a);
DO $$ BEGIN
  EXECUTE (SELECT 'CREATE TABLE wide (' || string_agg('c' || n || ' smallint', ', ') || ')'
    FROM generate_series(1, 1600) n);
  INSERT INTO wide (c1, c1600) SELECT n, n FROM generate_series(1, 3) n;
END $$;
"""

OF_18 = """
SET LOCAL search_path = "O'Hara %s :x", public;
CREATE TABLE newer (id integer, twice integer GENERATED ALWAYS AS (id * 2) VIRTUAL,
    other integer REFERENCES nulls (b) NOT ENFORCED, CHECK (id > 5) NOT ENFORCED);
INSERT INTO newer VALUES (1, DEFAULT, 4711);
"""
