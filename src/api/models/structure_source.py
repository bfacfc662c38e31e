"""Structure sources: every file that a structure was found in."""

from __future__ import annotations

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, Created


class StructureSource(Created, Base):
    """A place in a file that holds the structure; the same structure may stand in many."""

    __tablename__ = "structure_sources"
    __table_args__ = (
        CheckConstraint("length(sha256) = 64", name="sha256"),
        CheckConstraint("place >= 1", name="place"),
        {"comment": "Files that structures were found in"},
    )

    structure_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("structures.id", ondelete="CASCADE"), primary_key=True
    )
    sha256: Mapped[str] = mapped_column(primary_key=True, index=True, comment="Of the file")
    place: Mapped[int] = mapped_column(
        primary_key=True, comment="Which of the file's structures it is, from 1"
    )
    name: Mapped[str] = mapped_column(
        primary_key=True, comment="The file's name, with that of the archive or folder it was in"
    )
    format: Mapped[str]
    is_last: Mapped[bool] = mapped_column(
        server_default=text("false"), comment="The file holds no structure after it"
    )
