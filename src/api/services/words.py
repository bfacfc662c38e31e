"""Words of a search in SQL, by the indexes of the texts of structures and of publications."""

from __future__ import annotations

import re
from functools import lru_cache
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import ColumnElement, Select, Text, Uuid, cast, func, literal_column, select
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import WrongUsage
from api.models import Citation, Structure
from api.models.citation import AUTHORS

SIMPLE: ColumnElement[Any] = literal_column("'simple'::regconfig")


def split(words: str | None) -> list[str]:
    """Return the words, each once."""
    return list(dict.fromkeys((words or "").split()))


class Publications(NamedTuple):
    """How many publications have a word, and their ids, as the database wrote them."""

    number: int
    written: str

    @property
    def ids(self) -> ColumnElement[Any]:
        """The ids as an array, known when the statement is planned.

        As one text, thousands of them go to and fro in a tenth of the time.
        """
        return cast(func.string_to_array(self.written, ","), ARRAY(Uuid))


async def look_up(session: AsyncSession, word: str, most: int) -> Publications:
    """Look up the publications that have the word, at most so many."""
    some = publications(word).limit(most).subquery()
    ids = func.string_agg(cast(some.c.id, Text), ",")
    number, written = (await session.execute(select(func.count(), ids).select_from(some))).one()
    return Publications(number, written or "")


def publications(word: str) -> Select[UUID]:
    """Return the ids of the publications that have the word."""
    return select(Citation.id).where(_has(_CITED, word))


def its_publication_has(word: str, of: type[Structure]) -> ColumnElement[bool]:
    """Return that the publication of a row of `structures`, or of its alias ``of``, has the word.

    Of each row that is met it is looked up, scalar, so that nobody thinks of making a hash of all
    publications with the word.
    """
    has_it = _has(_CITED, word, is_met=True)
    return select(has_it).where(Citation.id == of.citation_id).scalar_subquery().is_(True)


def a_structure_has(word: str, of: type[Structure], *, is_met: bool) -> ColumnElement[bool]:
    """Return that a row of `structures`, or of its alias ``of``, has the word itself.

    With ``is_met`` it is not found by the index, but met on the way.
    """
    return _has(_texts(of), word, is_met=is_met)


def _has(text: ColumnElement[Any], word: str, *, is_met: bool = False) -> ColumnElement[bool]:
    """Return that the text has the word. Raises WrongUsage for no word, such as ``*``.

    The letters of what is met are looked for first, which takes half as long; they are said to
    be there, so that the planner does not take them for rare.
    """
    has_it = _vector(text).op("@@", is_comparison=True)(_tsquery(word))
    letters = word.rstrip("*")
    if not is_met or not _ONE_TOKEN.fullmatch(letters):
        return has_it
    return (func.strpos(func.lower(text), func.lower(letters)) != 0) & has_it


_ONE_TOKEN = re.compile("[A-Za-z][A-Za-z0-9]*|[0-9]+")
"""What the server's parser leaves whole: of 4e3xz it makes a number and a word."""


def _tsquery(word: str) -> ColumnElement[Any]:
    """Return the query of one word; ``quar*`` is met by what begins so."""
    if not word.endswith("*"):
        return func.plainto_tsquery(SIMPLE, word)
    beginning = word.rstrip("*")
    if not beginning:
        raise WrongUsage(f"{word} needs the beginning of a word before it, such as quar*.")
    quoted = beginning.replace("\\", "\\\\").replace("'", "''")
    return func.to_tsquery(SIMPLE, f"'{quoted}':*")


def structure_words() -> ColumnElement[Any]:
    """Return the expression `api.models.structure.WORDS`."""
    return _vector(_texts(Structure))


def citation_words() -> ColumnElement[Any]:
    """Return the expression `api.models.citation.WORDS`."""
    return _vector(_CITED)


def _vector(text: ColumnElement[Any]) -> ColumnElement[Any]:
    return func.to_tsvector(SIMPLE, text)


def _joined(*texts: Any) -> ColumnElement[Any]:
    nothing: ColumnElement[str] = literal_column("''::text")
    space: ColumnElement[str] = literal_column("' '::text")
    first, *others = [func.coalesce(text, nothing) for text in texts]
    joined: Any = first
    for other in others:
        joined = joined.op("||")(space).op("||")(other)
    return joined  # type: ignore[no-any-return]


@lru_cache(maxsize=8)  # of the table and its aliases: made anew, it takes 1 ms of each search
def _texts(of: type[Structure]) -> ColumnElement[Any]:
    return _joined(of.name, of.source_name, of.source, of.external_id)


_CITED = _joined(
    *(Citation.title, Citation.journal, Citation.doi),
    *(Citation.authors[place] for place in range(1, AUTHORS + 1)),
)
