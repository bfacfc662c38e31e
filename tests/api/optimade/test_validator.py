"""The standard's own validator, against ``nano-os serve`` with real crystals.

CI takes one seed; ``make optimade-validator`` takes ten.
"""

from __future__ import annotations

import os
import random
import time
from typing import TYPE_CHECKING

import httpx
import pytest
from optimade.validator import ImplementationValidator
from records import Filling, crystals
from samples import person
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from servers import free_port

if TYPE_CHECKING:
    from conftest import Start

SEEDS = range(int(os.environ.get("OPTIMADE_SEEDS", "1")))
VERSIONS = ["/v1", ""] if len(SEEDS) > 1 else ["/v1"]
NOT_ENCODED = set("#&+%;")
"""What the validator writes into addresses as it is, so that no server gets what it meant."""


@pytest.fixture
async def base_url(start: Start, sessions: async_sessionmaker[AsyncSession]) -> str:
    """The address of a server with every crystal of the examples."""
    async with sessions() as session:
        filling = Filling(session, await person(session, "rita"))
        for parsed in crystals():
            citation = {
                name: value
                for name, value in (parsed.extra.get("citation") or {}).items()
                if not NOT_ENCODED & set(str(value))
            }
            cited = await filling.cite(**citation) if citation else None
            await filling.add(parsed.structure, name=parsed.name, citation_id=cited and cited.id)
        await session.commit()
    port = free_port()
    server = start("serve", "--port", port)
    url = f"http://127.0.0.1:{port}/optimade"
    deadline = time.monotonic() + 60
    while True:
        try:
            httpx.get(f"{url}/versions")
        except httpx.TransportError:
            assert server.poll() is None, server.output()
            assert time.monotonic() < deadline, server.output()
            time.sleep(0.05)
        else:
            return url


@pytest.mark.slow
async def test_it_finds_nothing(base_url: str) -> None:
    for seed in SEEDS:
        for version in VERSIONS:
            random.seed(seed)
            validator = ImplementationValidator(base_url=base_url + version, verbosity=1)
            validator.validate_implementation()
            found = validator.results
            assert validator.valid, found.failure_messages
            assert not found.optional_failure_messages
            assert not found.internal_failure_messages
            assert found.success_count > 60
            assert found.optional_success_count > 15
