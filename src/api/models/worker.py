"""Workers: who takes jobs from the queue, and which."""

from __future__ import annotations

from datetime import datetime

from sqlalchemy import CheckConstraint, func
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base


class Worker(Base):
    """A process that claims jobs; it is alive while its session holds its advisory lock."""

    __tablename__ = "workers"
    __table_args__ = (
        CheckConstraint("slots >= 1", name="slots"),
        {"comment": "Workers; one that holds its advisory lock is alive"},
    )

    number: Mapped[int] = mapped_column(
        primary_key=True,
        autoincrement=False,
        comment="Second key of the advisory lock that it holds while it lives",
    )
    name: Mapped[str] = mapped_column(comment="host:pid")
    engines: Mapped[list[str]] = mapped_column(comment="Whose jobs it claims")
    slots: Mapped[int] = mapped_column(comment="Jobs it runs at once")
    started_at: Mapped[datetime] = mapped_column(server_default=func.now())
