"""Comparisons of lists: HAS, HAS ALL, HAS ANY, HAS ONLY, of one list or of several in step.

A list that is unknown matches neither a comparison nor its negation, so what looks into lists
asks first whether they are known.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

from sqlalchemy import Double, and_, case, cast, column, exists, func, literal, not_, or_
from sqlalchemy.dialects.postgresql import ARRAY

from api.errors import QueryNotSupported, QueryNotUnderstood
from api.optimade.comparisons import UNKNOWN, Condition, Constant, Kind, Sql, compare
from api.optimade.properties import SQL_TYPES, Property

HAS, ALL, ANY, ONLY = "HAS", "ALL", "ANY", "ONLY"


class Test(NamedTuple):
    """What an item has to be: ``operator value``."""

    operator: str
    value: Constant


def has(lists: Sequence[Property], quantity: str, wanted: Sequence[Sequence[Test]]) -> Condition:
    """Return whether the items of ``lists`` at one place meet one of, or all, the tests.

    ``wanted`` has a test for each list in each of its rows. Raises QueryNotUnderstood where
    it has not, QueryNotSupported for lists of lists or dictionaries, and for wrong types.
    """
    if any(len(tests) != len(lists) for tests in wanted):
        raise QueryNotUnderstood(f"{len(lists)} lists in step need as many values, joined by :.")
    if any(one.kind is Kind.UNKNOWN for one in lists):
        return UNKNOWN
    for one in lists:
        if one.kind is not Kind.LIST:
            raise QueryNotSupported(f"{one.name} is no list; HAS looks into lists.")
        if one.item is None:
            raise QueryNotSupported(f"HAS looks for strings and numbers; {one.name} holds others.")
    if len(lists) == 1:
        tests = [row[0] for row in wanted]
        if all(test.operator == "=" for test in tests):
            return _has_equal(lists[0], quantity, tests)
    return _has_meeting(lists, quantity, wanted)


def _has_equal(one: Property, quantity: str, tests: Sequence[Test]) -> Condition:
    """Return a comparison of whole arrays, for which there may be an index."""
    for test in tests:
        _item(one, literal(None), test)  # of the right type, or refused
    array: Sql = one.sql
    if quantity == ONLY and one.only is not None:
        return one.only([str(test.value) for test in tests])
    if one.item is Kind.STRING:
        values = literal([test.value for test in tests], ARRAY(SQL_TYPES[Kind.STRING]))
    else:
        array = cast(array, ARRAY(Double))
        values = literal([float(str(test.value)) for test in tests], ARRAY(Double))
    operator = {HAS: "@>", ALL: "@>", ANY: "&&", ONLY: "<@"}[quantity]
    return array.bool_op(operator)(values)


def _has_meeting(
    lists: Sequence[Property], quantity: str, wanted: Sequence[Sequence[Test]]
) -> Condition:
    """Return a comparison that takes the lists apart."""
    items = func.unnest(*(one.sql for one in lists)).table_valued(
        *(column(f"item_{i}", SQL_TYPES[one.item or one.kind]) for i, one in enumerate(lists)),
        name="items",
    )
    items = items.render_derived()

    def met(tests: Sequence[Test]) -> Condition:
        return and_(
            *(
                _item(one, items.c[i], test)
                for i, (one, test) in enumerate(zip(lists, tests, strict=True))
            )
        )

    def one_meets(condition: Condition) -> Condition:
        return exists().select_from(items).where(condition)

    if quantity == ALL:
        answer = and_(*(one_meets(met(tests)) for tests in wanted))
    elif quantity == ONLY:
        answer = not_(one_meets(not_(or_(*(met(tests) for tests in wanted)))))
    else:
        answer = one_meets(or_(*(met(tests) for tests in wanted)))
    known = and_(*(one.sql.is_not(None) for one in lists))
    taken_apart = case((known, answer))
    if quantity in {HAS, ALL}:
        return and_(*_implied(lists, wanted), taken_apart)
    return taken_apart


def _implied(lists: Sequence[Property], wanted: Sequence[Sequence[Test]]) -> list[Condition]:
    """Return what must hold anyway and can be looked up: the items that must be there."""
    implied = []
    for i, one in enumerate(lists):
        equal = [row[i] for row in wanted if row[i].operator == "="]
        if equal and one.item is Kind.STRING:
            implied.append(_has_equal(one, ALL, equal))
    return implied


def _item(one: Property, item: Sql, test: Test) -> Condition:
    assert one.item is not None  # noqa: S101 - `has` refuses other lists
    return compare(one.item, item, test.operator, test.value)
