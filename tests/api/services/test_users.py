"""Accounts, and the local owner of single-user mode."""

from __future__ import annotations

import asyncio

import pytest
from pwdlib import PasswordHash
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.errors import Conflict, WrongUsage
from api.models import User
from api.services import users

RITA = {
    "email": "rita@example.org",
    "username": "rita",
    "password": "correct horse battery",
    "role": "researcher",
}


async def test_a_password_is_stored_as_an_argon2_hash(session: AsyncSession) -> None:
    rita = await users.create(session, **RITA)
    assert rita.password_hash
    assert rita.password_hash.startswith("$argon2id$")
    assert PasswordHash.recommended().verify(RITA["password"], rita.password_hash)
    assert (rita.role, rita.is_active) == ("researcher", True)


@pytest.mark.parametrize(
    "change",
    [
        {"role": "root"},
        {"password": "short"},
        {"password": ""},
        {"username": "  "},
        {"username": ""},
        {"email": "rita"},
        {"email": "rita@"},
        {"email": "rita@example.org\n"},
    ],
)
async def test_what_makes_no_account_is_refused_without_the_password(
    session: AsyncSession, change: dict[str, str]
) -> None:
    with pytest.raises(WrongUsage) as refused:
        await users.create(session, **(RITA | change))
    assert RITA["password"] not in str(refused.value)
    assert await session.scalar(select(func.count()).select_from(User)) == 0


@pytest.mark.parametrize(
    "change", [{"username": "other"}, {"email": "o@example.org"}, {"username": "RITA"}]
)
async def test_an_account_is_there_once_in_whatever_case(
    session: AsyncSession, change: dict[str, str]
) -> None:
    await users.create(session, **RITA)
    with pytest.raises(Conflict, match="taken"):
        await users.create(session, **(RITA | change))


async def test_the_local_owner_is_one_and_cannot_log_in(
    sessions: async_sessionmaker[AsyncSession],
) -> None:
    async def first_run() -> User:
        async with sessions.begin() as session:
            return await users.local_owner(session)

    owners = await asyncio.gather(*(first_run() for _ in range(4)))
    assert len({owner.id for owner in owners}) == 1
    assert owners[0].password_hash is None
