"""Accounts: who owns what, and who may do what."""

from __future__ import annotations

from sqlalchemy import Index, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, Identified, Updated, one_of

ROLES = ("viewer", "researcher", "admin")


class User(Identified, Updated, Base):
    """A person or program that owns records."""

    __tablename__ = "users"
    __table_args__ = (
        one_of("role", ROLES),
        Index("ix_users_email_lower", text("lower(email)"), unique=True),
        Index("ix_users_username_lower", text("lower(username)"), unique=True),
        {"comment": "User accounts and authentication"},
    )

    email: Mapped[str] = mapped_column(comment="Unique regardless of case")
    username: Mapped[str] = mapped_column(comment="Unique regardless of case")
    password_hash: Mapped[str | None] = mapped_column(
        comment="argon2id in PHC form; NULL: cannot log in (the local owner)"
    )
    role: Mapped[str] = mapped_column(server_default="researcher")
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
