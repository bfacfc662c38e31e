"""Single corruptions of a filled database, and by which code and about what each is told."""

# ruff: noqa: E501 - one line for each corruption is easier to read
from __future__ import annotations

from typing import NamedTuple


class Corruption(NamedTuple):
    """What goes wrong, by what code and about which object it must be reported."""

    sql: str
    code: str
    object: str


def _behind(index: str, statement: str) -> str:
    """Run a statement while an index is not kept up to date, as after a lost write."""
    where = f"WHERE indexrelid = '{index}'::regclass"
    return (
        f"UPDATE pg_index SET indisready = false {where}; {statement}; "
        f"UPDATE pg_index SET indisready = true {where}"
    )


_REPLICA = "SET session_replication_role = replica; "

MUSEUM = {
    # values
    "value changed": Corruption(
        """UPDATE people SET "Nick name" = 'Bob' WHERE id = 7""",
        "changed-values",
        "column public.people.Nick name",
    ),
    "values swapped between two rows": Corruption(
        """UPDATE people SET balance = CASE id WHEN 5 THEN (SELECT balance FROM people WHERE id = 6) ELSE (SELECT balance FROM people WHERE id = 5) END WHERE id IN (5, 6)""",
        "changed-values",
        "column public.people.balance",
    ),
    "value lost": Corruption(
        "UPDATE people SET seen = NULL WHERE id = 9", "changed-values", "column public.people.seen"
    ),
    "NULL became empty": Corruption(
        """UPDATE people SET "Nick name" = '' WHERE id = 4""",
        "changed-values",
        "column public.people.Nick name",
    ),
    "space at the end": Corruption(
        "UPDATE orders SET item = item || ' ' WHERE id = 11",
        "changed-values",
        "column public.orders.item",
    ),
    "other normal form of Unicode": Corruption(
        """UPDATE people SET "Nick name" = normalize("Nick name", NFD) WHERE id = 3""",
        "changed-values",
        "column public.people.Nick name",
    ),
    "text cut off": Corruption(
        "UPDATE orders SET note = left(note, 255)", "changed-values", "column public.orders.note"
    ),
    "digits after the point": Corruption(
        "UPDATE people SET balance = 3.0 WHERE balance = 3.00",
        "changed-values",
        "column public.people.balance",
    ),
    "number through a float": Corruption(
        "UPDATE people SET ratio = ratio::real WHERE ratio = 0.1",
        "changed-values",
        "column public.people.ratio",
    ),
    "sign of zero": Corruption(
        "UPDATE people SET ratio = 0 WHERE ratio = 0",
        "changed-values",
        "column public.people.ratio",
    ),
    "an hour off": Corruption(
        "UPDATE people SET seen = seen + interval '1 h' WHERE seen < '2026-03-29 01:00+00'",
        "changed-values",
        "column public.people.seen",
    ),
    "a day for 24 hours": Corruption(
        "UPDATE people SET span = span - interval '1 day' + interval '24 h' WHERE id = 1",
        "changed-values",
        "column public.people.span",
    ),
    "key of a document lost": Corruption(
        "UPDATE people SET notes = notes - 'a' WHERE id = 1",
        "changed-values",
        "column public.people.notes",
    ),
    "document written anew": Corruption(
        "UPDATE people SET document = document::jsonb::json",
        "changed-values",
        "column public.people.document",
    ),
    "order in a list": Corruption(
        "UPDATE people SET tags = ARRAY[tags[2], tags[1], tags[3], tags[4]] WHERE id = 1",
        "changed-values",
        "column public.people.tags",
    ),
    "bit of a file": Corruption(
        "UPDATE people SET raw = set_bit(raw, 77, 1 - get_bit(raw, 77)) WHERE id = 50",
        "changed-values",
        "column public.people.raw",
    ),
    "component of a vector": Corruption(
        "UPDATE people SET place = '[50,0.1,-1.0000001e-7]' WHERE id = 50",
        "changed-values",
        "column public.people.place",
    ),
    "end of a range": Corruption(
        "UPDATE people SET during = tstzrange(lower(during), upper(during), '[]') WHERE id = 8",
        "changed-values",
        "column public.people.during",
    ),
    "labels of an enum swapped": Corruption(
        "ALTER TYPE mood RENAME VALUE 'sad' TO 'x'; ALTER TYPE mood RENAME VALUE 'glad' TO 'sad'; ALTER TYPE mood RENAME VALUE 'x' TO 'glad'",
        "changed-values",
        "column public.people.mood",
    ),
    "type that holds less": Corruption(
        "DROP VIEW glad; ALTER TABLE people ALTER seen TYPE date",
        "changed-values",
        "column public.people.seen",
    ),
    # rows
    "row lost": Corruption("DELETE FROM orders WHERE id = 77", "lost-rows", "table public.orders"),
    "row of a partition lost": Corruption(
        "DELETE FROM events_2026 WHERE id = 250", "lost-rows", "table public.events"
    ),
    "table emptied": Corruption("TRUNCATE orders", "lost-rows", "table public.orders"),
    "row added": Corruption(
        "INSERT INTO bookings VALUES (1000, 'empty')", "extra-rows", "table public.bookings"
    ),
    "rows copied twice": Corruption(
        "INSERT INTO archive.log SELECT * FROM archive.log", "extra-rows", "table archive.log"
    ),
    "row replaced by another": Corruption(
        "UPDATE orders SET id = 100000 WHERE id = 500", "replaced-rows", "table public.orders"
    ),
    "row replaced by a second of another": Corruption(
        "WITH gone AS (DELETE FROM archive.log WHERE ctid = '(0,1)' RETURNING 1) INSERT INTO archive.log SELECT l.* FROM archive.log l, gone WHERE l.ctid = '(0,2)'",
        "changed-values",
        "column archive.log.line",
    ),
    "values combined otherwise, without a key": Corruption(
        "UPDATE archive.log SET line = CASE line WHEN 'line 1' THEN 'line 2' ELSE 'line 1' END WHERE ctid IN ('(0,1)', '(0,2)')",
        "changed-rows",
        "table archive.log",
    ),
    "row went to the parent": Corruption(
        "WITH gone AS (DELETE FROM cars WHERE id = 101 RETURNING *) INSERT INTO vehicles SELECT id, wheels FROM gone",
        "lost-rows",
        "table public.cars",
    ),
    "partition detached": Corruption(
        "ALTER TABLE events DETACH PARTITION events_2025", "lost-rows", "table public.events"
    ),
    # what holds them
    "table dropped": Corruption("DROP TABLE archive.log", "lost-table", "table archive.log"),
    "column dropped": Corruption(
        "DROP VIEW glad; ALTER TABLE people DROP tags", "lost-column", "column public.people.tags"
    ),
    "content of a view": Corruption(
        "ALTER TABLE people DISABLE TRIGGER ALL; UPDATE people SET mood = 'sad' WHERE id = 2; REFRESH MATERIALIZED VIEW totals",
        "changed-view",
        "view public.totals",
    ),
    "enum sorted otherwise": Corruption(
        "UPDATE pg_enum SET enumsortorder = 9 WHERE enumlabel = 'sad'",
        "enum-order",
        "enum public.mood",
    ),
    "sequence set back": Corruption(
        "SELECT setval('invoices', 40)", "sequence-went-back", "sequence public.invoices"
    ),
    "sequence restarted": Corruption(
        "ALTER SEQUENCE invoices RESTART", "sequence-went-back", "sequence public.invoices"
    ),
    "large object changed": Corruption(
        "SELECT lo_put(4711, 0, 'L')", "large-objects", "large objects"
    ),
    "large object lost": Corruption("SELECT lo_unlink(4712)", "large-objects", "large objects"),
    "no right to read": Corruption(
        "ALTER TABLE bookings OWNER TO postgres; REVOKE ALL ON bookings FROM orion",
        "not-read",
        "table public.bookings",
    ),
    "rows hidden by a policy": Corruption(
        "ALTER TABLE bookings ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY; CREATE POLICY p ON bookings USING (id < 10)",
        "not-read",
        "table public.bookings",
    ),
    # what must hold by itself
    "reference to nothing": Corruption(
        f"{_REPLICA} DELETE FROM people WHERE id = 30",
        "dangling-reference",
        "constraint public.orders.orders_person",
    ),
    "reference changed unchecked": Corruption(
        f"{_REPLICA} UPDATE orders SET person_id = 4711 WHERE id = 3",
        "dangling-reference",
        "constraint public.orders.orders_person",
    ),
    "check broken": Corruption(
        "ALTER TABLE people DROP CONSTRAINT people_balance; UPDATE people SET balance = -1 WHERE id = 4; ALTER TABLE people ADD CONSTRAINT people_balance CHECK (balance >= 0) NOT VALID; UPDATE pg_constraint SET convalidated = true WHERE conname = 'people_balance'",
        "broken-check",
        "constraint public.people.people_balance",
    ),
    "NULL where none may be": Corruption(
        "ALTER TABLE people ALTER email DROP NOT NULL; UPDATE people SET email = NULL WHERE id = 4; UPDATE pg_attribute SET attnotnull = true WHERE attrelid = 'people'::regclass AND attname = 'email'",
        "null-values",
        "column public.people.email",
    ),
    "domain broken": Corruption(
        "ALTER DOMAIN positive DROP CONSTRAINT positive_really; UPDATE people SET age = -5 WHERE id = 4; ALTER DOMAIN positive ADD CONSTRAINT positive_really CHECK (VALUE > 0) NOT VALID",
        "broken-domain",
        "column public.people.age",
    ),
    "generated from another function": Corruption(
        "CREATE OR REPLACE FUNCTION shout(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT lower($1)'",
        "stale-generated",
        "column public.people.loud",
    ),
    "rows in the wrong partition": Corruption(
        "UPDATE pg_class c SET relpartbound = o.relpartbound FROM pg_class o WHERE (c.relname, o.relname) IN (('events_2025', 'events_2026'), ('events_2026', 'events_2025'))",
        "wrong-partition",
        "table public.events_2026",
    ),
    "twice what is unique": Corruption(
        _behind("people_email", "INSERT INTO people (email) VALUES ('p7@example.org')"),
        "not-unique",
        "index public.people.people_email",
    ),
    "the same primary key twice": Corruption(
        _behind("bookings_pkey", "INSERT INTO bookings VALUES (7, 'empty')"),
        "not-unique",
        "index public.bookings.bookings_pkey",
    ),
    "overlap of what excludes": Corruption(
        _behind(
            "bookings_apart",
            "INSERT INTO bookings VALUES (1001, '[2026-01-05 12:00+00,2026-01-05 13:00+00)')",
        ),
        "not-exclusive",
        "constraint public.bookings.bookings_apart",
    ),
    "row missing in an index": Corruption(
        _behind("orders_of", "INSERT INTO orders (person_id) VALUES (7)"),
        "index-disagrees",
        "index public.orders.orders_of",
    ),
    "row missing in the index of all columns": Corruption(
        _behind("pairs_pkey", "INSERT INTO pairs VALUES (0, 0)")
        + "; DO $$ BEGIN EXECUTE format('ALTER DATABASE %I SET enable_seqscan = off', current_database()); END $$",
        "extra-rows",
        "table public.pairs",
    ),
    "row missing in a partial index": Corruption(
        _behind("orders_item", "INSERT INTO orders (item) VALUES ('New')"),
        "index-disagrees",
        "index public.orders.orders_item",
    ),
    "row missing in a GiST index": Corruption(
        _behind("bookings_apart", "INSERT INTO bookings VALUES (1002, '[2027-01-05,2027-01-06)')"),
        "index-disagrees",
        "index public.bookings.bookings_apart",
    ),
    "row missing in a GIN index": Corruption(
        _behind(
            "people_tags", "INSERT INTO people (email, tags) VALUES ('new@example.org', '{x}')"
        ),
        "index-disagrees",
        "index public.people.people_tags",
    ),
    "index in another order": Corruption(
        "UPDATE pg_index SET indoption = '0' WHERE indexrelid = 'orders_of'::regclass",
        "index-disagrees",
        "index public.orders.orders_of",
    ),
    "function of an index changed": Corruption(
        "CREATE OR REPLACE FUNCTION shout(text) RETURNS text IMMUTABLE LANGUAGE sql AS 'SELECT reverse($1)'",
        "index-disagrees",
        "index public.people.people_loud",
    ),
    "index invalid": Corruption(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_of'::regclass",
        "invalid-index",
        "index public.orders.orders_of",
    ),
    "index of a hot query gone": Corruption(
        "DROP INDEX orders_of", "slower-query", "hot query orders of a person"
    ),
    "index of a hot query invalid": Corruption(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'orders_of'::regclass",
        "slower-query",
        "hot query orders of a person",
    ),
    "column of a hot query renamed": Corruption(
        "ALTER TABLE people RENAME email TO mail", "broken-query", "hot query people by e-mail"
    ),
    "identity behind": Corruption(
        "INSERT INTO people (id, email) OVERRIDING SYSTEM VALUE VALUES (5000, 'late@example.org')",
        "sequence-behind",
        "sequence public.people_id_seq",
    ),
    "serial set back": Corruption(
        "SELECT setval('orders_id_seq', 5)", "sequence-behind", "sequence public.orders_id_seq"
    ),
    "trigger disabled": Corruption(
        "ALTER TABLE people DISABLE TRIGGER people_stamp",
        "disabled-trigger",
        "trigger public.people.people_stamp",
    ),
    "foreign key disabled": Corruption(
        "ALTER TABLE orders DISABLE TRIGGER ALL",
        "disabled-constraint",
        "constraint public.orders.orders_person",
    ),
    "constraint never checked": Corruption(
        "ALTER TABLE orders ADD CONSTRAINT orders_note CHECK (note IS NOT NULL) NOT VALID",
        "not-valid",
        "constraint public.orders.orders_note",
    ),
    "invariant broken": Corruption(
        "UPDATE people SET seen = '2031-01-01' WHERE id = 12",
        "broken-invariant",
        "invariant an order is of its person's past",
    ),
    "invariant that cannot be evaluated": Corruption(
        "ALTER TABLE people RENAME seen TO last_seen",
        "failed-invariant",
        "invariant an order is of its person's past",
    ),
}

