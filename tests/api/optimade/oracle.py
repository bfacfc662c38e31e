"""What a filter means, written down once more: in Python, over the documents of answers."""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from datetime import datetime
from operator import eq, ge, gt, le, lt, ne
from typing import Any

from lark import Token, Tree

Truth = bool | None
"""None is unknown: neither true nor false."""

OPERATORS: dict[str, Callable[[Any, Any], bool]] = {
    "=": eq,
    "!=": ne,
    "<": lt,
    "<=": le,
    ">": gt,
    ">=": ge,
}
MIRRORED = {"=": "=", "!=": "!=", "<": ">", ">": "<", "<=": ">=", ">=": "<="}
TIMESTAMPS = {"last_modified"}


def any_of(truths: Sequence[Truth]) -> Truth:
    if True in truths:
        return True
    return None if None in truths else False


def all_of(truths: Sequence[Truth]) -> Truth:
    if False in truths:
        return False
    return None if None in truths else True


class Oracle:
    """One document, asked whether filters match it."""

    def __init__(self, document: dict[str, Any]) -> None:
        related = document.get("relationships", {}).get("references", {}).get("data", [])
        self.values = document["attributes"] | {
            "id": document["id"],
            "type": document["type"],
            "references.id": [one["id"] for one in related],
        }

    def matches(self, tree: Tree[Token]) -> bool:
        return not tree.children or self.truth(tree.children[0]) is True

    def truth(self, node: Any) -> Truth:  # noqa: PLR0911 - one for each rule of the grammar
        kind = node.data
        if kind == "expression":
            return any_of([self.truth(child) for child in node.children])
        if kind == "expression_clause":
            return all_of([self.truth(child) for child in node.children])
        if kind == "expression_phrase":
            inner = self.truth(node.children[-1])
            return inner if len(node.children) == 1 or inner is None else not inner
        if kind == "comparison":
            return self.truth(node.children[0])
        if kind == "constant_first_comparison":
            left, operator, right = node.children
            if right.children[0].data == "property":
                name = self.name(right.children[0])
                value = self.values.get(name)
                return self.compare(name, value, MIRRORED[operator], constant(left.children[0]))
            return OPERATORS[operator](constant(left.children[0]), constant(right.children[0]))
        return self.property_first(self.name(node.children[0]), node.children[1])

    def name(self, node: Any) -> str:
        return ".".join(node.children)

    def property_first(self, name: str, how: Any) -> Truth:  # noqa: PLR0911
        value = self.values.get(name)
        children = [str(one) if isinstance(one, Token) else one for one in how.children]
        if how.data == "known_op_rhs":
            return (value is not None) == (children[1] == "KNOWN")
        if how.data == "set_zip_op_rhs":
            return self.zipped(name, how)
        if how.data == "value_op_rhs" and children[1].children[0].data == "property":
            other = self.values.get(self.name(children[1].children[0]))
            if value is None or other is None:
                return None
            return OPERATORS[children[0]](value, other)
        if value is None:
            return None
        if how.data == "value_op_rhs":
            return self.compare(name, value, children[0], constant(children[1].children[0]))
        if how.data == "fuzzy_string_op_rhs":
            part = constant(children[-1].children[0])
            return {
                "CONTAINS": part in value,
                "STARTS": value.startswith(part),
                "ENDS": value.endswith(part),
            }[children[0]]
        if how.data == "length_op_rhs":
            operator = children[1] if len(children) == 3 else "="
            return OPERATORS[operator](len(value), int(children[-1].children[0]))
        return self.has([[item] for item in value], how.children)

    def zipped(self, name: str, how: Any) -> Truth:
        names = [name, *(self.name(child) for child in how.children[0].children)]
        lists = [self.values.get(one) for one in names]
        if None in lists:
            return None
        return self.has(list(zip(*lists, strict=True)), how.children[1:])  # type: ignore[arg-type]

    def has(self, items: Sequence[Sequence[Any]], children: Sequence[Any]) -> bool:
        _has, *rest = children
        quantity = "HAS"
        if isinstance(rest[0], Token) and str(rest[0]) in {"ALL", "ANY", "ONLY"}:
            quantity = str(rest.pop(0))
            rows = rest[0].children
            if rest[0].data == "value_list":
                rows = [[test] for test in tests(rows)]
            else:
                rows = [tests(row.children) for row in rows]
        elif isinstance(rest[0], Tree) and rest[0].data == "value_zip":
            rows = [tests(rest[0].children)]
        else:
            rows = [[test] for test in tests(rest)]

        def met(row: Any, item: Any) -> bool:
            return all(
                OPERATORS[operator](value, wanted)
                for value, (operator, wanted) in zip(item, row, strict=True)
            )

        if quantity == "ALL":
            return all(any(met(row, item) for item in items) for row in rows)
        if quantity == "ONLY":
            return all(any(met(row, item) for row in rows) for item in items)
        return any(met(row, item) for row in rows for item in items)

    def compare(self, name: str, value: Any, operator: str, wanted: Any) -> Truth:
        if value is None:
            return None
        if name in TIMESTAMPS:
            value, wanted = (datetime.fromisoformat(one) for one in (value, wanted))
        return OPERATORS[operator](value, wanted)


def tests(children: Sequence[Any]) -> list[tuple[str, Any]]:
    found, operator = [], "="
    for child in children:
        if isinstance(child, Token):
            operator = str(child)
        else:
            found.append((operator, constant(child.children[0])))
            operator = "="
    return found


def constant(node: Any) -> Any:
    text = str(node.children[0])
    if node.data == "bool":
        return text == "TRUE"
    if node.data == "string":
        return re.sub(r"\\(.)", r"\1", text[1:-1], flags=re.DOTALL)
    return int(text) if re.fullmatch(r"[+-]?\d+", text) else float(text)
