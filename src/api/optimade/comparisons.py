"""Comparisons of one value with one constant, as SQL with bound parameters.

What they mean stands in OPTIMADE 1.2, "API Filtering Format Specification": values of different
types are not compared (501), an unknown value matches nothing, strings are ordered by their
code points.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from enum import StrEnum
from operator import eq, ge, gt, le, lt, ne
from typing import Any
from uuid import UUID

from sqlalchemy import (
    BigInteger,
    Boolean,
    ColumnElement,
    DateTime,
    Double,
    Text,
    and_,
    cast,
    false,
    literal,
    not_,
    null,
    or_,
    true,
)
from sqlalchemy.sql.elements import SQLCoreOperations

from api.errors import QueryNotSupported, QueryNotUnderstood

Constant = str | int | float | bool
Sql = SQLCoreOperations[Any]
Condition = ColumnElement[bool]

UNKNOWN: Condition = cast(null(), Boolean)
"""Neither true nor false, and its negation neither."""

_OPERATORS: dict[str, Callable[[Any, Any], Any]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
REVERSED = {"=": "=", "!=": "!=", "<": ">", "<=": ">=", ">": "<", ">=": "<="}
"""The operator that says the same with its sides exchanged."""

_BY_CODE_POINT = {"<": "~<~", "<=": "~<=~", ">": "~>~", ">=": "~>=~"}
"""PostgreSQL's comparisons that know no locale; indexes with text_pattern_ops serve them."""

_RFC_3339 = re.compile(r"\d{4}-\d\d-\d\d[Tt ]\d\d:\d\d:\d\d(\.\d+)?([Zz]|[+-]\d\d:\d\d)", re.ASCII)
_SECOND = timedelta(seconds=1)
_LARGEST = 2**63  # of PostgreSQL's integers


class Kind(StrEnum):
    """OPTIMADE's data types, and what they are stored as where that makes a difference."""

    STRING = "string"
    IDENTIFIER = "identifier"  # a string, stored as UUID
    INTEGER = "integer"
    FLOAT = "float"
    BOOLEAN = "boolean"
    TIMESTAMP = "timestamp"
    LIST = "list"
    DICTIONARY = "dictionary"
    UNKNOWN = "unknown"  # a property of another database: null for every entry

    @property
    def optimade(self) -> str:
        """The type's name in the standard."""
        return "string" if self is Kind.IDENTIFIER else self.value


def compare(kind: Kind, value: Sql, operator: str, constant: Constant) -> Condition:
    """Return ``value operator constant``.

    Raises QueryNotSupported where their types differ, QueryNotUnderstood where a timestamp
    is none.
    """
    if kind is Kind.UNKNOWN:
        return UNKNOWN
    by = _COMPARED.get(kind)
    if by is None:
        raise QueryNotSupported(f"A {kind.optimade} cannot be compared by {operator}.")
    if not isinstance(constant, _CONSTANTS[kind]) or (
        isinstance(constant, bool) != (kind is Kind.BOOLEAN)
    ):
        raise QueryNotSupported(
            f"{constant!r} is no {kind.optimade}; values of different types are not compared."
        )
    return by(value, operator, constant)


def compare_values(kind: Kind, left: Sql, operator: str, right: Sql) -> Condition:
    """Return ``left operator right`` of two values of one kind."""
    if Kind.UNKNOWN is kind:
        return UNKNOWN
    if kind not in _COMPARED or (kind is Kind.BOOLEAN and operator not in {"=", "!="}):
        raise QueryNotSupported(f"A {kind.optimade} cannot be compared by {operator}.")
    if kind is Kind.STRING and operator in _BY_CODE_POINT:
        return left.bool_op(_BY_CODE_POINT[operator])(right)
    return _plain(left, operator, right)


def matches(kind: Kind, value: Sql, operator: str, part: Constant) -> Condition:
    """Return whether a string CONTAINS, STARTS or ENDS with ``part``."""
    if kind is Kind.UNKNOWN:
        return UNKNOWN
    if kind not in {Kind.STRING, Kind.IDENTIFIER} or not isinstance(part, str):
        raise QueryNotSupported(f"{operator} compares strings.")
    text = cast(value, Text) if kind is Kind.IDENTIFIER else value
    if operator == "STARTS":
        return text.startswith(part, autoescape=True)
    if operator == "ENDS":
        return text.endswith(part, autoescape=True)
    return text.contains(part, autoescape=True)


