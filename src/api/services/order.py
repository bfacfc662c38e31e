"""The order of a search, and the statements that read a part of it along an index."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from types import SimpleNamespace
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Select,
    and_,
    column,
    func,
    literal_column,
    or_,
    select,
    text,
)
from sqlalchemy.sql.elements import UnaryExpression
from sqlalchemy.sql.operators import custom_op

from api.models import Structure
from api.models.structure import CELL, LABELS
from api.schemas.search import BY_ID, Query, Sort, StructureRow
from api.services.criteria import Condition
from api.services.cursor import Cursor

OF_CRYSTALS = {
    *CELL,
    "volume_a3",
    "density_g_per_cm3",
    "protostructure",
    "space_group_number_at_0_01",
    "space_group_number_at_0_1",
}
"""Columns without a value for what does not repeat in three directions."""
SORTED = 50_000
"""Rows that are all fetched and sorted, where they may lie at the far end of the order,"""
SORTED_EARLY = 25_000
"""and where some are near its beginning."""
COLUMNS = tuple(getattr(Structure, name) for name in StructureRow.model_fields)
"""What a page shows: nothing that is stored apart from its row, such as positions."""


class Part(NamedTuple):
    """A part of the order that one range of an index holds: conditions, and its order."""

    where: list[Condition]
    sort: Sort


def usual(query: Query) -> Sort:
    """Return the order where none is said: of their making, or by the time that is asked for.

    What came in last lies at the far end of the first, and is found at once by the other.
    """
    for name in ("created_at", "updated_at"):
        if getattr(query, name) is not None:
            return Sort(name)
    return BY_ID


def parts(sort: Sort, cursor: Cursor, of: Any = Structure) -> Iterator[Part]:
    """Yield what follows the cursor: its equals, what is beyond them, what has no value."""
    sorted_by = getattr(of, sort.column)
    by_id = Sort("id", sort.descending)
    behind = [] if cursor.id is None else [_beyond(of.id, cursor.id, sort.descending)]
    if sort.column == "id":
        yield Part(behind, by_id)
        return
    if cursor.value is not None:
        yield Part([sorted_by == cursor.value, *behind], by_id)
        yield Part([_beyond(sorted_by, cursor.value, sort.descending)], sort)
        behind = []
    elif cursor.id is None:
        yield Part([sorted_by.is_not(None)], sort)
    if _may_miss(sort):
        yield Part([sorted_by.is_(None), *behind], by_id)


def without_value(query: Query, sort: Sort) -> bool:
    """Say whether nothing that is found has a value to be sorted by, only crystals have."""
    directions = query.number_of_periodic_dimensions
    return bool(directions) and 3 not in directions and sort.column in OF_CRYSTALS


def walked(where: Sequence[Condition], part: Part, limit: int) -> Select[Any]:
    """Return the statement of a page's part, read along the order's index."""
    by = _by(part.sort, Structure)
    return select(*COLUMNS).where(*where, *part.where).order_by(*by).limit(limit)


def walked_by_name(where: Sequence[Condition], part: Part, limit: int) -> Select[Any]:
    """Return the same of what the index tells, as by `spelled`: rows are read of the page alone."""
    by = _by(part.sort, Structure)
    met = select(Structure.id).where(*where, *part.where).order_by(*by).limit(limit)
    first = met.subquery("first")
    return select(*COLUMNS).join(first, Structure.id == _FOUND).order_by(*by)


def gathered(
    where: Sequence[Condition],
    sort: Sort,
    cursor: Cursor | None,
    limit: int,
    most: int | None = None,
) -> Select[Any]:
    """Return the statement of a page of few rows: all are fetched, counted, and sorted.

    They come by the index that finds them. The planner would rather walk the order and hope
    to meet them soon, which it judges by their number alone; the inner limit, of ``most``
    rows or none, keeps it from seeing the order, and from looking up half of all rows for what
    is behind the cursor. The last column is the number of all, on whichever page.
    """
    names = list(dict.fromkeys(["id", sort.column]))
    # Columns of a subquery are made dearly; by their names they are had at once.
    keys = {name: column(name, getattr(Structure, name).type) for name in names}
    of = SimpleNamespace(**keys)
    every = select(*(getattr(Structure, name) for name in names)).where(*where)
    all_ = (every.offset(0) if most is None else every.limit(most)).subquery("every")
    numbered = func.count().over().label("number")
    counted: Select[Any] = select(*keys.values(), numbered).select_from(all_)
    if cursor is not None:
        counted = select(text("*")).select_from(counted.subquery("counted"))
        counted = counted.where(*_behind(sort, cursor, of))
    first = counted.order_by(*in_order(sort, of)).limit(limit).subquery("first")
    return (
        select(*COLUMNS, _NUMBER)
        .join(first, Structure.id == _FOUND)
        .order_by(*in_order(sort, Structure))
    )


_FOUND: ColumnElement[UUID] = literal_column("first.id")
_NUMBER: ColumnElement[int] = literal_column("first.number").label("number")


def _behind(sort: Sort, cursor: Cursor | None, of: Any) -> list[Condition]:
    return [] if cursor is None else [or_(*(and_(*part.where) for part in parts(sort, cursor, of)))]


def sorted_up_to(query: Query, sort: Sort, cursor: Cursor) -> int:
    """Return of how many all are fetched and sorted, as they may lie together in the order.

    So it is with formulas of few elements, with ids, which are in the order of time, and with
    what only crystals have; not where `ends` says beyond which there is none. Of formulas asked
    for by their number of elements, some are near the beginning, at the first by alphabet, but
    hardly any near the end.
    """
    given = set(query.given()) - {sort.column} - ({"elements"} if ends(query, sort) else set())
    here = [fields for fields, columns in _TOGETHER if sort.column in columns]
    together = {name for fields in here for name in given & fields}
    if not together:
        return 0
    begins = cursor.id is None and sort.column in _SPELLED and not sort.descending
    return SORTED_EARLY if begins and together <= _BY_NUMBER else SORTED


def ends(query: Query, sort: Sort) -> list[Condition]:
    """Return where the order ends for a query: what has elements begins with the first, or before.

    Formulas and systems name their elements by alphabet, and no symbol but its own begins with
    one and a small ``a``: neither end of the order is walked where nothing can be.
    """
    if not query.elements or sort.column not in _SPELLED:
        return []
    return [_beyond(getattr(Structure, sort.column), min(query.elements) + "a", descending=True)]


def spelled(query: Query, sort: Sort) -> list[Condition]:
    """Return what the sorted names themselves tell of a query: that for certain elements alone."""
    if set(query.given()) != {"elements"} or sort.column not in _SPELLED:
        return []
    name = getattr(Structure, sort.column)
    return [name.regexp_match(f"{element}(?![a-z])") for element in query.elements]


_SPELLED = {"reduced_formula", "chemical_system"}
_BY_NUMBER = {"number_of_elements", "anonymous_formula", "protostructure"}
_TOGETHER = (
    (
        {
            "elements",
            "elements_any",
            "elements_only",
            "elements_none",
            "chemical_system",
            "chemical_subsystems_of",
            "reduced_formula",
            *_BY_NUMBER,
        },
        {*LABELS, "number_of_elements"},
    ),
    ({"created_at", "updated_at", "id_prefix"}, {"id", "created_at", "updated_at"}),
    ({"number_of_periodic_dimensions"}, OF_CRYSTALS),
)


def in_order(sort: Sort, of: Any) -> list[Any]:
    """Return the order of all rows of ``of``, those without a value last."""
    first, *equals = _by(sort, of)
    may_be_first = sort.descending and _may_miss(sort)
    return [first.nulls_last() if may_be_first else first, *equals]


def _may_miss(sort: Sort) -> bool:
    return bool(Structure.__table__.c[sort.column].nullable)


def _by(sort: Sort, of: Any) -> list[Any]:
    """Return the order of rows with a value: that of the index, forwards or backwards."""
    first, id_ = getattr(of, sort.column), of.id
    if sort.column in LABELS:
        using: Any = custom_op("USING ~>~" if sort.descending else "USING ~<~")
        first = UnaryExpression(first, modifier=using)
    else:
        first = first.desc() if sort.descending else first.asc()
    by_id = id_.desc() if sort.descending else id_.asc()
    return [by_id] if sort.column == "id" else [first, by_id]


def _beyond(of: Any, value: Any, descending: bool) -> Condition:
    sign = "<" if descending else ">"
    if of.key in LABELS:
        sign = f"~{sign}~"
    return of.op(sign, is_comparison=True)(value)  # type: ignore[no-any-return]
