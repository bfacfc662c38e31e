"""The queue, whatever users and workers do and in whatever order: nothing is lost or done twice."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, Iterator, Sequence
from contextlib import suppress
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Any, TypeVar
from uuid import UUID

import pytest
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from hypothesis.stateful import (
    Bundle,
    RuleBasedStateMachine,
    invariant,
    multiple,
    rule,
    run_state_machine_as_test,
)
from samples import metal, person, stored
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker, create_async_engine

from api.errors import Conflict, LostLease
from api.models import SimulationJob, User
from api.services import control, queue, results, simulations, workflows
from api.services.queue import WORKER_LOCK_CLASS, Beat, Claim
from api.services.results import Finished, Run
from api.services.simulations import Terms
from nanoos.engines.emt import Emt
from nanoos.errors import EngineCrashed, NanoError, NotConverged
from nanoos.workflows import Outcome
from pgsteady.url import parse

T = TypeVar("T")

CHEAP: dict[str, Any] = {
    "equation_of_state": {"points_per_side": 2},
    "relax": {"fmax": 0.01},
    "elastic": {"points_per_side": 1},
    "phonons": {"supercell_length": 4, "mesh_length": 10, "temperatures": [300]},
}
ASKED = [
    ("equation_of_state", "emt", CHEAP["equation_of_state"]),
    ("equation_of_state", "lj", CHEAP["equation_of_state"]),
    ("properties", "emt", CHEAP),  # steps that wait for a relaxation
]
LJ_OF_COPPER = {"epsilon_ev": 0.4, "sigma_a": 2.3}
ERRORS = [EngineCrashed("It crashed."), NotConverged("It did not converge.")]
"""One that may pass, and one that comes of the physics."""
N_WORKERS, MAX_DEATHS, LEASE_S = 3, 2, 60
METHOD = Emt().method()

# Each finds the jobs of which what it says is not so.
INVARIANTS = {
    "a job has ended once for each time that it was claimed": """
        SELECT id FROM simulation_jobs AS job
        WHERE attempt - CAST(status = 'running' AS integer)
              <> (SELECT count(*) FROM simulation_attempts WHERE simulation_job_id = job.id)
           OR attempt < (SELECT max(attempt) FROM simulation_attempts
                         WHERE simulation_job_id = job.id)""",
    "a try succeeded where the job did, and nowhere else": """
        SELECT id FROM simulation_jobs AS job
        WHERE CAST(status = 'succeeded' AS integer)
              <> (SELECT count(*) FROM simulation_attempts
                  WHERE simulation_job_id = job.id AND outcome = 'succeeded')""",
    "what succeeded has one result, and nothing else has any": """
        SELECT id FROM simulation_jobs AS job
        WHERE CAST(status = 'succeeded' AS integer)
              <> (SELECT count(*) FROM simulation_results WHERE simulation_job_id = job.id)""",
    "what waits waits for a time or another job": """
        SELECT id FROM simulation_jobs AS job
        WHERE status = 'waiting' AND not_before IS NULL AND NOT EXISTS (
            SELECT FROM simulation_dependencies
            JOIN simulation_jobs AS needed ON needed.id = needed_id
            WHERE simulation_job_id = job.id AND needed.status <> 'succeeded')""",
    "what needs another begins when that has succeeded, and is given up when that cannot": """
        SELECT job.id FROM simulation_jobs AS job
        JOIN simulation_dependencies ON simulation_job_id = job.id
        JOIN simulation_jobs AS needed ON needed.id = needed_id
        WHERE job.status IN ('queued', 'running', 'succeeded') AND needed.status <> 'succeeded'
           OR job.status IN ('waiting', 'paused') AND needed.status IN ('failed', 'cancelled')""",
}
HELD = "SELECT id, attempt, worker FROM simulation_jobs WHERE status = 'running'"
TIME_PASSES = """
UPDATE simulation_jobs
SET not_before = not_before - make_interval(secs => :seconds),
    lease_until = lease_until - make_interval(secs => :seconds)