PLATFORM = {
    "a structure's positions": Corruption(
        "UPDATE structures SET positions_a[1][1] = positions_a[1][1] + 1e-9",
        "changed-values",
        "column public.structures.positions_a",
    ),
    "a digit of a result": Corruption(
        "UPDATE simulation_results SET energy_ev = energy_ev + 1e-10",
        "changed-values",
        "column public.simulation_results.energy_ev",
    ),
    "parameters of a job": Corruption(
        "UPDATE simulation_jobs SET parameters = parameters || '{\"x\": 1}'",
        "changed-values",
        "column public.simulation_jobs.parameters",
    ),
    "vectors negated": Corruption(
        "UPDATE vector_embeddings SET embedding = embedding * (SELECT ('[' || string_agg('-1', ',') || ']')::vector FROM generate_series(1, dimension))",
        "changed-values",
        "column public.vector_embeddings.embedding",
    ),
    "results lost": Corruption(
        "DELETE FROM simulation_results", "lost-rows", "table public.simulation_results"
    ),
    "owner gone": Corruption(
        f"{_REPLICA} DELETE FROM users",
        "dangling-reference",
        "constraint public.structures.fk_structures_owner_id_users",
    ),
    "material of other atoms": Corruption(
        "UPDATE materials SET elements = '{Xx}'",
        "changed-values",
        "column public.materials.elements",
    ),
    "index of the queue gone": Corruption(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_simulation_jobs_claim'::regclass",
        "invalid-index",
        "index public.simulation_jobs.ix_simulation_jobs_claim",
    ),
    "index of a model's vectors invalid": Corruption(
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid::regclass::text ~ 'hnsw'",
        "invalid-index",
        "index public.vector_embeddings.ix_vector_embeddings_hnsw__soap__1",
    ),
    "a pair of structures twice": Corruption(
        _behind(
            "pk_structure_similarities",
            "INSERT INTO structure_similarities SELECT * FROM structure_similarities",
        ),
        "not-unique",
        "index public.structure_similarities.pk_structure_similarities",
    ),
    "a job without its result": Corruption(
        "DELETE FROM simulation_results",
        "broken-invariant",
        "invariant a job that succeeded has a result",
    ),
    "a result of a job that failed": Corruption(
        "SET session_replication_role = replica; UPDATE simulation_jobs SET status = 'failed' WHERE id IN (SELECT simulation_job_id FROM simulation_results LIMIT 1)",
        "broken-invariant",
        "invariant of submitted jobs, only those that succeeded have a result",
    ),
    "a site of no species": Corruption(
        "UPDATE structures SET species = '[]'",
        "broken-invariant",
        "invariant at each site stands one of the structure's species",
    ),
    "elements of another system": Corruption(
        "UPDATE materials SET elements = '{Xx}' WHERE chemical_system = 'Cu'",
        "broken-invariant",
        "invariant a chemical system is of the material's elements",
    ),
}
