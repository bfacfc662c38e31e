"""Tables, as somebody wrote them by hand."""

from alembic import op

revision = "001"
down_revision = None


def upgrade():
    op.execute(
        """
        CREATE SCHEMA stock;
        CREATE TYPE order_state AS ENUM ('new', 'paid', 'it''s sent');
        CREATE TYPE stock.colour AS ENUM ('red', 'blue');
        CREATE TABLE customers (
          id bigint GENERATED ALWAYS AS IDENTITY (START WITH 100) PRIMARY KEY,
          email varchar(200) NOT NULL UNIQUE,
          name text COLLATE "C" NOT NULL,
          balance numeric(12, 2) DEFAULT 0 CHECK (balance >= 0),
          active boolean DEFAULT true,
          full_name text GENERATED ALWAYS AS (upper(name)) STORED
        );
        COMMENT ON TABLE customers IS 'Who buys';
        COMMENT ON COLUMN customers.email IS 'it''s theirs';
        CREATE INDEX customers_lower ON customers (lower(email));
        CREATE TABLE stock.items (
          id serial PRIMARY KEY,
          sku text NOT NULL UNIQUE,
          colour stock.colour NOT NULL DEFAULT 'red',
          price numeric(10, 2) CONSTRAINT price_positive CHECK (price > 0),
          extra jsonb DEFAULT '{}'
        ) WITH (fillfactor = 80);
        CREATE INDEX items_extra ON stock.items USING gin (extra jsonb_path_ops);
        CREATE TABLE orders (
          id bigserial PRIMARY KEY,
          customer_id bigint NOT NULL REFERENCES customers ON DELETE CASCADE,
          item_id integer NOT NULL REFERENCES stock.items,
          state order_state NOT NULL DEFAULT 'new',
          during tstzrange,
          "order" integer,
          "Odd Name" integer,
          CONSTRAINT once UNIQUE (customer_id, item_id) DEFERRABLE,
          CONSTRAINT no_overlap EXCLUDE USING gist (during WITH &&)
        );
        COMMENT ON COLUMN orders."order" IS 'A name that needs quotes';
        CREATE INDEX orders_new ON orders (id) WHERE state = 'new';
        CREATE TABLE events (day date NOT NULL, what text) PARTITION BY RANGE (day);
        CREATE TABLE events_2026 PARTITION OF events
          FOR VALUES FROM ('2026-01-01') TO ('2027-01-01');
        """
    )


def downgrade():
    op.execute("DROP TABLE orders, stock.items, customers, events; DROP TYPE order_state")
    op.execute("DROP SCHEMA stock CASCADE")
