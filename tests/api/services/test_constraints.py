"""What must hold of stored records holds in the database, whoever writes to it."""

from __future__ import annotations

from datetime import UTC, datetime
from math import inf, nan
from typing import Any
from uuid import uuid4

import pytest
from sqlalchemy import delete, func, insert, select, text, update
from sqlalchemy.exc import DBAPIError, IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import (
    Base,
    Citation,
    Material,
    Method,
    SimulationAttempt,
    SimulationDependency,
    SimulationJob,
    SimulationResult,
    Structure,
    StructureSimilarity,
    StructureSource,
    User,
    VectorEmbedding,
    Worker,
    WorkflowTemplate,
)

NOW = datetime(2026, 1, 1, tzinfo=UTC)  # fixed: it stands in the names of tests
FLAT = [float(n) for n in range(9)]
CUBE = [[4.0, 0.0, 0.0], [0.0, 4.0, 0.0], [0.0, 0.0, 4.0]]


class Records:
    """Inserts rows that are valid but for what a test says otherwise."""

    def __init__(self, session: AsyncSession) -> None:
        self._session = session

    async def add(self, model: type[Base], **values: Any) -> Any:
        defaults = await getattr(self, model.__tablename__)(values)
        statement = insert(model).values(defaults | values)
        async with self._session.begin_nested():
            result = await self._session.execute(statement)
        return result.inserted_primary_key[0]

    async def users(self, _: Any) -> dict[str, Any]:
        name = uuid4().hex
        return {"email": f"{name}@example.org", "username": name}

    async def materials(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "reduced_formula": "Cu",
            "anonymous_formula": "A",
            "hill_formula": "Cu",
            "chemical_system": "Cu",
            "elements": ["Cu"],
            "owner_id": given.get("owner_id") or await self.add(User),
        }

    async def structures(self, given: dict[str, Any]) -> dict[str, Any]:
        owner_id = given.get("owner_id") or await self.add(User)
        return {
            "material_id": given.get("material_id") or await self.add(Material, owner_id=owner_id),
            "lattice_a": CUBE,
            "positions_a": [[0.0, 0.0, 0.0], [2.0, 2.0, 2.0]],
            "species": [{"name": "Cu", "chemical_symbols": ["Cu"], "concentration": [1.0]}],
            "species_at_sites": ["Cu", "Cu"],
            "dimension_types": [1, 1, 1],
            "number_of_sites": 2,
            "is_ordered": True,
            "fingerprint": uuid4().hex * 2,
            "fingerprint_version": 1,
            "owner_id": owner_id,
        }

    async def citations(self, _: Any) -> dict[str, Any]:
        return {"digest": uuid4().hex * 2}

    async def structure_sources(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "structure_id": given.get("structure_id") or await self.add(Structure),
            "sha256": "0" * 64,
            "place": 1,
            "name": "copper.cif",
            "format": "cif",
        }

    async def workflow_templates(self, _: Any) -> dict[str, Any]:
        return {
            "name": uuid4().hex,
            "version": 1,
            "title": "",
            "engine": "emt",
            "steps": [],
            "parameters_schema": {},
        }

    async def simulation_jobs(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "owner_id": given.get("owner_id") or await self.add(User),
            "structure_id": given.get("structure_id") or await self.add(Structure),
            "workflow_template_id": await self.add(WorkflowTemplate),
            "engine": "emt",
            "parameters_sha256": "0" * 64,
        }

    async def simulation_attempts(self, _: Any) -> dict[str, Any]:
        job_id = await self.add(SimulationJob)
        return {"simulation_job_id": job_id, "attempt": 1, "outcome": "succeeded"}

    async def workers(self, _: Any) -> dict[str, Any]:
        return {"number": 1, "name": "node:1", "engines": ["emt"], "slots": 1}

    async def methods(self, _: Any) -> dict[str, Any]:
        return {"sha256": uuid4().hex * 2, "document": {"code": "ASE EMT"}}

    async def simulation_results(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "simulation_job_id": given.get("simulation_job_id") or await self.add(SimulationJob),
            "method_sha256": await self.add(Method),
            "provenance": {},
        }

    async def vector_embeddings(self, given: dict[str, Any]) -> dict[str, Any]:
        return {
            "structure_id": given.get("structure_id") or await self.add(Structure),
            "model": "m",
            "model_version": "1",
            "dimension": 3,
            "embedding": [1.0, 2.0, 3.0],
        }

    async def structure_similarities(self, given: dict[str, Any]) -> dict[str, Any]:
        a, b = sorted([await self.add(Structure), await self.add(Structure)])
        return {
            "structure_a_id": a,
            "structure_b_id": b,
            "model": "m",
            "model_version": "1",
            "distance": 0.5,
        }


