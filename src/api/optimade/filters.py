"""From the syntax tree of a filter to SQL: every value a bound parameter, nothing left to Python.

The logic is that of SQL, three-valued, as the standard has it: what an unknown value is compared
with matches neither so nor negated.
"""

from __future__ import annotations

import re
from typing import Any

from lark import Token, Tree
from sqlalchemy import and_, false, not_, null, or_, true

from api.errors import QueryNotSupported, QueryNotUnderstood
from api.optimade.comparisons import (
    REVERSED,
    Condition,
    Constant,
    Kind,
    compare,
    compare_values,
    matches,
    numbers,
)
from api.optimade.grammar import parse
from api.optimade.lists import ALL, ANY, HAS, ONLY, Test, has
from api.optimade.properties import Entries, Property

Node = Tree[Token] | Token


class Filter:
    """A filter on entries of one type.

    ``condition`` is its SQL, ``foreign`` the names in it that belong to other databases.
    Raises QueryNotUnderstood or QueryNotSupported.
    """

    def __init__(self, text: str, entries: Entries) -> None:
        self.foreign: list[str] = []
        self._entries = entries
        self._is_negated = False
        tree = parse(text)
        self.is_empty = not tree.children
        self.condition: Condition = true() if self.is_empty else self._any(tree.children[0])

    def _any(self, node: Any) -> Condition:
        return or_(*(self._all(child) for child in node.children))

    def _all(self, node: Any) -> Condition:
        return and_(*(self._phrase(child) for child in node.children))

    def _phrase(self, node: Any) -> Condition:
        *negation, inner = node.children
        self._is_negated ^= bool(negation)
        if inner.data == "comparison":
            (inner,) = inner.children
            found: Condition = getattr(self, f"_{inner.data}")(inner)
        else:
            found = self._any(inner)
        self._is_negated ^= bool(negation)
        return not_(found) if negation else found

    def _constant_first_comparison(self, node: Any) -> Condition:
        constant, operator, other = node.children
        left = _constant(constant.children[0])
        if other.data == "not_implemented_string":
            raise QueryNotSupported("A constant is compared with a property, not with a string.")
        right = other.children[0]
        if right.data == "property":
            one = self._property(right)
            return self._compared(one, REVERSED[str(operator)], left)
        number = _constant(right)
        if isinstance(left, str) or isinstance(number, str):
            raise QueryNotSupported("Constants of different types are not compared.")
        return numbers(left, str(operator), number)

    def _property_first_comparison(self, node: Any) -> Condition:
        one, how = self._property(node.children[0]), node.children[1]
        found: Condition = getattr(self, f"_{how.data}")(one, how)
        return found

    def _value_op_rhs(self, one: Property, how: Any) -> Condition:
        operator, value = str(how.children[0]), how.children[1].children[0]
        if value.data != "property":
            return self._compared(one, operator, _constant(value))
        other = self._property(value)
        if Kind.UNKNOWN in {one.kind, other.kind}:
            return compare_values(Kind.UNKNOWN, one.sql, operator, other.sql)
        if one.kind is not other.kind:
            raise QueryNotSupported(f"{one.name} and {other.name} differ in type.")
        return compare_values(one.kind, one.sql, operator, other.sql)

    def _compared(self, one: Property, operator: str, constant: Constant) -> Condition:
        """Return the comparison, and what follows from it that an index serves.

        Not under NOT: of what is unknown the latter may be false, and its negation would be true.
        """
        found = compare(one.kind, one.sql, operator, constant)
        if one.indexed is None or self._is_negated:
            return found
        return and_(compare(one.kind, one.indexed, operator, constant), found)

    def _known_op_rhs(self, one: Property, how: Any) -> Condition:
        is_known = str(how.children[1]) == "KNOWN"
        if one.kind is Kind.UNKNOWN:
            return false() if is_known else true()
        unknown = one.sql.is_(None) if one.unknown is None else one.unknown
        return not_(unknown) if is_known else unknown

    def _fuzzy_string_op_rhs(self, one: Property, how: Any) -> Condition:
        operator, value = str(how.children[0]), how.children[-1].children[0]
        if value.data == "property":
            raise QueryNotSupported(f"{operator} looks for a string, not for a property.")
        return matches(one.kind, one.sql, operator, _constant(value))

    def _length_op_rhs(self, one: Property, how: Any) -> Condition:
        operator = str(how.children[1]) if len(how.children) == 3 else "="
        number = _integer(how.children[-1].children[0])
        if one.kind is Kind.UNKNOWN:
            return compare(one.kind, one.sql, operator, number)
        if one.kind is not Kind.LIST:
            raise QueryNotSupported(f"{one.name} is no list and has no LENGTH.")
        length = null() if one.length is None else one.length
        return compare(Kind.INTEGER, length, operator, number)

    def _set_op_rhs(self, one: Property, how: Any) -> Condition:
        quantity, rest = _quantity(how.children)
        if quantity != HAS:
            rest = rest[0].children
        return has([one], quantity, [[test] for test in _tests(rest)])

    def _set_zip_op_rhs(self, one: Property, how: Any) -> Condition:
        addon, *rest = how.children
        lists = [one, *(self._property(child) for child in addon.children)]
        quantity, values = _quantity(rest)
        rows = values if quantity == HAS else values[0].children
        return has(lists, quantity, [_tests(row.children) for row in rows])

    def _property(self, node: Any) -> Property:
        name = ".".join(node.children)
        found = self._entries.find(name)
        if found is not None:
            return found
        if name not in self.foreign:
            self.foreign.append(name)
        return Property(name, Kind.UNKNOWN, null())


def _quantity(children: list[Any]) -> tuple[str, list[Any]]:
    """Split ``HAS [ALL | ANY | ONLY] rest``."""
    _has, first, *rest = children
    if isinstance(first, Token) and str(first) in {ALL, ANY, ONLY}:
        return str(first), rest
    return HAS, [first, *rest]


def _tests(children: list[Any]) -> list[Test]:
    """Return the values of a list, each with the operator before it."""
    tests, operator = [], "="
    for child in children:
        if isinstance(child, Token):
            operator = str(child)
            continue
        (value,) = child.children
        if value.data == "property":
            raise QueryNotSupported("HAS looks for strings and numbers, not for properties.")
        tests.append(Test(operator, _constant(value)))
        operator = "="
    return tests


def _constant(node: Any) -> Constant:
    """Return what a token stands for."""
    (token,) = node.children
    if node.data == "bool":
        return str(token) == "TRUE"
    if node.data == "string":
        return re.sub(r"\\(.)", r"\1", str(token)[1:-1], flags=re.DOTALL)
    return _integer(token) if token.type == "SIGNED_INT" else float(token)


def _integer(token: Any) -> int:
    try:
        return int(token)
    except ValueError as error:  # Python reads no more than 4,300 digits
        raise QueryNotUnderstood(
            f"An integer of {len(token):,} characters is not read: {token[:20]}…"
        ) from error
