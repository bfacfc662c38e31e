-- The database that every case of cases.toml meets, filled by fill.sql.

CREATE TYPE order_state AS ENUM ('new', 'paid', 'sent');
CREATE DOMAIN postcode AS text;
CREATE DOMAIN percentage AS integer CONSTRAINT percentage_range CHECK (VALUE BETWEEN 0 AND 100);
CREATE SEQUENCE invoice_numbers;

CREATE FUNCTION next_code() RETURNS text LANGUAGE sql VOLATILE
    RETURN 'C' || nextval('invoice_numbers');
CREATE FUNCTION doubled(n integer) RETURNS integer LANGUAGE sql IMMUTABLE
    RETURN 2 * n;
CREATE FUNCTION trim_nickname() RETURNS trigger LANGUAGE plpgsql AS
    $$ BEGIN NEW.nickname := btrim(NEW.nickname); RETURN NEW; END $$;
CREATE FUNCTION unused() RETURNS integer LANGUAGE sql IMMUTABLE
    RETURN 1;

CREATE TABLE customers (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    email text NOT NULL,
    name varchar(50) NOT NULL,
    nickname text,
    city text,
    age integer NOT NULL,
    balance numeric(10, 2) NOT NULL,
    code char(8) NOT NULL,
    joined timestamp NOT NULL,
    seen timestamptz NOT NULL,
    network cidr NOT NULL,
    preferences json,
    zip postcode,
    tier text NOT NULL
);
CREATE TRIGGER customers_nickname BEFORE INSERT ON customers
    FOR EACH ROW EXECUTE FUNCTION trim_nickname();

CREATE TABLE orders (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    customer_id bigint NOT NULL,
    referrer_id bigint,
    reference text NOT NULL,
    batch text NOT NULL,
    state order_state NOT NULL DEFAULT 'new',
    total numeric(12, 2) NOT NULL CONSTRAINT orders_total_positive CHECK (total >= 0),
    quantity integer NOT NULL,
    placed_on date NOT NULL,
    during int4range NOT NULL,
    CONSTRAINT orders_customer FOREIGN KEY (customer_id) REFERENCES customers (id)
);
CREATE INDEX orders_placed_on ON orders (placed_on);
CREATE INDEX orders_customer_id ON orders (customer_id);

CREATE TABLE payments (
    order_id bigint NOT NULL,
    receipt bigint,
    amount numeric(12, 2) NOT NULL,
    channel text NOT NULL
);

CREATE TABLE readings (id bigint NOT NULL, value integer NOT NULL) PARTITION BY RANGE (id);
CREATE TABLE readings_1 PARTITION OF readings FOR VALUES FROM (0) TO (50000);
CREATE TABLE readings_2 PARTITION OF readings FOR VALUES FROM (50000) TO (100000);
CREATE TABLE readings_3 (id bigint NOT NULL, value integer NOT NULL);

CREATE TABLE documents (
    id bigint GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    title text NOT NULL,
    embedding vector(8) NOT NULL,
    long_embedding vector(2500),
    any_embedding vector
);

CREATE SCHEMA archive;
CREATE TABLE archive.letters (id bigint NOT NULL, body text NOT NULL);

CREATE VIEW customer_emails AS SELECT id, email FROM customers;
CREATE MATERIALIZED VIEW batch_totals AS SELECT batch, sum(total) AS total FROM orders GROUP BY batch;
CREATE UNIQUE INDEX batch_totals_batch ON batch_totals (batch);
