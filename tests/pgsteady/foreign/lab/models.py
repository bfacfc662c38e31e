"""A laboratory: vectors, arrays of an enum, names left to PostgreSQL, no naming convention."""

from pgvector.sqlalchemy import Vector
from sqlalchemy import DateTime, Enum, ForeignKey, Index, MetaData, UniqueConstraint, func
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column


class Base(DeclarativeBase):
    pass


metadata: MetaData = Base.metadata


class Sample(Base):
    __tablename__ = "sample"
    id: Mapped[int] = mapped_column(primary_key=True)
    label: Mapped[str] = mapped_column(unique=True)
    phases: Mapped[list[str]] = mapped_column(ARRAY(Enum("solid", "liquid", name="phase")))
    taken_at: Mapped[str] = mapped_column(DateTime(timezone=True), server_default=func.now())
    embedding: Mapped[str] = mapped_column(Vector(3))


class Measurement(Base):
    __tablename__ = "measurement"
    __table_args__ = (UniqueConstraint("sample_id", "number"),)
    id: Mapped[int] = mapped_column(primary_key=True)
    sample_id: Mapped[int] = mapped_column(ForeignKey("sample.id"), index=True)
    number: Mapped[int]
    value: Mapped[float | None]


Index(
    "sample_near",
    Sample.embedding,
    postgresql_using="hnsw",
    postgresql_ops={"embedding": "vector_l2_ops"},
    postgresql_with={"m": 8, "ef_construction": 32},
)
