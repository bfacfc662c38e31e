"""What models do not speak of: views, functions, triggers, policies, grants."""

from alembic import op

revision = "002"
down_revision = "001"


def upgrade():
    with op.get_context().autocommit_block():
        op.execute(
            "CREATE INDEX CONCURRENTLY orders_customer ON orders (customer_id) INCLUDE (state)"
        )
        op.execute("ALTER TYPE order_state ADD VALUE 'returned'")
    op.execute(
        """
        CREATE VIEW buyers WITH (security_barrier = true) AS
          SELECT c.id, c.email, count(*) AS orders FROM customers c JOIN orders o
          ON o.customer_id = c.id GROUP BY c.id;
        COMMENT ON VIEW buyers IS 'With at least one order';
        CREATE MATERIALIZED VIEW stock.prices AS SELECT colour, avg(price) AS mean
          FROM stock.items GROUP BY colour;
        CREATE UNIQUE INDEX prices_colour ON stock.prices (colour);
        CREATE FUNCTION shout(word text) RETURNS text LANGUAGE sql IMMUTABLE
          AS $$ SELECT upper(word) || '!' $$;
        CREATE FUNCTION touch() RETURNS trigger LANGUAGE plpgsql AS $$
        BEGIN
          NEW.name := trim(NEW.name);
          RETURN NEW;
        END $$;
        CREATE TRIGGER trim_name BEFORE INSERT OR UPDATE OF name ON customers
          FOR EACH ROW EXECUTE FUNCTION touch();
        CREATE PROCEDURE tidy() LANGUAGE sql AS $$ DELETE FROM orders WHERE state = 'paid' $$;
        CREATE AGGREGATE longest(text) (SFUNC = textcat, STYPE = text, INITCOND = '');
        ALTER TABLE customers ENABLE ROW LEVEL SECURITY;
        CREATE POLICY own ON customers FOR SELECT TO PUBLIC
          USING (email = current_setting('shop.email', true));
        GRANT SELECT, INSERT ON orders TO PUBLIC;
        GRANT UPDATE (state) ON orders TO PUBLIC;
        CREATE DOMAIN share AS numeric NOT NULL DEFAULT 0
          CONSTRAINT within CHECK (VALUE BETWEEN 0 AND 1);
        CREATE TYPE place AS (x integer, y text COLLATE "C");
        CREATE TYPE span AS RANGE (SUBTYPE = numeric);
        CREATE SEQUENCE tickets START WITH 7 INCREMENT BY 7;
        CREATE STATISTICS stock.together (dependencies) ON colour, price FROM stock.items;
        CREATE RULE no_delete AS ON DELETE TO stock.items DO INSTEAD NOTHING;
        CREATE UNLOGGED TABLE cache (key text PRIMARY KEY, value text);
        ALTER TABLE orders ALTER during SET STORAGE EXTERNAL;
        ALTER TABLE orders REPLICA IDENTITY FULL;
        """
    )


def downgrade():
    raise NotImplementedError