WHERE not_before IS NOT NULL OR lease_until IS NOT NULL
"""


@dataclass(frozen=True)
class Place:
    """A database with two owners, each with some structures; it is used from here alone."""

    runner: asyncio.Runner
    sessions: async_sessionmaker[AsyncSession]
    locks: AsyncSession
    """On which the workers hold their locks."""
    owners: Sequence[User]
    structures: Sequence[Sequence[UUID]]

    def do(self, step: Callable[[AsyncSession], Awaitable[T]]) -> T:
        """Run a step in a transaction of its own."""
        return self.runner.run(self.begin(step))

    async def begin(self, step: Callable[[AsyncSession], Awaitable[T]]) -> T:
        async with self.sessions.begin() as session:
            return await step(session)

    def query(self, statement: str, **values: Any) -> list[Any]:
        async def rows(session: AsyncSession) -> list[Any]:
            found = await session.execute(text(statement), values)
            return list(found) if found.returns_rows else []

        return self.do(rows)

    def lock(self, function: str, *values: Any) -> None:
        """Call one of the functions of advisory locks, for the workers."""
        arguments = ", ".join(map(str, values))
        self.runner.run(self.locks.execute(text(f"SELECT {function}({arguments})")))


@pytest.fixture(scope="module")
def place(migrated: Callable[[str], str]) -> Iterator[Place]:
    engine = create_async_engine(parse(migrated("any_order"), "the test").asyncpg())
    sessions = async_sessionmaker(engine, expire_on_commit=False)

    async def people(session: AsyncSession) -> tuple[list[User], list[list[UUID]]]:
        await workflows.register(session)
        owners = [await person(session, "ada"), await person(session, "emmy")]
        metals = metal("Cu"), metal("Cu", a=3.7)
        return owners, [await stored(session, owner, *metals) for owner in owners]

    with asyncio.Runner() as runner:
        locks = sessions()
        place = Place(runner, sessions, locks, (), ())
        owners, structures = place.do(people)
        yield Place(runner, sessions, locks, owners, structures)
        runner.run(locks.close())
        runner.run(engine.dispose())


def yielded(claim: Claim, *, converged: bool) -> Run:
    """What a calculation yields that was not carried out; a relaxed structure is as it was."""
    relaxed = claim.structure if claim.workflow == "relax" else None
    outcome = Outcome({"energy_ev": -1.0}, {}, {"converged": converged, "notes": []}, relaxed)
    return Run(outcome, METHOD, {"host": "here"}, 0.0)


class Queue(RuleBasedStateMachine):
    """Users and workers, one after the other; a worker may say at any time what is long over."""

    jobs: Bundle[UUID] = Bundle("jobs")
    claims: Bundle[Claim] = Bundle("claims")
    owners = st.integers(0, 1)
    workers = st.integers(0, N_WORKERS - 1)

    def __init__(self, place: Place) -> None:
        super().__init__()
        self.place = place
        self.submitted = 0
        self.given: dict[tuple[UUID, int], str] = {}
        """Which worker was given which attempt at which job."""
        place.query("TRUNCATE simulation_jobs CASCADE")
        place.lock("pg_advisory_unlock_all")
        self.numbers = list[int]()
        for _ in range(N_WORKERS):
            self._arrives(len(self.numbers))

    def _arrives(self, worker: int) -> None:
        self.numbers[worker : worker + 1] = [max(self.numbers, default=0) + 1]
        self.place.lock("pg_advisory_lock", WORKER_LOCK_CLASS, self.numbers[worker])

    def _held(self) -> dict[tuple[UUID, int], str]:
        return {(row.id, row.attempt): row.worker for row in self.place.query(HELD)}

    # Users

    @rule(
        target=jobs,
        owner=owners,
        asked=st.sampled_from(ASKED),
        later=st.booleans(),
        fresh=st.booleans(),
    )
    def submits(self, owner: int, asked: tuple[str, str, Any], later: bool, fresh: bool) -> Any:
        workflow, engine, parameters = asked
        at = datetime.now(UTC) + timedelta(hours=1) if later else None
        report = self.place.do(
            lambda session: simulations.submit(
                session,
                workflow,
                self.place.structures[owner],
                owner=self.place.owners[owner],
                engine=engine,
                parameters=parameters,
                engine_parameters=LJ_OF_COPPER if engine == "lj" else {},
                terms=Terms(not_before=at),
                fresh=fresh,
            )
        )
        self.submitted += len(report.submitted)
        return multiple(*report.submitted)

    @rule(
        job=jobs,
        change=st.sampled_from([control.cancel, control.pause, control.resume, control.retry]),
    )
    def controls(self, job: UUID, change: Any) -> None:
        ((owner_id,),) = self.place.query(
            "SELECT owner_id FROM simulation_jobs WHERE id = :id", id=job
        )
        (owner,) = (one for one in self.place.owners if one.id == owner_id)
        with suppress(Conflict):
            self.place.do(lambda session: change(session, [job], owner))

    # Workers

    @rule(
        target=claims,
        who=st.sets(workers, min_size=1),
        limit=st.integers(1, 3),
        engines=st.sampled_from([None, ["emt"], ["lj"]]),
        idle=st.booleans(),
    )
    def claim(self, who: set[int], limit: int, engines: list[str] | None, idle: bool) -> Any:
        """Several at once, where there are several."""

        async def together() -> list[list[Claim]]:
            return await asyncio.gather(
                *(self.place.begin(lambda s, n=self.numbers[w]: claimed(s, n)) for w in who)
            )

        async def claimed(session: AsyncSession, number: int) -> list[Claim]:
            return await queue.claim(
                session,
                worker="here",
                worker_number=number,
                limit=limit,
                lease_s=LEASE_S,
                engines=engines,
                idle=idle,
            )

        found = self.place.runner.run(together())
        for worker, claims in zip(who, found, strict=True):
            assert len(claims) <= limit
            for one in claims:
                assert engines is None or one.engine in engines
                assert (one.job_id, one.attempt) not in self.given
                self.given[one.job_id, one.attempt] = f"here/{self.numbers[worker]}"
        return multiple(*(one for claims in found for one in claims))

    @rule(
        some=st.lists(claims, min_size=1, max_size=3, unique_by=lambda one: one.job_id),
        converged=st.sampled_from([True, True, False]),
    )
    def succeed(self, some: list[Claim], converged: bool) -> None:
        held = self._held()
        done = [Finished(one, yielded(one, converged=converged)) for one in some]
        ids = self.place.do(lambda session: results.store_all(session, done))
        ours = [(one.job_id, one.attempt) in held for one in some]
        assert [id_ is not None for id_ in ids] == ours

    @rule(claim=claims, error=st.sampled_from(ERRORS))
    def fails(self, claim: Claim, error: NanoError) -> None:
        self._says(claim, lambda session: queue.fail(session, claim, error, max_attempts=2))

    @rule(claim=claims)
    def hands_back(self, claim: Claim) -> None:
        self._says(claim, lambda session: queue.hand_back(session, claim))

    def _says(self, claim: Claim, word: Callable[[AsyncSession], Awaitable[object]]) -> None:
        """What is said of a job by another than its worker changes nothing."""
        is_held = (claim.job_id, claim.attempt) in self._held()
        try:
            self.place.do(word)
        except LostLease:
            assert not is_held
        else:
            assert is_held

    @rule(some=st.lists(claims, min_size=1, max_size=3, unique_by=lambda one: one.job_id))
    def beat(self, some: list[Claim]) -> None:
        """Heartbeats; what is to end is ended."""
        held = self._held()
        beats = [Beat(one, 0.5, "", {}) for one in some]
        pulses = self.place.do(lambda session: queue.heartbeat(session, beats, LEASE_S))
        assert set(pulses) == {one.job_id for one in some if (one.job_id, one.attempt) in held}
        for one in some:
            if one.job_id in pulses and pulses[one.job_id].is_cancelled:
                self._says(one, lambda session, one=one: queue.cancelled(session, one))

    @rule(worker=workers)
    def dies(self, worker: int) -> None:
        """It lets go of its lock; another takes its place."""
        self.place.lock("pg_advisory_unlock", WORKER_LOCK_CLASS, self.numbers[worker])
        self._arrives(worker)

    @rule(worker=workers)
    def recovers(self, worker: int) -> None:
        self.place.do(lambda session: queue.recover(session, MAX_DEATHS, self.numbers[worker]))
        alive = {f"here/{number}" for number in self.numbers}
        assert set(self._held().values()) <= alive

    @rule(seconds=st.sampled_from([20, 3600]))
    def time_passes(self, seconds: int) -> None:
        self.place.query(TIME_PASSES, seconds=float(seconds))

    # What is so after each of these

    @invariant()
    def nothing_is_amiss(self) -> None:
        always = INVARIANTS | SimulationJob.__table__.info["invariants"]
        found = self.place.query(
            " UNION ALL ".join(
                f"SELECT {n}, id FROM ({q}) AS q" for n, q in enumerate(always.values())
            )
        )
        assert not found, [(list(always)[n], id_) for n, id_ in found]
        assert self._held().items() <= self.given.items()
        ((jobs,),) = self.place.query("SELECT count(*) FROM simulation_jobs")
        assert jobs == self.submitted

    def teardown(self) -> None:
        """Whatever happened, one worker comes to the end of what was not paused or ended."""
        for _ in range(2 + 2 * self.submitted):
            self.place.query(TIME_PASSES, seconds=7200.0)
            self.recovers(0)
            done = self.place.do(self._work)
            self.nothing_is_amiss()
            if not done:
                break
        left = self.place.query(
            "SELECT status FROM simulation_jobs WHERE status IN ('waiting', 'queued', 'running')"
            " AND NOT EXISTS (SELECT FROM simulation_dependencies JOIN simulation_jobs AS needed"
            " ON needed.id = needed_id WHERE simulation_job_id = simulation_jobs.id"
            " AND needed.status = 'paused')"
        )
        assert left == []

    async def _work(self, session: AsyncSession) -> int:
        number = self.numbers[0]
        claims = await queue.claim(
            session, worker="here", worker_number=number, limit=50, lease_s=LEASE_S
        )
        self.given |= {(one.job_id, one.attempt): f"here/{number}" for one in claims}
        done = [Finished(one, yielded(one, converged=True)) for one in claims]
        await results.store_all(session, done)
        return len(claims)


@pytest.mark.parametrize(
    ("examples", "steps"), [(5, 20), pytest.param(60, 40, marks=pytest.mark.slow)]
)
def test_in_whatever_order(place: Place, examples: int, steps: int) -> None:
    run_state_machine_as_test(
        lambda: Queue(place),
        settings=settings(
            max_examples=examples,
            stateful_step_count=steps,
            derandomize=True,
            deadline=None,
            suppress_health_check=list(HealthCheck),
        ),
    )
