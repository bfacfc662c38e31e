"""What runs at once ends at once, whatever it is at."""

from __future__ import annotations

import asyncio

import pytest

from nanoos.processes import at_once


@pytest.mark.parametrize("turns", range(8))
async def test_what_a_timeout_is_just_ending_is_ended_too(turns: int) -> None:
    """A timeout cancels its task, too, and takes that back."""

    async def wait_twice() -> None:
        for _ in range(turns):
            await asyncio.sleep(0)
        try:
            async with asyncio.timeout(0):
                await asyncio.Event().wait()
        except TimeoutError:
            await asyncio.Event().wait()

    async def fail() -> None:
        raise ValueError

    async with asyncio.timeout(20):
        with pytest.raises(ValueError):  # noqa: PT011 - it says nothing
            await at_once(wait_twice(), fail())
