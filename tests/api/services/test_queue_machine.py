"""The queue under any sequence of what owners, workers and fate do: nothing is lost or doubled."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable
from contextlib import AsyncExitStack
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    RuleBasedStateMachine,
    initialize,
    invariant,
    precondition,
    rule,
    run_state_machine_as_test,
)
from samples import metal, person, stored
from sqlalchemy import NullPool, text
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from api.errors import Conflict, LostLease
from api.models import User
from api.services import control, queue, results, simulations
from api.services.queue import Beat, Claim
from api.services.results import Finished, Run
from nanoos.engines.emt import Emt
from nanoos.errors import EngineCrashed, EngineError
from nanoos.workflows import Outcome
from pgsteady.url import parse

T = TypeVar("T")
OWNERS, WORKERS, MAX_DEATHS = ("ada", "bob"), (1, 2), 4
METALS = [metal("Cu", a=3.5 + n / 100) for n in range(3)]
any_owner = st.sampled_from(OWNERS)
any_worker = st.sampled_from(WORKERS)
any_place = st.integers(0, 50)


class Queue(RuleBasedStateMachine):
    """Two owners, two workers, and a model of what each worker believes to hold.

    All happens in one transaction, which is rolled back. A worker's lock is held on another
    session; what a worker is not told in time it believes still.
    """

    url = ""

    def __init__(self) -> None:
        super().__init__()
        self.loop = asyncio.new_event_loop()
        self.held: dict[int, dict[UUID, Claim]] = {worker: {} for worker in WORKERS}
        self.late: list[Claim] = []
        self.attempts: dict[UUID, int] = {}
        """The last of each job: what is said of an earlier one must change nothing."""
        self.dead: set[int] = set()
        self.submitted: set[UUID] = set()
        self.succeeded: dict[UUID, UUID] = {}
        self.stack = AsyncExitStack()

    def do(self, work: Awaitable[T]) -> T:
        async def once() -> T:
            return await work

        return self.loop.run_until_complete(once())

    def rows(self, statement: str, **values: Any) -> list[Any]:
        return list(self.do(self.session.execute(text(statement), values)))

    @initialize()
    def begin(self) -> None:
        """Two owners have asked for something, and two workers are at it."""
        self.do(self._begin())
        self.owners: dict[str, User] = {
            name: self.do(person(self.session, name)) for name in OWNERS
        }
        self.structures = {
            name: self.do(stored(self.session, owner, *METALS))
            for name, owner in self.owners.items()
        }
        for name in OWNERS:
            self.submit(name, 0, composite=True, fresh=False)
        for worker in WORKERS:
            self.claim(worker, 1)

    async def _begin(self) -> None:
        engine = create_async_engine(parse(self.url, "the test").asyncpg(), poolclass=NullPool)
        connection = await self.stack.enter_async_context(engine.connect())
        self.locks = await self.stack.enter_async_context(engine.connect())
        await connection.begin()
        self.session = AsyncSession(connection, join_transaction_mode="create_savepoint")
        await self.stack.enter_async_context(self.session)
        for worker in WORKERS:
            await self._lock("pg_advisory_lock", worker)

    async def _lock(self, function: str, worker: int) -> None:
        key = {"lock_class": queue.WORKER_LOCK_CLASS, "worker": worker}
        await self.locks.execute(text(f"SELECT {function}(:lock_class, :worker)"), key)

    def teardown(self) -> None:
        self.do(self.stack.aclose())
        self.loop.close()

    # What owners do

    @rule(name=any_owner, place=any_place, composite=st.booleans(), fresh=st.booleans())
    def submit(self, name: str, place: int, composite: bool, fresh: bool) -> None:
        workflow = "properties" if composite else "equation_of_state"
        structure = self.structures[name][place % len(METALS)]
        owner = self.owners[name]
        report = self.do(
            simulations.submit(self.session, workflow, [structure], owner=owner, fresh=fresh)
        )
        self.submitted.update(report.submitted)

    @rule(
        name=any_owner,
        place=any_place,
        change=st.sampled_from([control.cancel, control.pause, control.resume, control.retry]),
    )
    def change(self, name: str, place: int, change: Any) -> None:
        owner = self.owners[name]
        owned = self.rows(
            "SELECT id FROM simulation_jobs WHERE owner_id = :owner ORDER BY id", owner=owner.id
        )
        self.do(self._change(change, owned[place % len(owned)].id, owner))

    async def _change(self, change: Any, id_: UUID, owner: User) -> None:
        try:
            async with self.session.begin_nested():
                await change(self.session, [id_], owner)
        except Conflict:
            pass

    # What workers do

    @rule(worker=any_worker, limit=st.integers(1, 4))
    def claim(self, worker: int, limit: int) -> None:
        if worker in self.dead:
            return
        self.do(queue.recover(self.session, MAX_DEATHS, worker))
        known: dict[str, Any] = {"worker": "here:1", "worker_number": worker, "lease_s": 60}
        idle = not self.held[worker]
        claims = self.do(queue.claim(self.session, limit=limit, idle=idle, **known))
        assert len(claims) <= limit
        assert len(claims) <= 1 or not any(claim.is_alone for claim in claims)
        for claim in claims:
            if claim.job_id in self.held[worker]:
                self.late.append(self.held[worker][claim.job_id])
            self.held[worker][claim.job_id] = claim
            self.attempts[claim.job_id] = claim.attempt

    @precondition(lambda self: any(self.held.values()))
    @rule(worker=any_worker, count=st.integers(1, 4), converged=st.booleans())
    def finish(self, worker: int, count: int, converged: bool) -> None:
        some = list(self.held[worker].values())[:count]
        done = [Finished(claim, yielded(claim, converged)) for claim in some]
        stored_ = self.do(results.store_all(self.session, done))
        for claim, result in zip(some, stored_, strict=True):
            del self.held[worker][claim.job_id]
            if result is not None:
                assert claim.job_id not in self.succeeded
                assert claim.attempt == self.attempts[claim.job_id]
                self.succeeded[claim.job_id] = result

    @precondition(lambda self: any(self.held.values()))
    @rule(worker=any_worker, place=any_place, how=st.sampled_from(["passes", "physics", "back"]))
    def give_up(self, worker: int, place: int, how: str) -> None:
        claims = list(self.held[worker].values())
        if claims:
            claim = self.held[worker].pop(claims[place % len(claims)].job_id)
            was_ours = self.do(self._give_up(claim, how))
            assert not was_ours or claim.attempt == self.attempts[claim.job_id]

    async def _give_up(self, claim: Claim, how: str) -> bool:
        """Say how an attempt ended; return whether the job was still ours."""
        try:
            async with self.session.begin_nested():
                if how == "back":
                    await queue.hand_back(self.session, claim)
                else:
                    error = EngineCrashed("boom") if how == "passes" else EngineError("no")
                    await queue.fail(self.session, claim, error)
        except LostLease:
            return False
        return True

    @precondition(lambda self: any(self.held.values()))
    @rule(worker=any_worker)
    def beat(self, worker: int) -> None:
        beats = [Beat(claim, 0.5, "", {}) for claim in self.held[worker].values()]
        ours = self.do(queue.heartbeat(self.session, beats, 60))
        for id_ in set(self.held[worker]) - set(ours):
            self.late.append(self.held[worker].pop(id_))
        for id_, pulse in ours.items():
            if pulse.is_cancelled:
                self.do(queue.cancelled(self.session, self.held[worker].pop(id_)))

    @precondition(lambda self: self.late)
    @rule(place=any_place, how=st.sampled_from(["store", "passes", "physics", "back"]))
    def say_too_late(self, place: int, how: str) -> None:
        claim = self.late[place % len(self.late)]
        if how == "store":
            late = [Finished(claim, yielded(claim, True))]
            assert self.do(results.store_all(self.session, late)) == [None]
        else:
            assert not self.do(self._give_up(claim, how))

    # What befalls them

    @rule(worker=any_worker, fate=st.sampled_from(["dies", "freezes", "is replaced"]))
    def befall(self, worker: int, fate: str) -> None:
        """A worker dies; or its leases run out, others take over, and it goes on nevertheless."""
        if fate == "freezes":
            self.rows(
                "UPDATE simulation_jobs SET lease_until = now() - interval '1 s'"
                " WHERE status = 'running' AND worker = :worker RETURNING id",
                worker=f"here:1/{worker}",
            )
        elif fate == "dies" and worker not in self.dead:
            self.dead.add(worker)
            self.do(self._lock("pg_advisory_unlock", worker))
        self.do(queue.recover(self.session, MAX_DEATHS))
        if fate == "is replaced":
            self._replace_dead()
        else:
            self.claim(3 - worker, 4)

    def _replace_dead(self) -> None:
        for worker in self.dead:
            self.late += self.held[worker].values()
            self.held[worker] = {}
            self.do(self._lock("pg_advisory_lock", worker))
        self.dead.clear()

    @rule()
    def time_passes(self) -> None:
        self.rows(
            "UPDATE simulation_jobs SET not_before = now() WHERE not_before > now() RETURNING id"
        )

    # What always holds

    @invariant()
    def nothing_is_lost_or_doubled(self) -> None:
        if not hasattr(self, "owners"):
            return
        rows = self.rows("""
            SELECT job.id, status, job.attempt, job.worker, result.id AS result,
                   (SELECT count(*) FROM simulation_attempts WHERE simulation_job_id = job.id)
                       AS tries
            FROM simulation_jobs AS job FULL JOIN simulation_results AS result
              ON simulation_job_id = job.id""")
        assert sorted(row.id for row in rows) == sorted(self.submitted)
        done = [row for row in rows if row.status == "succeeded" or row.result is not None]
        assert {row.id: row.result for row in done} == self.succeeded
        running = {(row.id, row.attempt, row.worker) for row in rows if row.status == "running"}
        assert running <= {
            (claim.job_id, claim.attempt, f"here:1/{worker}")
            for worker, claims in self.held.items()
            for claim in claims.values()
        }
        for row in rows:
            assert row.tries == row.attempt - (row.status == "running")

    @invariant()
    def what_waits_may_still_come(self) -> None:
        """What waits has something to wait for, and what can never be done waits no more."""
        assert not hasattr(self, "owners") or not self.rows("""
            SELECT job.id FROM simulation_jobs AS job WHERE status = 'waiting'
              AND not_before IS NULL AND NOT EXISTS (
                  SELECT FROM simulation_dependencies
                  JOIN simulation_jobs AS needed ON needed.id = needed_id
                  WHERE simulation_job_id = job.id AND needed.status <> 'succeeded')
            UNION ALL
            SELECT job.id FROM simulation_jobs AS job
            JOIN simulation_dependencies ON simulation_job_id = job.id
            JOIN simulation_jobs AS needed ON needed.id = needed_id
            WHERE needed.status IN ('failed', 'cancelled')
              AND job.status NOT IN ('failed', 'cancelled')""")


def yielded(claim: Claim, converged: bool) -> Run:
    """What an attempt yields; a relaxation another structure."""
    relaxed = claim.structure if claim.workflow == "relax" else None
    outcome = Outcome({"energy_ev": -1.0}, {}, {"converged": converged}, relaxed)
    return Run(outcome, Emt().method(), {}, 1.0)


@pytest.mark.parametrize(
    "examples", [6, pytest.param(200, marks=pytest.mark.slow)], ids=["some", "many"]
)
def test_whatever_happens_nothing_is_lost_or_doubled(shared_database: str, examples: int) -> None:
    Queue.url = shared_database
    run_state_machine_as_test(  # type: ignore[no-untyped-call]
        Queue,
        settings=settings(
            max_examples=examples,
            stateful_step_count=30,
            deadline=None,
            derandomize=examples < 100,
            phases=[Phase.generate, Phase.shrink] if examples > 100 else [Phase.generate],
        ),
    )
