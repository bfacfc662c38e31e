"""Citations: the publications that structures come from."""

from __future__ import annotations

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import EMPTY_TEXT_ARRAY, Base, Created, Identified


class Citation(Identified, Created, Base):
    """One publication, stored once however many structures it has; unique by ``digest``."""

    __tablename__ = "citations"
    __table_args__ = (
        CheckConstraint("length(digest) = 64", name="digest"),
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