@pytest.fixture
def records(session: AsyncSession) -> Records:
    return Records(session)


REFUSED: list[tuple[type[Base], str, dict[str, Any]]] = [
    (User, "ck_users_role", {"role": "root"}),
    (Material, "ck_materials_visibility", {"visibility": "secret"}),
    (Material, "ck_materials_elements", {"elements": []}),
    (Material, "ck_materials_space_group_number", {"space_group_number": 231}),
    (Material, "ck_materials_space_group_number", {"space_group_number": 0}),
    (Structure, "ck_structures_visibility", {"visibility": "secret"}),
    (Structure, "ck_structures_origin", {"origin": "thin air"}),
    (Structure, "ck_structures_parent", {"origin": "relaxed"}),
    (Structure, "ck_structures_fingerprint", {"fingerprint": "short"}),
    (Structure, "ck_structures_lattice_a", {"lattice_a": FLAT}),
    (Structure, "ck_structures_lattice_a", {"lattice_a": []}),
    (Structure, "ck_structures_lattice_a", {"lattice_a": CUBE[:2]}),
    (Structure, "ck_structures_lattice_given", {"lattice_a": None}),
    (Structure, "ck_structures_positions_a", {"positions_a": FLAT[:6]}),
    (Structure, "ck_structures_positions_a", {"positions_a": []}),
    (Structure, "ck_structures_positions_a", {"positions_a": [[0.0, 0.0, 0.0]]}),
    (Structure, "ck_structures_positions_a", {"positions_a": [FLAT[:2], FLAT[:2]]}),
    (Structure, "ck_structures_positions_a", {"positions_a": [FLAT[:3], [0.0, 0.0, nan]]}),
    (Structure, "ck_structures_positions_a", {"positions_a": [FLAT[:3], [0.0, -inf, 0.0]]}),
    (Structure, "ck_structures_lattice_a", {"lattice_a": [*CUBE[:2], [0.0, 0.0, inf]]}),
    (Structure, "ck_structures_volume_a3", {"volume_a3": nan}),
    (Structure, "ck_structures_density_g_per_cm3", {"density_g_per_cm3": nan}),
    (Structure, "ck_structures_species_at_sites", {"species_at_sites": ["Cu"]}),
    (Structure, "ck_structures_species_at_sites", {"species_at_sites": []}),
    (Structure, "ck_structures_dimension_types", {"dimension_types": [1, 1]}),
    (Structure, "ck_structures_dimension_types", {"dimension_types": [1, 1, 2]}),
    (Structure, "ck_structures_volume_a3", {"volume_a3": 0.0}),
    (Structure, "ck_structures_density_g_per_cm3", {"density_g_per_cm3": -1.0}),
    (Structure, "ck_structures_space_group_numbers", {"space_group_number_at_0_01": 0}),
    (Structure, "ck_structures_space_group_numbers", {"space_group_number_at_0_1": 231}),
    (
        Structure,
        "ck_structures_elements_ratios",
        {"elements": ["Cu"], "elements_ratios": [0.5, 0.5]},
    ),
    (
        Structure,
        "ck_structures_number_of_elements",
        {"elements": ["Cu"], "number_of_elements": 2},
    ),
    (Structure, "ck_structures_periodic", {"number_of_periodic_dimensions": 4}),
    (Structure, "ck_structures_periodic", {"number_of_periodic_dimensions": -1}),
    (Citation, "ck_citations_digest", {"digest": "short"}),
    (Method, "ck_methods_sha256", {"sha256": "short"}),
    (StructureSource, "ck_structure_sources_sha256", {"sha256": "short"}),
    (StructureSource, "ck_structure_sources_place", {"place": 0}),
    (WorkflowTemplate, "ck_workflow_templates_version", {"version": 0}),
    (SimulationJob, "ck_simulation_jobs_origin", {"origin": "dreamt"}),
    (SimulationJob, "ck_simulation_jobs_status", {"status": "done"}),
    (SimulationJob, "ck_simulation_jobs_submitted_is_complete", {"structure_id": None}),
    (SimulationJob, "ck_simulation_jobs_submitted_is_complete", {"workflow_template_id": None}),
    (SimulationJob, "ck_simulation_jobs_submitted_is_complete", {"engine": None}),
    (SimulationJob, "ck_simulation_jobs_progress", {"progress": 1.01}),
    (SimulationJob, "ck_simulation_jobs_progress", {"progress": float("nan")}),
    (SimulationJob, "ck_simulation_jobs_priority", {"priority": 101}),
    (SimulationJob, "ck_simulation_jobs_attempt", {"attempt": -1}),
    (SimulationJob, "ck_simulation_jobs_repetition", {"repetition": -1}),
    (SimulationJob, "ck_simulation_jobs_max_attempts", {"max_attempts": 0}),
    (SimulationJob, "ck_simulation_jobs_failures", {"failures": -1}),
    (SimulationJob, "ck_simulation_jobs_worker_deaths", {"worker_deaths": -1}),
    (SimulationJob, "ck_simulation_jobs_wall_time_limit_s", {"wall_time_limit_s": 0}),
    (SimulationJob, "ck_simulation_jobs_memory_limit_mb", {"memory_limit_mb": 0}),
    (SimulationJob, "ck_simulation_jobs_running_has_lease", {"status": "running"}),
    (SimulationJob, "ck_simulation_jobs_running_has_lease", {"lease_until": NOW}),
    (SimulationJob, "ck_simulation_jobs_ended_has_time", {"status": "succeeded"}),
    (SimulationJob, "ck_simulation_jobs_ended_has_time", {"status": "failed"}),
    (SimulationJob, "ck_simulation_jobs_ended_has_time", {"status": "cancelled"}),
    (SimulationJob, "ck_simulation_jobs_ended_has_time", {"finished_at": NOW}),
    (SimulationJob, "ck_simulation_jobs_source_sha256", {"source_sha256": "abc"}),
    (SimulationJob, "ck_simulation_jobs_source_place", {"source_place": 0}),
    (SimulationAttempt, "ck_simulation_attempts_outcome", {"outcome": "lost"}),
    (Worker, "ck_workers_slots", {"slots": 0}),
    (SimulationResult, "ck_simulation_results_n_cores", {"n_cores": 0}),
    (SimulationResult, "ck_simulation_results_volume_a3", {"volume_a3": -1.0}),
    (SimulationResult, "ck_simulation_results_max_force_ev_per_a", {"max_force_ev_per_a": -1.0}),
    (SimulationResult, "ck_simulation_results_wall_time_s", {"wall_time_s": -1.0}),
    (VectorEmbedding, "ck_vector_embeddings_dimension", {"dimension": 2}),
    (StructureSimilarity, "ck_structure_similarities_distance", {"distance": -0.1}),
]


