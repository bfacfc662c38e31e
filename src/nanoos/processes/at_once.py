"""Coroutines that run beside each other, and end together."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from typing import Any


async def at_once(*work: Coroutine[Any, Any, None]) -> None:
    """Run all until they are done; what one raises ends all, and is raised."""
    tasks = [asyncio.create_task(one) for one in work]
    try:
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_EXCEPTION)
        for task in done:
            task.result()
    finally:
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
