"""An event loop in a thread of its own: a notebook's is busy running the notebook."""

from __future__ import annotations

import asyncio
import atexit
import weakref
from collections.abc import Awaitable, Callable, Coroutine
from contextlib import AsyncExitStack
from threading import Thread, current_thread
from typing import Any, TypeVar

from sqlalchemy.ext.asyncio import AsyncSession

from api.acting import losses_told, transaction
from api.db import Sessions, connect
from api.errors import WrongUsage
from api.models import User

T = TypeVar("T")


class Background:
    """The database, used from one thread for whoever waits in another."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        self._thread = Thread(target=self._loop.run_forever, name="nano-os", daemon=True)
        self._thread.start()
        stack = AsyncExitStack()
        self._end = weakref.finalize(self, _end, self._loop, self._thread, stack)
        self._end.atexit = (
            False  # but at exit before the embedded server is left, which is joined now
        )
        try:
            self._sessions: Sessions = self._wait(stack.enter_async_context(connect()))
        except BaseException:
            self._end()
            raise
        atexit.register(self._end)

    def run(self, work: Callable[[AsyncSession, User], Awaitable[T]]) -> T:
        """Do ``work`` in one transaction and return what it returns.

        Raises ServerUnreachable where the connection is lost, WrongUsage after `close`.
        """

        async def in_transaction(sessions: Sessions) -> T:
            async with transaction(sessions) as (session, owner):
                return await work(session, owner)

        return self.run_long(in_transaction)

    def run_long(self, work: Callable[[Sessions], Coroutine[Any, Any, T]]) -> T:
        """Do ``work``, in transactions of its own, and return what it returns; see `run`."""
        if not self._end.alive:
            raise WrongUsage("This session is closed. Open another: db = api.session()")
        with losses_told():
            return self._wait(work(self._sessions))

    def close(self) -> None:
        """Give the connections back and end the thread; may be called again."""
        self._end()
        atexit.unregister(self._end)

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        future = asyncio.run_coroutine_threadsafe(work, self._loop)
        try:
            return future.result()
        except BaseException:  # also Ctrl-C: what nobody waits for is not done
            future.cancel()
            raise


def _end(loop: asyncio.AbstractEventLoop, thread: Thread, stack: AsyncExitStack) -> None:
    if (
        current_thread() is thread
    ):  # where the last reference was dropped: it cannot wait for itself
        loop.create_task(stack.aclose()).add_done_callback(lambda _: loop.stop())
        return
    asyncio.run_coroutine_threadsafe(_ended(stack), loop).result()
    loop.call_soon_threadsafe(loop.stop)
    thread.join()
    loop.close()


async def _ended(stack: AsyncExitStack) -> None:
    """Let what was cancelled, by Ctrl-C, end its processes and transactions; then disconnect."""
    others = asyncio.all_tasks() - {asyncio.current_task()}
    for task in others:
        task.cancel()
    await asyncio.gather(*others, return_exceptions=True)
    await stack.aclose()