@pytest.mark.parametrize("model", sorted({case[0] for case in REFUSED}, key=str))
async def test_the_rows_that_the_refused_ones_differ_from_are_accepted(
    session: AsyncSession, records: Records, model: type[Base]
) -> None:
    await records.add(model)
    assert await session.scalar(select(func.count()).select_from(model))


@pytest.mark.parametrize(
    ("model", "constraint", "values"), REFUSED, ids=[f"{c[1]}-{c[2]}" for c in REFUSED]
)
async def test_a_row_that_breaks_a_rule_is_refused(
    records: Records, model: type[Base], constraint: str, values: dict[str, Any]
) -> None:
    with pytest.raises(IntegrityError, match=f'"{constraint}"'):
        await records.add(model, **values)


async def test_every_check_of_the_database_is_tried_here(session: AsyncSession) -> None:
    checks = await session.scalars(
        text(
            "SELECT conname FROM pg_constraint WHERE contype = 'c' AND conrelid <> 0 "
            "AND connamespace = 'public'::regnamespace"
        )
    )
    tried = {constraint for _, constraint, _ in REFUSED}
    below = {
        "ck_structure_similarities_ordered_pair",
        "ck_structures_number_of_sites",
        "ck_simulation_dependencies_other",
    }
    assert set(checks) == tried | below


async def test_a_pair_is_stored_in_one_order_only(session: AsyncSession, records: Records) -> None:
    await records.add(StructureSimilarity)
    swapped = update(StructureSimilarity).values(
        structure_a_id=StructureSimilarity.structure_b_id,
        structure_b_id=StructureSimilarity.structure_a_id,
    )
    with pytest.raises(IntegrityError, match="ordered_pair"):
        await session.execute(swapped)


async def test_a_job_does_not_wait_for_itself(session: AsyncSession, records: Records) -> None:
    job_id = await records.add(SimulationJob)
    with pytest.raises(IntegrityError, match="simulation_dependencies_other"):
        await session.execute(
            insert(SimulationDependency).values(simulation_job_id=job_id, needed_id=job_id)
        )


async def test_a_structure_without_sites_is_refused(records: Records) -> None:
    nothing = {"number_of_sites": 0, "positions_a": [], "species_at_sites": []}
    with pytest.raises(IntegrityError, match="structures"):
        await records.add(Structure, **nothing)