def numbers(left: float, operator: str, right: float) -> Condition:
    """Return whether two numbers compare so."""
    return true() if _OPERATORS[operator](left, right) else false()


def _plain(left: Sql, operator: str, right: Any) -> Condition:
    found: Condition = _OPERATORS[operator](left, right)
    return found


def _string(value: Sql, operator: str, constant: Any) -> Condition:
    if operator in _BY_CODE_POINT:
        return value.bool_op(_BY_CODE_POINT[operator])(literal(constant, Text))
    return _plain(value, operator, literal(constant, Text))


def _identifier(value: Sql, operator: str, constant: Any) -> Condition:
    if operator in _BY_CODE_POINT:
        return _string(cast(value, Text), operator, constant)
    try:
        id_ = UUID(constant)
    except ValueError:
        id_ = None
    if id_ is None or str(id_) != constant:  # the text of none
        return (
            and_(value.is_(None), UNKNOWN) if operator == "=" else or_(value.is_not(None), UNKNOWN)
        )
    return _plain(value, operator, id_)


def _integer(value: Sql, operator: str, constant: Any) -> Condition:
    if isinstance(constant, int) and -_LARGEST <= constant < _LARGEST:
        return _plain(value, operator, literal(constant, BigInteger))
    return _float(value, operator, constant)


def _float(value: Sql, operator: str, constant: Any) -> Condition:
    return _plain(value, operator, literal(float(str(constant)), Double))


def _boolean(value: Sql, operator: str, constant: Any) -> Condition:
    if operator not in {"=", "!="}:
        raise QueryNotSupported("Booleans are compared by = and != alone.")
    return and_(value) if constant == (operator == "=") else not_(value)


def _timestamp(value: Sql, operator: str, constant: Any) -> Condition:
    """Compare whole seconds, as answers show them, so that an index on the value serves."""
    moment = timestamp(constant)
    floor = moment.replace(microsecond=0)
    is_whole = moment == floor
    begin, end = _moment(floor), _moment(floor + _SECOND)
    if operator in {"=", "!="}:
        inside = and_(value >= begin, value < end) if is_whole else and_(value.is_(None), UNKNOWN)
        outside = or_(value < begin, value >= end) if is_whole else or_(value.is_not(None), UNKNOWN)
        return inside if operator == "=" else outside
    if operator in {"<", ">="}:
        return _plain(value, operator, begin if is_whole else end)
    return _plain(value, "<" if operator == "<=" else ">=", end)


def _moment(moment: datetime) -> ColumnElement[datetime]:
    return literal(moment, DateTime(timezone=True))


def timestamp(text: str) -> datetime:
    """Return the moment that RFC 3339 text means; raises QueryNotUnderstood for any other."""
    if _RFC_3339.fullmatch(text):
        try:
            moment = datetime.fromisoformat(text.upper()).astimezone(UTC)
            return moment + _SECOND - _SECOND  # what a second more takes out of range is none
        except (ValueError, OverflowError):
            pass
    raise QueryNotUnderstood(
        f"{text!r} is no date and time by RFC 3339, such as 2026-11-27T12:00:00Z."
    )


_COMPARED: dict[Kind, Callable[[Sql, str, Any], Condition]] = {
    Kind.STRING: _string,
    Kind.IDENTIFIER: _identifier,
    Kind.INTEGER: _integer,
    Kind.FLOAT: _float,
    Kind.BOOLEAN: _boolean,
    Kind.TIMESTAMP: _timestamp,
}
_CONSTANTS: dict[Kind, tuple[type, ...]] = {
    Kind.STRING: (str,),
    Kind.IDENTIFIER: (str,),
    Kind.INTEGER: (int, float),
    Kind.FLOAT: (int, float),
    Kind.BOOLEAN: (bool,),
    Kind.TIMESTAMP: (str,),
}
