"""What is known of a database's content at one moment, small enough to keep."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field
from typing import Any, Self

from pgsteady.errors import WrongDeclaration

FORMAT = 1
"""Of the document that evidence is kept in; digests of another cannot be compared."""

LARGE_OBJECTS = "large objects"
"""What they are called among what could not be read, and in findings."""


@dataclass(frozen=True)
class Column:
    """A column's content: its digest, and how many of its values are not NULL."""

    digest: str
    filled: int


@dataclass(frozen=True)
class Content:
    """A table's content.

    ``identity`` are the columns that tell rows apart: the primary key's, or all where
    there is none (``keyed`` says which); ``identities`` is their digest. Columns were
    digested for one row in ``one_in``.
    """

    rows: int
    identities: str
    columns: dict[str, Column]
    identity: tuple[str, ...] = ()
    keyed: bool = True
    one_in: int = 1

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Self:
        """Return what :func:`dataclasses.asdict` wrote."""
        columns = {name: Column(**column) for name, column in said["columns"].items()}
        return cls(**said | {"columns": columns, "identity": tuple(said["identity"])})


@dataclass(frozen=True)
class Expected:
    """What a table has to hold once a pending revision, and those before it, were applied.

    ``any_columns`` may hold anything; with ``any_rows``, so may the whole table. A table
    that a revision renames was ``formerly`` called so.
    """

    content: Content | None
    declared: tuple[str, ...] = ()
    any_columns: tuple[str, ...] = ()
    any_rows: bool = False
    formerly: str = ""

    @classmethod
    def from_json(cls, said: dict[str, Any]) -> Self:
        """Return what :func:`dataclasses.asdict` wrote."""
        content = said["content"] and Content.from_json(said["content"])
        names = {name: tuple(said[name]) for name in ("declared", "any_columns")}
        return cls(**said | names | {"content": content})


@dataclass(frozen=True)
class Sequence:
    """Where a sequence stands: it goes on after ``value``."""

    value: int
    increment: int


@dataclass(frozen=True)
class Plan:
    """How PostgreSQL would run a hot query: its cost, and each table with how it is read.

    ``scans`` names for each table the kinds of scan and the indexes; ``pages`` is the
    size of each; ``analysed``, whether the planner knows their statistics.
    """

    sql: str
    cost: float
    scans: dict[str, list[str]]
    pages: dict[str, int]
    analysed: bool


@dataclass(frozen=True)
class Evidence:
    """What is known of a database's content at one moment.

    ``revisions`` are those that the version table names, ``applied`` all up to them.
    Tables are named with their schema. ``expected`` has for each pending revision that
    declares changes the content of the tables that they are about. ``not_read`` says of
    each object that could not be read why.
    """

    revisions: tuple[str, ...]
    applied: tuple[str, ...]
    tables: dict[str, Content]
    views: dict[str, Content]
    expected: dict[str, dict[str, Expected]]
    sequences: dict[str, Sequence]
    enums: dict[str, list[str]]
    large_objects: Content
    plans: dict[str, Plan] = field(default_factory=dict)
    not_read: dict[str, str] = field(default_factory=dict)

    @property
    def rows(self) -> dict[str, int]:
        """The number of rows of each table."""
        return {name: content.rows for name, content in self.tables.items()}

    def as_json(self) -> dict[str, Any]:
        """Return a document of plain values."""
        return {"format": FORMAT, **asdict(self)}

    @classmethod
    def from_json(cls, document: dict[str, Any]) -> Self:
        """Return the evidence that a document holds.

        Raises:
            WrongDeclaration: it is no such document, or damaged, or of another pgsteady.
        """
        said = dict(document)
        if said.pop("format", None) != FORMAT:
            raise WrongDeclaration(
                "This is no evidence of `verify --save`, or of another version of pgsteady.",
                hint="Take it again: verify --save FILE",
            )
        try:
            return cls._read(said)
        except (AttributeError, KeyError, TypeError) as error:
            raise WrongDeclaration("This evidence is damaged.") from error

    @classmethod
    def _read(cls, said: dict[str, Any]) -> Self:
        contents = {
            kind: {name: Content.from_json(content) for name, content in said[kind].items()}
            for kind in ("tables", "views")
        }
        return cls(
            **said
            | contents
            | {
                "revisions": tuple(said["revisions"]),
                "applied": tuple(said["applied"]),
                "expected": {
                    revision: {name: Expected.from_json(each) for name, each in tables.items()}
                    for revision, tables in said["expected"].items()
                },
                "sequences": {n: Sequence(**each) for n, each in said["sequences"].items()},
                "large_objects": Content.from_json(said["large_objects"]),
                "plans": {name: Plan(**plan) for name, plan in said["plans"].items()},
            }
        )
