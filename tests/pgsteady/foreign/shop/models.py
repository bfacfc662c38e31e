"""A shop: two schemas, enums, identity and serial columns, constraints of every kind."""

from sqlalchemy import (
    BigInteger,
    Boolean,
    CheckConstraint,
    Column,
    Computed,
    Date,
    Enum,
    ForeignKey,
    Identity,
    Index,
    Integer,
    MetaData,
    Numeric,
    String,
    Table,
    Text,
    UniqueConstraint,
    func,
    text,
)
from sqlalchemy.dialects.postgresql import JSONB, TSTZRANGE, ExcludeConstraint

metadata = MetaData()

order_state = Enum("new", "paid", "it's sent", "returned", name="order_state")
colour = Enum("red", "blue", name="colour", schema="stock")

customers = Table(
    "customers",
    metadata,
    Column("id", BigInteger, Identity(always=True, start=100), primary_key=True),
    Column("email", String(200), nullable=False, unique=True, comment="it's theirs"),
    Column("name", Text(collation="C"), nullable=False),
    Column("balance", Numeric(12, 2), CheckConstraint("balance >= 0"), server_default=text("0")),
    Column("active", Boolean, server_default=text("true")),
    Column("full_name", Text, Computed("upper(name)", persisted=True)),
    comment="Who buys",
)
Index("customers_lower", func.lower(customers.c.email))

items = Table(
    "items",
    metadata,
    Column("id", Integer, primary_key=True),
    Column("sku", Text, nullable=False, unique=True),
    Column("colour", colour, nullable=False, server_default="red"),
    Column("price", Numeric(10, 2)),
    Column("extra", JSONB, server_default=text("'{}'::jsonb")),
    CheckConstraint("price > 0", name="price_positive"),
    schema="stock",
    postgresql_with={"fillfactor": 80},
)
Index(
    "items_extra",
    items.c.extra,
    postgresql_using="gin",
    postgresql_ops={"extra": "jsonb_path_ops"},
)

orders = Table(
    "orders",
    metadata,
    Column("id", BigInteger, primary_key=True),
    Column("customer_id", ForeignKey("customers.id", ondelete="CASCADE"), nullable=False),
    Column("item_id", ForeignKey("stock.items.id"), nullable=False),
    Column("state", order_state, nullable=False, server_default="new"),
    Column("during", TSTZRANGE),
    Column("order", Integer, comment="A name that needs quotes"),
    Column("Odd Name", Integer),
    UniqueConstraint("customer_id", "item_id", name="once", deferrable=True),
    ExcludeConstraint(("during", "&&"), name="no_overlap", using="gist"),
)
Index("orders_new", orders.c.id, postgresql_where=text("state = 'new'::order_state"))
Index("orders_customer", orders.c.customer_id, postgresql_include=["state"])

events = Table(
    "events",
    metadata,
    Column("day", Date, nullable=False),
    Column("what", Text),
    postgresql_partition_by="RANGE (day)",
)

cache = Table(
    "cache",
    metadata,
    Column("key", Text, primary_key=True),
    Column("value", Text),
    prefixes=["UNLOGGED"],
)
