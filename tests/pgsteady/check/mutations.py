"""Single changes to a live, filled schema, each of which somebody might make by hand.

``PLATFORM`` is about the schema of this project, ``SHOP`` about the foreign project of that
name, which has what ours lacks. ``{admin}`` before a statement: only a superuser may.
"""

# ruff: noqa: E501 - one line for each change is easier to read
from __future__ import annotations

from typing import NamedTuple

ADMIN = "{admin}"


class Mutation(NamedTuple):
    """A change, and by which code and about which object it must be reported."""

    sql: str
    code: str
    object: str


FILL_PLATFORM = """
INSERT INTO users (id, email, username)
  VALUES ('00000000-0000-0000-0000-000000000001', 'a@example.org', 'a');
INSERT INTO materials (id, reduced_formula, anonymous_formula, hill_formula, chemical_system,
  elements, owner_id)
  VALUES ('00000000-0000-0000-0000-000000000002', 'Cu', 'A', 'Cu', 'Cu', '{Cu}',
    '00000000-0000-0000-0000-000000000001');
INSERT INTO structures (id, material_id, positions_a, species, species_at_sites,
  dimension_types, number_of_sites, is_ordered, fingerprint, fingerprint_version, owner_id)
  VALUES ('00000000-0000-0000-0000-000000000003', '00000000-0000-0000-0000-000000000002',
    '{{0,0,0}}', '[]', '{Cu}', '{0,0,0}', 1, true, repeat('0', 64), 1,
    '00000000-0000-0000-0000-000000000001');
INSERT INTO workflow_templates (name, version, title, engine, steps, parameters_schema)
  VALUES ('w', 1, 'W', 'emt', '[]', '{}');
INSERT INTO simulation_jobs (id, owner_id, origin, parameters_sha256)
  VALUES ('00000000-0000-0000-0000-000000000004', '00000000-0000-0000-0000-000000000001',
    'imported', '0');
INSERT INTO simulation_results (simulation_job_id, method, method_sha256, provenance)
  VALUES ('00000000-0000-0000-0000-000000000004', '{}', '0', '{}');
INSERT INTO vector_embeddings (structure_id, model, model_version, dimension, embedding)
  VALUES ('00000000-0000-0000-0000-000000000003', 'm', '1', 3, '[1,2,3]');
"""

FILL_SHOP = """
INSERT INTO customers (email, name) VALUES ('a@example.org', 'A');
INSERT INTO stock.items (sku, price) VALUES ('1', 1);
INSERT INTO orders (customer_id, item_id) VALUES (100, 1);
INSERT INTO events VALUES ('2026-05-05', 'something');
INSERT INTO cache VALUES ('k', 'v');
"""

_CLAIM = "index simulation_jobs.ix_simulation_jobs_claim"