async def test_a_molecule_needs_no_lattice(records: Records) -> None:
    await records.add(Structure, lattice_a=None, dimension_types=[0, 0, 0])


async def test_users_are_unique_regardless_of_case(records: Records) -> None:
    await records.add(User, email="Rita@Example.org", username="Rita")
    with pytest.raises(IntegrityError, match="email_lower"):
        await records.add(User, email="rITA@example.ORG")
    with pytest.raises(IntegrityError, match="username_lower"):
        await records.add(User, username="RITA")


async def test_a_record_is_unique_in_its_scope(session: AsyncSession, records: Records) -> None:
    owner_id = await records.add(User)
    known = {"owner_id": owner_id, "fingerprint": "f" * 64}
    mine = await session.get_one(Structure, await records.add(Structure, **known))
    same = known | {"material_id": mine.material_id}
    assert mine.scope_key == str(owner_id)
    with pytest.raises(IntegrityError, match="scope_key_fingerprint"):
        await records.add(Structure, **same)

    public = await records.add(Structure, **same, visibility="public")
    assert (await session.get_one(Structure, public)).scope_key == "public"
    other = await records.add(Structure, fingerprint="f" * 64)  # of another owner
    with pytest.raises(IntegrityError, match="scope_key_fingerprint"):
        await session.execute(
            update(Structure).where(Structure.id == other).values(visibility="public")
        )


async def test_the_scope_cannot_be_written(records: Records) -> None:
    with pytest.raises(DBAPIError, match="scope_key"):
        await records.add(Structure, scope_key="public")


async def test_materials_without_a_space_group_are_unique_too(records: Records) -> None:
    owner_id = await records.add(User)
    await records.add(Material, owner_id=owner_id)
    await records.add(Material, owner_id=owner_id, space_group_number=225)
    with pytest.raises(IntegrityError, match="uq_materials"):
        await records.add(Material, owner_id=owner_id)


@pytest.mark.parametrize("status", ["failed", "cancelled"])
async def test_a_job_is_unique_until_it_failed(
    session: AsyncSession, records: Records, status: str
) -> None:
    known = await records.simulation_jobs({})
    first = await records.add(SimulationJob, **known)
    with pytest.raises(IntegrityError, match="uq_simulation_jobs_identity"):
        await records.add(SimulationJob, **known)
    this = update(SimulationJob).where(SimulationJob.id == first)
    await session.execute(this.values(status="running", lease_until=func.now()))
    await session.execute(this.values(status=status, lease_until=None, finished_at=func.now()))
    await records.add(SimulationJob, **known)


async def test_a_job_has_one_result(records: Records) -> None:
    job_id = await records.add(SimulationJob)
    await records.add(SimulationResult, simulation_job_id=job_id)
    with pytest.raises(IntegrityError, match="simulation_job_id"):
        await records.add(SimulationResult, simulation_job_id=job_id)


async def test_what_others_rest_on_cannot_be_deleted(
    session: AsyncSession, records: Records
) -> None:
    structure_id = await records.add(Structure)
    job_id = await records.add(SimulationJob, structure_id=structure_id)
    await records.add(SimulationResult, simulation_job_id=job_id, output_structure_id=structure_id)
    for model in (User, Material, Structure, WorkflowTemplate, SimulationJob):
        with pytest.raises(IntegrityError, match=r"ForeignKeyViolation|RestrictViolation"):
            async with session.begin_nested():
                await session.execute(delete(model))


async def test_a_publication_that_structures_cite_cannot_be_deleted(
    session: AsyncSession, records: Records
) -> None:
    await records.add(Structure, citation_id=await records.add(Citation))
    with pytest.raises(IntegrityError, match="fk_structures_citation_id_citations"):
        await session.execute(delete(Citation))


async def test_a_structure_may_stand_at_two_places_of_a_file(records: Records) -> None:
    structure_id = await records.add(Structure)
    await records.add(StructureSource, structure_id=structure_id)
    await records.add(StructureSource, structure_id=structure_id, place=2)
    with pytest.raises(IntegrityError, match="pk_structure_sources"):
        await records.add(StructureSource, structure_id=structure_id)


async def test_what_is_derived_goes_with_its_structure(
    session: AsyncSession, records: Records
) -> None:
    await records.add(VectorEmbedding)
    await records.add(StructureSimilarity)
    await records.add(StructureSource)
    await session.execute(delete(Structure))
    for model in (VectorEmbedding, StructureSimilarity, StructureSource):
        assert await session.scalar(select(func.count()).select_from(model)) == 0
