"""The standard's own grammar of filters, read by an LALR parser.

The grammar comes with the package ``optimade``, whose own parser (Earley) takes a second for a
thousand brackets. This one takes time in proportion to the length.
"""

from __future__ import annotations

import re
from functools import lru_cache
from pathlib import Path

import optimade.filterparser
from lark import Lark, Token, Tree, UnexpectedCharacters, UnexpectedInput, UnexpectedToken

from api.errors import QueryNotUnderstood

VERSION = (1, 2, 0)
MAX_LENGTH = 8_192
MAX_DEPTH = 64
"""Brackets within brackets; what becomes of them is walked by functions that call themselves."""

_STRING = re.compile(r'"(?:[^"\\]|\\.)*"', re.DOTALL)


@lru_cache(maxsize=1)
def _parser() -> Lark:
    folder = Path(optimade.filterparser.__file__).parents[1] / "grammar"
    grammar = folder / f"v{'.'.join(map(str, VERSION))}.lark"
    # A rule with ! keeps its words; of this one, which of the two it was would be lost.
    rules = grammar.read_text().replace("\nbool:", "\n!bool:")
    return Lark(rules, parser="lalr", maybe_placeholders=False)


def parse(text: str) -> Tree[Token]:
    """Return the syntax tree of a filter; raises QueryNotUnderstood and says where."""
    if len(text) > MAX_LENGTH:
        raise QueryNotUnderstood(f"The filter is longer than {MAX_LENGTH:,} characters.")
    if "\0" in text:
        raise QueryNotUnderstood("The filter contains a NUL character.")
    depth = deepest = 0
    for bracket in re.findall(r"[()]", _STRING.sub("", text)):
        depth += 1 if bracket == "(" else -1
        deepest = max(deepest, depth)
    if deepest > MAX_DEPTH:
        raise QueryNotUnderstood(f"The filter has more than {MAX_DEPTH} brackets in one another.")
    try:
        return _parser().parse(text)
    except UnexpectedInput as error:
        raise QueryNotUnderstood(_complaint(text, error)) from error


def _complaint(text: str, error: UnexpectedInput) -> str:
    if isinstance(error, UnexpectedToken) and error.token.type == "$END":
        return "The filter ends too early."
    place = error.pos_in_stream or 0
    what = "character" if isinstance(error, UnexpectedCharacters) else "word"
    return f"The filter has an unexpected {what} at character {place + 1}: {text[place:][:40]!r}."
