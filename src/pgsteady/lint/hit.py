"""What a rule says about a statement."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import NamedTuple

from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement


class Hit(NamedTuple):
    """A rule's code, the object that it is about, and what the rule cannot know beforehand.

    No object is the revision itself.
    """

    code: str
    object: str
    detail: str = ""


Check = Callable[[Statement, Schema], Iterator[Hit]]
"""A look at one statement, before it is applied to the schema."""
