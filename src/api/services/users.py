"""Accounts: creating them, and the local owner of single-user mode."""

from __future__ import annotations

from pwdlib import PasswordHash
from pydantic import EmailStr, TypeAdapter, ValidationError
from sqlalchemy import func, select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict, WrongUsage
from api.models import User
from api.models.user import ROLES

LOCAL_OWNER = "local"
MIN_PASSWORD_LENGTH = 12
"""NIST SP 800-63B asks for at least 8; we take 12, without rules of composition."""


async def create(
    session: AsyncSession, *, email: str, username: str, password: str, role: str
) -> User:
    """Create an account with an argon2id password hash.

    Raises WrongUsage for an invalid address, role or a short password, and
    Conflict where the e-mail address or user name is taken, in whatever case.
    """
    if role not in ROLES:
        raise WrongUsage(f"Role {role!r} is none of {', '.join(ROLES)}.")
    if len(password) < MIN_PASSWORD_LENGTH:
        raise WrongUsage(f"The password needs at least {MIN_PASSWORD_LENGTH} characters.")
    if not username.strip():
        raise WrongUsage("The user name is empty.")
    try:
        email = TypeAdapter(EmailStr).validate_python(email)
    except ValidationError as error:
        raise WrongUsage(f"{email!r}: {error.errors()[0]['msg']}.") from None
    hashed = PasswordHash.recommended().hash(password)
    user: User | None = await session.scalar(
        insert(User)
        .values(email=email, username=username.strip(), password_hash=hashed, role=role)
        .on_conflict_do_nothing()
        .returning(User)
    )
    if user is None:
        raise Conflict(f"The e-mail address {email} or the user name {username} is taken.")
    return user


async def local_owner(session: AsyncSession) -> User:
    """Return the owner of everything in single-user mode, made at first need.

    It has no password, so nobody can log in as it.
    """
    query = select(User).where(func.lower(User.username) == LOCAL_OWNER)
    if (owner := await session.scalar(query)) is not None:
        return owner
    await session.execute(
        insert(User)
        .values(email="local@localhost", username=LOCAL_OWNER, role="admin")
        .on_conflict_do_nothing()
    )
    return (await session.scalars(query)).one()