PLATFORM = {
    # tables
    "table dropped": Mutation("DROP TABLE simulation_results", "missing-table", "table simulation_results"),
    "table added": Mutation("CREATE TABLE notes (id int)", "extra-table", "table notes"),
    "table unlogged": Mutation("ALTER TABLE vector_embeddings SET UNLOGGED", "table-persistence", "table vector_embeddings"),
    "fillfactor changed": Mutation("ALTER TABLE simulation_jobs SET (fillfactor = 90)", "table-options", "table simulation_jobs"),
    "fillfactor reset": Mutation("ALTER TABLE simulation_jobs RESET (fillfactor)", "table-options", "table simulation_jobs"),
    "autovacuum off": Mutation("ALTER TABLE materials SET (autovacuum_enabled = off)", "table-options", "table materials"),
    "toast option": Mutation("ALTER TABLE structures SET (toast.autovacuum_enabled = off)", "table-toast-options", "table structures"),
    "table comment changed": Mutation("COMMENT ON TABLE users IS 'x'", "table-comment", "table users"),
    "table comment dropped": Mutation("COMMENT ON TABLE users IS NULL", "table-comment", "table users"),
    "row security on": Mutation("ALTER TABLE users ENABLE ROW LEVEL SECURITY", "table-row-security", "table users"),
    "row security forced": Mutation("ALTER TABLE users FORCE ROW LEVEL SECURITY", "table-row-security", "table users"),
    "policy added": Mutation("CREATE POLICY p ON users USING (is_active)", "extra-policy", "policy users.p"),
    "granted": Mutation("GRANT SELECT ON users TO PUBLIC", "table-grants", "table users"),
    "granted on a column": Mutation("GRANT SELECT (email) ON users TO PUBLIC", "column-grants", "column users.email"),
    "revoked from the owner": Mutation("REVOKE DELETE ON users FROM CURRENT_USER", "table-grants", "table users"),
    "owner changed": Mutation(f"{ADMIN}ALTER TABLE users OWNER TO postgres", "table-owner", "table users"),
    "replica identity": Mutation("ALTER TABLE users REPLICA IDENTITY FULL", "table-replica-identity", "table users"),
    "inherits": Mutation("CREATE TABLE child () INHERITS (users)", "extra-table", "table child"),
    "trigger added": Mutation(
        "CREATE TRIGGER t BEFORE UPDATE ON users FOR EACH ROW EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "extra-trigger", "trigger users.t"),
    "rule added": Mutation("CREATE RULE r AS ON DELETE TO users DO INSTEAD NOTHING", "extra-rule", "rule users.r"),
    "statistics added": Mutation("CREATE STATISTICS s ON role, is_active FROM users", "extra-statistics", "statistics s"),
    # columns
    "column dropped": Mutation("ALTER TABLE materials DROP COLUMN source", "missing-column", "column materials.source"),
    "column added": Mutation("ALTER TABLE materials ADD COLUMN colour text", "extra-column", "column materials.colour"),
    "column renamed": Mutation("ALTER TABLE materials RENAME source TO origin", "missing-column", "column materials.source"),
    "type widened": Mutation("ALTER TABLE simulation_jobs ALTER attempt TYPE bigint", "column-type", "column simulation_jobs.attempt"),
    "text to varchar": Mutation("ALTER TABLE users ALTER username TYPE varchar(50)", "column-type", "column users.username"),
    "timestamptz to timestamp": Mutation("ALTER TABLE users ALTER created_at TYPE timestamp", "column-type", "column users.created_at"),
    "timestamptz precision": Mutation("ALTER TABLE users ALTER created_at TYPE timestamptz(0)", "column-type", "column users.created_at"),
    "jsonb to json": Mutation("ALTER TABLE workflow_templates ALTER steps TYPE json", "column-type", "column workflow_templates.steps"),
    "vector given a dimension": Mutation("ALTER TABLE vector_embeddings ALTER embedding TYPE vector(3)", "column-type", "column vector_embeddings.embedding"),
    "vector to halfvec": Mutation("ALTER TABLE vector_embeddings DROP CONSTRAINT ck_vector_embeddings_dimension, ALTER embedding TYPE halfvec(3)", "column-type", "column vector_embeddings.embedding"),
    "float8 to float4": Mutation("ALTER TABLE simulation_results ALTER energy_ev TYPE real", "column-type", "column simulation_results.energy_ev"),
    "array element type": Mutation("ALTER TABLE structures ALTER lattice_a TYPE real[]", "column-type", "column structures.lattice_a"),
    "not null dropped": Mutation("ALTER TABLE users ALTER email DROP NOT NULL", "column-null", "column users.email"),
    "not null added": Mutation("ALTER TABLE materials ALTER visibility SET NOT NULL, ALTER space_group_number SET DEFAULT 1", "column-default", "column materials.space_group_number"),
    "default dropped": Mutation("ALTER TABLE users ALTER role DROP DEFAULT", "column-default", "column users.role"),
    "default changed": Mutation("ALTER TABLE users ALTER role SET DEFAULT 'viewer'", "column-default", "column users.role"),
    "default of now()": Mutation("ALTER TABLE users ALTER created_at SET DEFAULT clock_timestamp()", "column-default", "column users.created_at"),
    "jsonb default changed": Mutation("ALTER TABLE materials ALTER extra SET DEFAULT '[]'", "column-default", "column materials.extra"),
    "identity added": Mutation("ALTER TABLE workflow_templates ALTER version ADD GENERATED BY DEFAULT AS IDENTITY", "column-identity", "column workflow_templates.version"),
    "computed made plain": Mutation("ALTER TABLE materials ALTER scope_key DROP EXPRESSION", "column-generated", "column materials.scope_key"),
    "computed expression changed": Mutation(
        "ALTER TABLE materials DROP COLUMN scope_key, ADD COLUMN scope_key text NOT NULL GENERATED ALWAYS AS (owner_id::text) STORED",
        "column-generated", "column materials.scope_key"),
    "collation": Mutation('ALTER TABLE users ALTER username TYPE text COLLATE "POSIX"', "column-collation", "column users.username"),
    "storage": Mutation("ALTER TABLE structures ALTER source_text SET STORAGE EXTERNAL", "column-storage", "column structures.source_text"),
    "compression": Mutation("ALTER TABLE structures ALTER source_text SET COMPRESSION pglz", "column-compression", "column structures.source_text"),
    "statistics target": Mutation("ALTER TABLE materials ALTER elements SET STATISTICS 1000", "column-statistics", "column materials.elements"),
    "attribute option": Mutation("ALTER TABLE materials ALTER elements SET (n_distinct = 100)", "column-options", "column materials.elements"),
    "column comment": Mutation("COMMENT ON COLUMN users.email IS 'x'", "column-comment", "column users.email"),
    # constraints
    "primary key dropped": Mutation("ALTER TABLE simulation_results DROP CONSTRAINT pk_simulation_results", "missing-constraint", "constraint simulation_results.pk_simulation_results"),
    "unique dropped": Mutation("ALTER TABLE simulation_results DROP CONSTRAINT uq_simulation_results_simulation_job_id", "missing-constraint", "constraint simulation_results.uq_simulation_results_simulation_job_id"),
    "unique added": Mutation("ALTER TABLE materials ADD CONSTRAINT once UNIQUE (external_id)", "extra-constraint", "constraint materials.once"),
    "nulls distinct": Mutation(
        "ALTER TABLE materials DROP CONSTRAINT uq_materials_scope_key_hill_formula_space_group_number, "
        "ADD CONSTRAINT uq_materials_scope_key_hill_formula_space_group_number UNIQUE (scope_key, hill_formula, space_group_number)",
        "constraint-definition", "constraint materials.uq_materials_scope_key_hill_formula_space_group_number"),
    "foreign key dropped": Mutation("ALTER TABLE structures DROP CONSTRAINT fk_structures_owner_id_users", "missing-constraint", "constraint structures.fk_structures_owner_id_users"),
    "foreign key cascades": Mutation(
        "ALTER TABLE structures DROP CONSTRAINT fk_structures_owner_id_users, ADD CONSTRAINT fk_structures_owner_id_users "
        "FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE CASCADE",
        "constraint-definition", "constraint structures.fk_structures_owner_id_users"),
    "foreign key deferrable": Mutation(
        "ALTER TABLE structures ALTER CONSTRAINT fk_structures_owner_id_users DEFERRABLE INITIALLY DEFERRED",
        "constraint-definition", "constraint structures.fk_structures_owner_id_users"),
    "foreign key not valid": Mutation(
        "ALTER TABLE structures DROP CONSTRAINT fk_structures_owner_id_users, ADD CONSTRAINT fk_structures_owner_id_users "
        "FOREIGN KEY (owner_id) REFERENCES users (id) ON DELETE RESTRICT NOT VALID",
        "not-valid-constraint", "constraint structures.fk_structures_owner_id_users"),
    "foreign key's triggers off": Mutation(f"{ADMIN}ALTER TABLE structures DISABLE TRIGGER ALL", "constraint-triggers", "constraint structures.fk_structures_owner_id_users"),
    "check dropped": Mutation("ALTER TABLE users DROP CONSTRAINT ck_users_role", "missing-constraint", "constraint users.ck_users_role"),
    "check text changed": Mutation(
        "ALTER TABLE users DROP CONSTRAINT ck_users_role, ADD CONSTRAINT ck_users_role CHECK (role IN ('viewer', 'researcher', 'admin', 'root'))",
        "constraint-definition", "constraint users.ck_users_role"),
    "check not valid": Mutation(
        "ALTER TABLE workflow_templates DROP CONSTRAINT ck_workflow_templates_version, ADD CONSTRAINT ck_workflow_templates_version CHECK (version >= 1) NOT VALID",
        "not-valid-constraint", "constraint workflow_templates.ck_workflow_templates_version"),
    "check no inherit": Mutation(
        "ALTER TABLE workflow_templates DROP CONSTRAINT ck_workflow_templates_version, ADD CONSTRAINT ck_workflow_templates_version CHECK (version >= 1) NO INHERIT",
        "constraint-definition", "constraint workflow_templates.ck_workflow_templates_version"),
    "check added": Mutation("ALTER TABLE users ADD CONSTRAINT c CHECK (email <> '')", "extra-constraint", "constraint users.c"),
    "constraint renamed": Mutation("ALTER TABLE users RENAME CONSTRAINT ck_users_role TO ck", "renamed-constraint", "constraint users.ck_users_role"),
    "constraint comment": Mutation("COMMENT ON CONSTRAINT ck_users_role ON users IS 'x'", "constraint-comment", "constraint users.ck_users_role"),
    "exclusion added": Mutation("ALTER TABLE users ADD CONSTRAINT e EXCLUDE USING btree (username WITH =)", "extra-constraint", "constraint users.e"),
    # indexes
    "index dropped": Mutation("DROP INDEX ix_materials_elements", "missing-index", "index materials.ix_materials_elements"),
    "index added": Mutation("CREATE INDEX i ON materials (source)", "extra-index", "index materials.i"),
    "index renamed": Mutation("ALTER INDEX ix_materials_elements RENAME TO i", "renamed-index", "index materials.ix_materials_elements"),
    "index invalid": Mutation(f"{ADMIN}UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_materials_elements'::regclass", "invalid-index", "index materials.ix_materials_elements"),
    "unique lost": Mutation("DROP INDEX ix_users_email_lower; CREATE INDEX ix_users_email_lower ON users (lower(email))", "index-definition", "index users.ix_users_email_lower"),
    "expression changed": Mutation("DROP INDEX ix_users_email_lower; CREATE UNIQUE INDEX ix_users_email_lower ON users (upper(email))", "index-definition", "index users.ix_users_email_lower"),
    "predicate changed": Mutation("DROP INDEX ix_simulation_jobs_claim; CREATE INDEX ix_simulation_jobs_claim ON simulation_jobs (due_at, id) WHERE status = 'waiting'", "index-definition", _CLAIM),
    "predicate lost": Mutation("DROP INDEX ix_simulation_jobs_claim; CREATE INDEX ix_simulation_jobs_claim ON simulation_jobs (due_at, id)", "index-definition", _CLAIM),
    "included column": Mutation("DROP INDEX ix_simulation_jobs_claim; CREATE INDEX ix_simulation_jobs_claim ON simulation_jobs (due_at, id) INCLUDE (engine) WHERE status = 'queued'", "index-definition", _CLAIM),
    "order changed": Mutation("DROP INDEX ix_simulation_jobs_claim; CREATE INDEX ix_simulation_jobs_claim ON simulation_jobs (due_at DESC, id) WHERE status = 'queued'", "index-definition", _CLAIM),
    "columns swapped": Mutation("DROP INDEX ix_simulation_jobs_claim; CREATE INDEX ix_simulation_jobs_claim ON simulation_jobs (id, due_at) WHERE status = 'queued'", "index-definition", _CLAIM),
    "method changed": Mutation("DROP INDEX ix_materials_chemical_system; CREATE INDEX ix_materials_chemical_system ON materials USING hash (chemical_system)", "index-definition", "index materials.ix_materials_chemical_system"),
    "operator class changed": Mutation("DROP INDEX ix_materials_chemical_system; CREATE INDEX ix_materials_chemical_system ON materials (chemical_system text_pattern_ops)", "index-definition", "index materials.ix_materials_chemical_system"),
    "index collation": Mutation('DROP INDEX ix_materials_chemical_system; CREATE INDEX ix_materials_chemical_system ON materials (chemical_system COLLATE "POSIX")', "index-definition", "index materials.ix_materials_chemical_system"),
    "index parameter": Mutation("ALTER INDEX ix_materials_elements SET (fastupdate = off)", "index-definition", "index materials.ix_materials_elements"),
    "index comment": Mutation("COMMENT ON INDEX ix_materials_elements IS 'x'", "index-comment", "index materials.ix_materials_elements"),
    "clustered": Mutation("CLUSTER materials USING ix_materials_chemical_system", "index-clustered", "index materials.ix_materials_chemical_system"),
    "index statistics": Mutation("ALTER INDEX ix_users_email_lower ALTER COLUMN 1 SET STATISTICS 500", "index-statistics", "index users.ix_users_email_lower"),
    "the application's index invalid": Mutation(
        f"{ADMIN}CREATE INDEX ix_vector_embeddings_hnsw__m__1 ON vector_embeddings USING hnsw ((embedding::vector(3)) vector_l2_ops) WHERE model = 'm'; "
        "UPDATE pg_index SET indisvalid = false WHERE indexrelid = 'ix_vector_embeddings_hnsw__m__1'::regclass",
        "invalid-index", "index vector_embeddings.ix_vector_embeddings_hnsw__m__1"),
    # everything else
    "view added": Mutation("CREATE VIEW v AS SELECT 1 AS one", "extra-view", "view v"),
    "materialized view added": Mutation("CREATE MATERIALIZED VIEW v AS SELECT 1 AS one", "extra-materialized-view", "materialized view v"),
    "function added": Mutation("CREATE FUNCTION f() RETURNS int LANGUAGE sql AS 'SELECT 1'", "extra-function", "function f()"),
    "sequence added": Mutation("CREATE SEQUENCE s", "extra-sequence", "sequence s"),
    "enum added": Mutation("CREATE TYPE e AS ENUM ('a')", "extra-enum", "enum e"),
    "domain added": Mutation("CREATE DOMAIN d AS int CHECK (VALUE > 0)", "extra-domain", "domain d"),
    "schema added": Mutation("CREATE SCHEMA extra", "extra-schema", "schema extra"),
    "extension dropped": Mutation(f"{ADMIN}DROP EXTENSION vector CASCADE", "missing-extension", "extension vector"),
    "extension outdated": Mutation(f"{ADMIN}UPDATE pg_extension SET extversion = '0.5.0' WHERE extname = 'vector'", "extension-version", "extension vector"),
    "event trigger added": Mutation(
        f"{ADMIN}CREATE FUNCTION public.f() RETURNS event_trigger LANGUAGE plpgsql AS 'BEGIN END'; CREATE EVENT TRIGGER et ON ddl_command_end EXECUTE FUNCTION public.f()",
        "extra-event-trigger", "event trigger et"),
    "publication added": Mutation(f"{ADMIN}CREATE PUBLICATION p FOR TABLE users", "extra-publication", "publication p"),
}  # fmt: skip

SHOP = {
    "enum label added": Mutation("ALTER TYPE stock.colour ADD VALUE 'green'", "enum-labels", "enum stock.colour"),
    "enum label inserted": Mutation("ALTER TYPE order_state ADD VALUE 'packed' AFTER 'paid'", "enum-labels", "enum order_state"),
    "enum label renamed": Mutation("ALTER TYPE stock.colour RENAME VALUE 'blue' TO 'azure'", "enum-labels", "enum stock.colour"),
    "enum comment": Mutation("COMMENT ON TYPE order_state IS 'x'", "enum-comment", "enum order_state"),
    "identity by default": Mutation("ALTER TABLE customers ALTER id SET GENERATED BY DEFAULT", "column-identity", "column customers.id"),
    "identity dropped": Mutation("ALTER TABLE customers ALTER id DROP IDENTITY", "column-identity", "column customers.id"),
    "identity start": Mutation("ALTER TABLE customers ALTER id SET START WITH 5 SET CYCLE", "column-identity", "column customers.id"),
    "serial's default dropped": Mutation("ALTER TABLE stock.items ALTER id DROP DEFAULT", "column-default", "column stock.items.id"),
    "sequence disowned": Mutation("ALTER SEQUENCE stock.items_id_seq OWNED BY NONE", "sequence-owned-by", "sequence stock.items_id_seq"),
    "sequence step": Mutation("ALTER SEQUENCE tickets INCREMENT BY 1", "sequence-definition", "sequence tickets"),
    "sequence cycles": Mutation("ALTER SEQUENCE tickets CYCLE", "sequence-definition", "sequence tickets"),
    "sequence dropped": Mutation("DROP SEQUENCE tickets", "missing-sequence", "sequence tickets"),
    "sequence granted": Mutation("GRANT USAGE ON SEQUENCE tickets TO PUBLIC", "sequence-grants", "sequence tickets"),
    "operator class changed": Mutation("DROP INDEX stock.items_extra; CREATE INDEX items_extra ON stock.items USING gin (extra)", "index-definition", "index stock.items.items_extra"),
    "included column lost": Mutation("DROP INDEX orders_customer; CREATE INDEX orders_customer ON orders (customer_id)", "index-definition", "index orders.orders_customer"),
    "collation given": Mutation('ALTER TABLE stock.items ALTER sku TYPE text COLLATE "C"', "column-collation", "column stock.items.sku"),
    "column of enum": Mutation("DROP INDEX orders_new; ALTER TABLE orders ALTER state DROP DEFAULT, ALTER state TYPE text; ALTER TABLE orders ALTER state SET DEFAULT 'new'", "column-type", "column orders.state"),
    "odd column dropped": Mutation('ALTER TABLE orders DROP COLUMN "Odd Name"', "missing-column", "column orders.Odd Name"),
    "exclusion dropped": Mutation("ALTER TABLE orders DROP CONSTRAINT no_overlap", "missing-constraint", "constraint orders.no_overlap"),
    "exclusion operator": Mutation("ALTER TABLE orders DROP CONSTRAINT no_overlap, ADD CONSTRAINT no_overlap EXCLUDE USING gist (during WITH -|-)", "constraint-definition", "constraint orders.no_overlap"),
    "not deferrable": Mutation("ALTER TABLE orders DROP CONSTRAINT once, ADD CONSTRAINT once UNIQUE (customer_id, item_id)", "constraint-definition", "constraint orders.once"),
    "view changed": Mutation("CREATE OR REPLACE VIEW buyers WITH (security_barrier = true) AS SELECT c.id, c.email, count(*) + 1 AS orders FROM customers c JOIN orders o ON o.customer_id = c.id GROUP BY c.id", "view-definition", "view buyers"),
    "view option": Mutation("ALTER VIEW buyers RESET (security_barrier)", "view-options", "view buyers"),
    "view dropped": Mutation("DROP VIEW buyers", "missing-view", "view buyers"),
    "view comment": Mutation("COMMENT ON VIEW buyers IS NULL", "view-comment", "view buyers"),
    "view granted": Mutation("GRANT SELECT ON buyers TO PUBLIC", "view-grants", "view buyers"),
    "materialized view emptied": Mutation("REFRESH MATERIALIZED VIEW stock.prices WITH NO DATA", "materialized-view-populated", "materialized view stock.prices"),
    "materialized view's index dropped": Mutation("DROP INDEX stock.prices_colour", "missing-index", "index stock.prices.prices_colour"),
    "materialized view dropped": Mutation("DROP MATERIALIZED VIEW stock.prices", "missing-materialized-view", "materialized view stock.prices"),
    "function body": Mutation("CREATE OR REPLACE FUNCTION shout(word text) RETURNS text LANGUAGE sql IMMUTABLE AS $$ SELECT word $$", "function-definition", "function shout(word text)"),
    "function volatility": Mutation("ALTER FUNCTION shout(text) STABLE", "function-definition", "function shout(word text)"),
    "function security": Mutation("ALTER FUNCTION shout(text) SECURITY DEFINER", "function-definition", "function shout(word text)"),
    "function dropped": Mutation("DROP FUNCTION shout(text)", "missing-function", "function shout(word text)"),
    "function revoked": Mutation("REVOKE EXECUTE ON FUNCTION shout(text) FROM PUBLIC", "function-grants", "function shout(word text)"),
    "overload": Mutation("CREATE FUNCTION shout(n int) RETURNS int LANGUAGE sql AS $$ SELECT 1 $$", "extra-function", "function shout(n integer)"),
    "procedure dropped": Mutation("DROP PROCEDURE tidy()", "missing-procedure", "procedure tidy()"),
    "trigger disabled": Mutation("ALTER TABLE customers DISABLE TRIGGER trim_name", "trigger-fires", "trigger customers.trim_name"),
    "trigger dropped": Mutation("DROP TRIGGER trim_name ON customers", "missing-trigger", "trigger customers.trim_name"),
    "trigger's event": Mutation("CREATE OR REPLACE TRIGGER trim_name BEFORE INSERT ON customers FOR EACH ROW EXECUTE FUNCTION touch()", "trigger-definition", "trigger customers.trim_name"),
    "row security off": Mutation("ALTER TABLE customers DISABLE ROW LEVEL SECURITY", "table-row-security", "table customers"),
    "policy expression": Mutation("ALTER POLICY own ON customers USING (true)", "policy-definition", "policy customers.own"),
    "policy dropped": Mutation("DROP POLICY own ON customers", "missing-policy", "policy customers.own"),
    "grant revoked": Mutation("REVOKE INSERT ON orders FROM PUBLIC", "table-grants", "table orders"),
    "grant on a column revoked": Mutation("REVOKE UPDATE (state) ON orders FROM PUBLIC", "column-grants", "column orders.state"),
    "domain check": Mutation("ALTER DOMAIN share DROP CONSTRAINT within", "domain-checks", "domain share"),
    "domain default": Mutation("ALTER DOMAIN share SET DEFAULT 1", "domain-default", "domain share"),
    "domain nullable": Mutation("ALTER DOMAIN share DROP NOT NULL", "domain-null", "domain share"),
    "composite attribute": Mutation("ALTER TYPE place ADD ATTRIBUTE z int", "composite-type-attributes", "composite type place"),
    "range dropped": Mutation("DROP TYPE span", "missing-range-type", "range type span"),
    "statistics dropped": Mutation("DROP STATISTICS stock.together", "missing-statistics", "statistics stock.together"),
    "rule dropped": Mutation("DROP RULE no_delete ON stock.items", "missing-rule", "rule stock.items.no_delete"),
    "partition detached": Mutation("ALTER TABLE events DETACH PARTITION events_2026", "table-partition-of", "table events_2026"),
    "partition added": Mutation("CREATE TABLE events_2027 PARTITION OF events FOR VALUES FROM ('2027-01-01') TO ('2028-01-01')", "extra-table", "table events_2027"),
    "cache logged": Mutation("ALTER TABLE cache SET LOGGED", "table-persistence", "table cache"),
    "storage reset": Mutation("ALTER TABLE orders ALTER during SET STORAGE EXTENDED", "column-storage", "column orders.during"),
    "replica identity reset": Mutation("ALTER TABLE orders REPLICA IDENTITY DEFAULT", "table-replica-identity", "table orders"),
    "table moved": Mutation("ALTER TABLE cache SET SCHEMA stock", "missing-table", "table cache"),
    "schema comment": Mutation("COMMENT ON SCHEMA stock IS 'x'", "schema-comment", "schema stock"),
    "schema granted": Mutation("GRANT USAGE ON SCHEMA stock TO PUBLIC", "schema-grants", "schema stock"),
    "aggregate dropped": Mutation("DROP AGGREGATE longest(text)", "missing-aggregate", "aggregate longest(text)"),
}  # fmt: skip

BY_HAND = {
    "aggregate dropped", "composite attribute", "enum label added", "extension dropped",
    "extension outdated", "owner changed",
}  # fmt: skip
"""Those that no SQL of ours mends in a test: a person has to, or an administrator."""
