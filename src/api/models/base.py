"""What all tables share: metadata with a naming convention, keys, ownership, checks."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import (
    CheckConstraint,
    Computed,
    DateTime,
    ForeignKey,
    MetaData,
    Text,
    func,
    inspect,
    text,
)
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, JSONB
from sqlalchemy.orm import DeclarativeBase, Mapped, mapped_column
from uuid_utils.compat import uuid7

NAMING_CONVENTION = {
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
}

FloatArray = ARRAY(DOUBLE_PRECISION)
EMPTY_OBJECT = text("'{}'::jsonb")
EMPTY_TEXT_ARRAY = text("'{}'::text[]")


class Base(DeclarativeBase):
    """The root of all models."""

    metadata = MetaData(naming_convention=NAMING_CONVENTION)
    type_annotation_map = {  # noqa: RUF012 - SQLAlchemy reads it as a plain dict
        str: Text,
        datetime: DateTime(timezone=True),
        dict[str, Any]: JSONB,
        list[dict[str, Any]]: JSONB,
        list[str]: ARRAY(Text),
    }

    def values(self) -> dict[str, Any]:
        """Return the row's columns by attribute name."""
        return {column.key: getattr(self, column.key) for column in inspect(type(self)).columns}


class Identified:
    """A UUID primary key, ordered by time when made here (RFC 9562, version 7)."""

    id: Mapped[uuid.UUID] = mapped_column(
        primary_key=True, default=uuid7, server_default=func.gen_random_uuid(), sort_order=-10
    )


class Created:
    """When the row came to be."""

    created_at: Mapped[datetime] = mapped_column(server_default=func.now(), sort_order=90)


class Updated(Created):
    """When the row came to be and when it last changed."""

    updated_at: Mapped[datetime] = mapped_column(
        server_default=func.now(), onupdate=func.now(), sort_order=91
    )


class Owned:
    """Who owns the row and who may read it; ``scope_key`` is where it must be unique."""

    owner_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("users.id", ondelete="RESTRICT"), index=True, sort_order=80
    )
    visibility: Mapped[str] = mapped_column(
        server_default="private", sort_order=81, comment="private: the owner; public: everyone"
    )
    scope_key: Mapped[str] = mapped_column(
        Computed(
            "CASE WHEN visibility = 'public' THEN 'public' ELSE owner_id::text END",
            persisted=True,
        ),
        sort_order=82,
        comment="Rows are unique within a scope: the owner's, or the public one",
    )


def one_of(column: str, values: tuple[str, ...]) -> CheckConstraint:
    """Return the CHECK that ``column`` holds one of ``values``."""
    listed = ", ".join(f"'{value}'" for value in values)
    return CheckConstraint(f"{column} IN ({listed})", name=column)


def finite(column: str) -> str:
    """Return SQL that is true where every number of an array is finite; NULL is no number.

    PostgreSQL sorts NaN above infinity.
    """
    return f"('Infinity'::float8 > ALL ({column}) AND '-Infinity'::float8 < ALL ({column})) IS TRUE"


VISIBILITIES = ("private", "public")
