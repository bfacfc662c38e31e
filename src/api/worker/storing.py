"""Results on their way into the database: those that are ready meanwhile go in one transaction.

Nobody waits for others: whoever has the turn takes along all that came while it was another's.
"""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass
from uuid import UUID

from sqlalchemy.exc import DBAPIError

from api.artifacts import Artifacts
from api.services import queue, results
from api.services.queue import Claim
from api.services.results import Finished, Run
from api.worker.files import keep, needs_keeping
from api.worker.presence import Presence
from nanoos.errors import NanoError, WorkflowError

TOGETHER = 100
"""Results that are stored at once, at most."""


@dataclass(slots=True, eq=False)
class _Waiting:
    """What waits for its turn; ``id_`` is that of its result once it is settled."""

    finished: Finished
    is_settled: bool = False
    is_alone: bool = False
    """One of those with which it was tried cannot be stored."""
    id_: UUID | None = None


class Storing:
    """Stores what the jobs of one worker yield: files and arrays as artifacts, then the rows."""

    def __init__(self, presence: Presence, artifacts: Artifacts) -> None:
        self._presence = presence
        self._artifacts = artifacts
        self._waiting: list[_Waiting] = []
        self._turn = asyncio.Lock()

    async def store(self, claim: Claim, run: Run) -> None:
        """Store the result of a job and end the job, as soon as the database is there.

        Raises LostLease where the job is no longer ours, and another NanoError where its outcome
        cannot be stored.
        """
        mine = _Waiting(Finished(claim, run))
        if needs_keeping(run):
            mine.finished = Finished(claim, *await asyncio.to_thread(keep, self._artifacts, run))
        self._waiting.append(mine)
        try:
            async with self._turn:
                if not mine.is_settled:
                    await self._settle(mine)
        except DBAPIError as error:
            cause = str(error.orig).partition("\n")[0]
            raise WorkflowError(f"The outcome cannot be stored: {cause}.") from error
        finally:
            self._waiting.remove(mine)
        if mine.id_ is None and not await self._has_ended(claim):
            raise queue.lost(claim)

    async def _settle(self, mine: _Waiting) -> None:
        others = [one for one in self._waiting if not (one.is_settled or one.is_alone)]
        if not mine.is_alone and len(others) > 1:
            together = [mine, *(one for one in others if one is not mine)][:TOGETHER]
            try:
                return await self._store(together)
            except (NanoError, DBAPIError):  # one of them is at fault, and must not harm others
                for one in together:
                    one.is_alone = True
        return await self._store([mine])

    async def _store(self, some: Sequence[_Waiting]) -> None:
        finished = [one.finished for one in some]
        ids = await self._presence.do(lambda session: results.store_all(session, finished))
        for one, id_ in zip(some, ids, strict=True):
            one.id_, one.is_settled = id_, True

    async def _has_ended(self, claim: Claim) -> bool:
        """Return whether it was stored before, by a commit whose answer was lost."""
        return await self._presence.do(lambda session: queue.has_ended(session, claim))
