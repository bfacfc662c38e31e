"""Small structures and records for tests; sizes are arbitrary, nothing here is a reference."""

from __future__ import annotations

from datetime import UTC, datetime
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any
from uuid import UUID

from ase import Atoms
from ase.build import bulk, molecule
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import SimulationJob, SimulationResult, User
from api.services import queue, simulations
from api.services.results import Run
from api.services.structure_import import Candidate, import_
from api.worker.perform import Task, perform
from nanoos.structures import Species, Structure, analyse


def performed(task: Task) -> Run:
    """Perform a task in a folder that is removed, nobody hearing of it."""
    with TemporaryDirectory() as folder:
        return perform(task, Path(folder), lambda *_, **__: None)


def metal(symbol: str = "Cu", cells: int = 1, a: float | None = None) -> Structure:
    """A metal in the crystal structure that ASE knows for it, ``cells``³ primitive cells."""
    return Structure.from_ase(bulk(symbol, a=a).repeat(cells))


def compound(formula: str = "NaCl", crystal: str = "rocksalt", a: float = 5.6) -> Structure:
    return Structure.from_ase(bulk(formula, crystal, a=a))


def gas(name: str = "H2O") -> Structure:
    return Structure.from_ase(molecule(name))


def chain(symbol: str = "Cu") -> Structure:
    """A wire: atoms in a row that repeats in one direction."""
    return Structure.from_ase(Atoms(symbol, cell=[10.0, 10.0, 2.5], pbc=[False, False, True]))


def solid_solution(a: float = 3.9) -> Structure:
    """A crystal whose one site is held by two elements."""
    mixed = Species("metal", ("Au", "Cu"), (0.25, 0.75))
    lattice = bulk("Cu", a=a).cell.array
    return Structure(lattice, [[0.0, 0.0, 0.0]], (mixed,), ("metal",))


def candidate(structure: Structure, **known: Any) -> Candidate:
    return Candidate(structure=structure, analysis=analyse(structure), **known)


async def stored(
    session: AsyncSession, owner: User, *structures: Structure, visibility: str = "private"
) -> list[UUID]:
    """Import the structures and return their ids."""
    batch = [candidate(one, name=f"sample {n}") for n, one in enumerate(structures)]
    return [row.id for row in await import_(session, batch, owner=owner, visibility=visibility)]


async def submitted(session: AsyncSession, owner: User, *ids: UUID, **how: Any) -> list[UUID]:
    """Submit equations of state and return the new jobs."""
    report = await simulations.submit(session, "equation_of_state", ids, owner=owner, **how)
    return report.submitted


async def three_submitted(session: AsyncSession, owner: User) -> list[UUID]:
    """Three jobs, the first one first in the queue."""
    ids = await stored(session, owner, metal("Cu"), metal("Al"), metal("Ni"))
    return await submitted(session, owner, *ids)


async def claimed(session: AsyncSession, limit: int = 1) -> list[queue.Claim]:
    """Claim jobs, as a worker does that is the only one."""
    return await queue.claim(session, worker="here:1", worker_number=7, limit=limit, lease_s=60)


async def calculated(
    session: AsyncSession, owner: User, structure_id: UUID, method_sha256: str, **found: Any
) -> UUID:
    """Store the result of a finished run, converged if not said otherwise; return its id."""
    job = SimulationJob(
        owner_id=owner.id,
        structure_id=structure_id,
        origin="imported",
        parameters=found.pop("parameters", {}),
        parameters_sha256="0" * 64,
        status="succeeded",
        finished_at=datetime.now(UTC),
    )
    session.add(job)
    await session.flush()
    known = {"is_converged": True, "provenance": {}} | found
    result = SimulationResult(simulation_job_id=job.id, method_sha256=method_sha256, **known)
    session.add(result)
    await session.flush()
    return result.id


async def person(session: AsyncSession, name: str) -> User:
    """Another user, who cannot log in."""
    user = User(email=f"{name}@example.org", username=name)
    session.add(user)
    await session.flush()
    return user
