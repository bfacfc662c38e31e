"""Citations: the publications that structures come from."""

from __future__ import annotations

from sqlalchemy import CheckConstraint, Index, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import EMPTY_TEXT_ARRAY, Base, Created, Identified

AUTHORS = 8
"""Authors that a search for words looks at."""


def _words() -> str:
    """Return the text of `WORDS`, whose parentheses are PostgreSQL's."""
    columns = ["title", "journal", "doi", *(f"authors[{place}]" for place in range(1, AUTHORS + 1))]
    joined, *others = (f"COALESCE({column}, ''::text)" for column in columns)
    for other in others:
        joined = f"(({joined} || ' '::text) || {other})"
    return f"to_tsvector('simple'::regconfig, {joined[1:-1]})"


WORDS = _words()
"""What a search for words looks into, written as PostgreSQL writes its index."""


class Citation(Identified, Created, Base):
    """One publication, stored once however many structures it has; unique by ``digest``."""

    __tablename__ = "citations"
    __table_args__ = (
        CheckConstraint("length(digest) = 64", name="digest"),
        Index("ix_citations_words", text(WORDS), postgresql_using="gin"),
        {"comment": "Publications that structures come from"},
    )

    digest: Mapped[str] = mapped_column(unique=True, comment="sha256 of the citation as jsonb")
    authors: Mapped[list[str]] = mapped_column(server_default=EMPTY_TEXT_ARRAY)
    title: Mapped[str | None]
    journal: Mapped[str | None]
    volume: Mapped[str | None]
    page_first: Mapped[str | None]
    page_last: Mapped[str | None]
    year: Mapped[int | None]
    doi: Mapped[str | None]
