"""Cursors: the place in a sorted search where the next page begins, as one opaque word."""

from __future__ import annotations

import base64
import binascii
import json
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any, Protocol
from uuid import UUID

from sqlalchemy import DateTime, SmallInteger

from api.errors import WrongUsage
from api.models import Structure
from api.models.base import Base
from api.schemas.search import Sort
from nanoos.canonical import canonical_json, sha256


class Asked(Protocol):
    """A query, as a document."""

    def given(self) -> dict[str, Any]:
        """Return the conditions that say something."""


_NONE = (
    binascii.Error,
    ValueError,
    TypeError,
    AttributeError,
    OverflowError,
    RecursionError,
)
"""What reading a text raises that is no cursor."""


@dataclass(frozen=True, slots=True)
class Cursor:
    """Behind which row a page begins, of which search, and how many rows that finds.

    ``value`` is the row's in the column that is sorted by; both it and ``id`` are None before
    the first page. The count is carried along, so that later pages need not count again.
    """

    digest: str
    sort: Sort
    count: int
    is_exact: bool
    value: Any = None
    id: UUID | None = None

    @classmethod
    def start(cls, query: Asked, sort: Sort, count: int, *, is_exact: bool) -> Cursor:
        """Return the cursor before the first row."""
        return cls(_digest(query, sort), sort, count, is_exact)

    @classmethod
    def read(cls, text: str, query: Asked, sort: Sort, of: type[Base] = Structure) -> Cursor:
        """Return what ``str`` of a cursor of rows ``of`` a table wrote.

        Raises WrongUsage if it is none of this search.
        """
        try:
            packed = json.loads(base64.urlsafe_b64decode(text.encode() + b"=="))
            digest, count, is_exact, value, id_ = packed
            value = _value(of, sort, value)
            cursor = cls(str(digest), sort, int(count), bool(is_exact), value, UUID(id_))
        except _NONE as error:
            raise WrongUsage(
                f"--after {text} is no cursor; take the one that the page before named."
            ) from error
        if cursor.digest != _digest(query, sort):
            raise WrongUsage(
                "The cursor of --after is of another search or order; repeat all options of the "
                "page before."
            )
        return cursor

    def behind(self, row: Any) -> Cursor:
        """Return the cursor behind ``row``."""
        return replace(self, value=getattr(row, self.sort.column), id=row.id)

    def __str__(self) -> str:
        value = None if self.sort.column == "id" else self.value
        if isinstance(value, datetime):
            value = value.isoformat()
        packed = canonical_json([self.digest, self.count, self.is_exact, value, str(self.id)])
        return base64.urlsafe_b64encode(packed.encode()).decode().rstrip("=")


def _value(of: type[Base], sort: Sort, value: Any) -> Any:
    """Return a cursor's value as its column has it.

    Raises ValueError, TypeError or OverflowError for one that it cannot have.
    """
    if value is None or sort.column == "id":
        return None
    type_ = of.__table__.c[sort.column].type
    if isinstance(type_, DateTime):
        moment = datetime.fromisoformat(value)
        if moment.tzinfo is None:
            raise ValueError(value)
        return moment.astimezone(UTC)
    if type(value) is not type_.python_type:
        raise TypeError(value)
    largest = 2**15 if isinstance(type_, SmallInteger) else 2**31
    if isinstance(value, int) and not -largest <= value < largest:
        raise OverflowError(value)
    if isinstance(value, str) and "\0" in value.encode().decode():  # fails at a surrogate
        raise ValueError(value)
    return value


def _digest(query: Asked, sort: Sort) -> str:
    return sha256([query.given(), str(sort)])[:16]
