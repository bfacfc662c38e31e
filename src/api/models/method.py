"""Methods: how numbers were calculated."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, Created


class Method(Created, Base):
    """One method, stored once however many results it has: a document of `nanoos.methods`.

    Its key is the hash of the document. Methods are nobody's: whoever has the same settings has
    the same row.
    """

    __tablename__ = "methods"
    __table_args__ = (
        CheckConstraint("length(sha256) = 64", name="sha256"),
        {"comment": "How numbers were calculated; each method once"},
    )

    sha256: Mapped[str] = mapped_column(
        primary_key=True, comment="Of the document as canonical JSON"
    )
    document: Mapped[dict[str, Any]] = mapped_column(
        comment="Code, functional, potentials … without what is not stated"
    )
