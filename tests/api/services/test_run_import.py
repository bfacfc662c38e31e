"""Runs as rows: what a job and a result say of them, links between them, and once each."""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from dataclasses import replace
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from samples import metal, person
from sqlalchemy import select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.artifacts import Artifacts
from api.models import SimulationJob, SimulationResult, Structure, User
from api.schemas.results import ResultQuery
from api.schemas.search import Query
from api.services import result_records, run_import, run_links, run_report, scope
from api.services.run_rows import RunRow, rows
from api.services.structure_import import Terms
from nanoos.errors import ParseError
from nanoos.methods import Method
from nanoos.parsers import Source
from nanoos.runs import Run, RunFolder, Step
from nanoos.runs.exported import Exported
from nanoos.runs.find import FoundRun, runs_in
from nanoos.structures import Structure as Structure_
from nanoos.writers.jsonl import JsonLinesWriter

pytestmark = pytest.mark.anyio

PBE = Method(code="VASP", functional="PBE", cutoff_ev=520.0, k_spacing_per_a=0.2)


def step(a: float, energy_ev: float = -3.0, **known: Any) -> Step:
    return Step(structure=metal("Cu", a=a), energy_ev=energy_ev, **known)


def run(**known: Any) -> Run:
    return Run(**{"name": "it", "method": PBE, "task": "relax", "end": "finished"} | known)


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path)


@pytest.fixture
def read(artifacts: Artifacts) -> Any:
    def read(*parts: Step | Run, name: str = "calcs/one", content: str = "") -> list[RunRow]:
        source = Source.of_text(content or f"{name} {len(parts)}")
        found = FoundRun("vasp", RunFolder(name, {"OUTCAR": source}))
        made = list(rows(found, iter(parts), artifacts))
        assert all(isinstance(one, RunRow) for one in made)
        return [one for one in made if isinstance(one, RunRow)]

    return read


async def results(session: AsyncSession) -> list[SimulationResult]:
    found = await session.scalars(select(SimulationResult).order_by(SimulationResult.id))
    return list(found)


async def test_numbers_keep_name_and_sign(session: AsyncSession, owner: User, read: Any) -> None:
    last = step(
        3.5,
        -3.5,
        free_energy_ev=-3.6,
        energy_without_entropy_ev=-3.4,
        forces_ev_per_a=np.array([[0.0, 3.0, -4.0]]),
        stress_gpa=np.diag([1.0, 2.0, 3.0]),
        magnetic_moments_mu_b=np.array([0.5]),
        place=17,
    )
    known = run(
        is_ionically_converged=True,
        extra={"aiida": {"exit_status": 0}},
        band_gap_ev=0.0,
        wall_time_s=7200.0,
        n_cores=4,
        total_magnetization_mu_b=float("nan"),
    )
    (row,) = read(step(3.6), last, known)
    assert await run_import.store_(session, [row], Terms(owner.id), "copper") == 1
    (result,) = await results(session)
    assert (result.energy_ev, result.free_energy_ev) == (-3.5, -3.6)
    assert result.energy_without_entropy_ev == -3.4
    assert result.max_force_ev_per_a == 5.0
    assert result.pressure_gpa == -2.0
    assert result.total_magnetization_mu_b is None
    assert result.is_converged
    assert result.data["stress"] == {"values": [[1, 0, 0], [0, 2, 0], [0, 0, 3]], "unit": "GPa"}
    assert (result.provenance["place"], result.provenance["place_in"]) == (17, "OUTCAR")
    assert result.provenance["extra"] == {"aiida": {"exit_status": 0}}
    assert result.artifacts[0]["steps"] == 2
    final = await session.get_one(Structure, result.output_structure_id)
    job = await session.get_one(SimulationJob, result.simulation_job_id)
    assert (final.origin, final.parent_id) == ("relaxed", job.structure_id)
    assert (job.origin, job.status, job.project) == ("imported", "succeeded", "copper")
    report = await run_report.report(session)
    assert [(cost.name, cost.core_hours) for cost in report.by_project] == [("copper", 8.0)]


@pytest.mark.parametrize(
    ("known", "status", "error_type"),
    [
        ({"problems": ("electronic_steps_exhausted",)}, "succeeded", None),
        ({"is_ionically_converged": False}, "succeeded", None),
        ({"end": "crashed", "message": "ZBRENT: fatal\0 error"}, "failed", "Crashed"),
        ({"end": "time_limit"}, "failed", "TimeLimit"),
        ({"end": "unfinished"}, "failed", "Unfinished"),
    ],
)
async def test_what_went_wrong_is_flagged_and_kept(
    session: AsyncSession,
    owner: User,
    read: Any,
    known: dict[str, Any],
    status: str,
    error_type: str | None,
) -> None:
    await run_import.store_(session, read(step(3.6), run(**known)), Terms(owner.id))
    (result,) = await results(session)
    job = await session.get_one(SimulationJob, result.simulation_job_id)
    assert (job.status, job.error_type) == (status, error_type)
    assert bool(job.error) == (status == "failed")
    assert not result.is_converged
    assert result.energy_ev == -3.0


async def test_digits_that_are_not_printed_make_no_other_structure(read: Any) -> None:
    """OUTCAR gives positions to five decimals, POSCAR to sixteen; one step more moves them."""
    given = Structure_.of(metal("Cu", a=3.6).lattice_a, [[0.1234567, 0, 3.5999999]], ["Cu"])
    for moved_a, is_final in ((3.3e-6, False), (2e-4, True)):
        last = Structure_.of(given.lattice_a, [[0.1234567 + moved_a, 0, -1e-7]], ["Cu"])
        (one,) = read(Step(structure=last, energy_ev=-3.0), run(initial=given))
        assert (one.final is not None) == is_final


async def test_the_rows_of_one_file_are_named_by_their_row(
    session: AsyncSession, owner: User, read: Any
) -> None:
    parts = [step(3.6), run(name="calcs/old.db#1"), step(3.7), run(name="calcs/old.db#2")]
    await run_import.store_(session, read(*parts, name="calcs/old.db"), Terms(owner.id))
    names = await session.scalars(select(Structure.name).order_by(Structure.name))
    assert list(names) == ["old.db#1", "old.db#2"]


async def test_a_run_without_a_number_is_a_job_alone(
    session: AsyncSession, owner: User, read: Any
) -> None:
    row = read(run(initial=metal(), end="crashed"))
    assert await run_import.store_(session, row, Terms(owner.id)) == 1
    assert not await results(session)
    with pytest.raises(ParseError):
        read()


async def test_runs_are_there_once_for_each_owner(
    session: AsyncSession, owner: User, read: Any
) -> None:
    of_file = read(step(3.6), run(), step(3.7), run(), content="two")
    ada = await person(session, "ada")
    (digest,) = {row.job["source_sha256"] for row in of_file}
    assert await run_import.store_(session, of_file[:1], Terms(owner.id)) == 1
    assert await run_import.recognise(session, [digest], owner.id) == {}  # one is missing
    assert await run_import.store_(session, of_file, Terms(owner.id)) == 1
    assert await run_import.recognise(session, [digest], owner.id) == {digest: (2, [])}
    again = read(step(3.6), run(), step(3.7), run(), content="two", name="elsewhere/moved")
    assert await run_import.store_(session, again, Terms(owner.id)) == 0
    assert await run_import.recognise(session, [digest], ada.id) == {}
    assert await run_import.store_(session, again, Terms(ada.id)) == 0 + 2
    scope.read_as(session, ada)
    assert (await run_report.report(session)).runs == 2


@pytest.mark.parametrize("order", [(0, 1, 2), (2, 1, 0), (1, 2, 0)])
async def test_a_chain_of_relaxations_is_linked_in_whatever_order_it_comes(
    session: AsyncSession, owner: User, read: Any, order: tuple[int, ...]
) -> None:
    finer = replace(PBE, k_spacing_per_a=0.21)  # of the same mesh, in a smaller cell
    chain = [
        read(step(3.60), step(3.58), run(end="time_limit"), name="calcs/a"),
        read(step(3.58), step(3.57), run(method=finer), name="calcs/b"),
        read(step(3.57), run(task="single_point"), name="calcs/c"),
    ]
    other = replace(PBE, functional="PBEsol")
    await run_import.store_(session, read(step(3.58), run(method=other)), Terms(owner.id))
    for place in order:
        await run_import.store_(session, chain[place], Terms(owner.id))
    jobs = list(await session.scalars(select(SimulationJob)))
    names = {job.id: job.source_name for job in jobs}
    assert {job.source_name: names.get(job.continues_id) for job in jobs} == {
        "calcs/a": None,
        "calcs/b": "calcs/a",
        "calcs/c": "calcs/b",
        "calcs/one": None,
    }


async def test_links_see_through_digits_and_to_geometries_left_for_the_next(
    session: AsyncSession, owner: User, read: Any
) -> None:
    def at(a: float, shift_a: float = 0.0) -> Structure_:
        cell = metal("Cu", cells=2, a=a)
        moved = [[0.1 + shift_a, 0, 0]] + [[0, 0, 0]] * (cell.n_sites - 1)
        return Structure_.of(cell.lattice_a, cell.positions_a + moved, cell.symbols)

    def at_(a: float, shift_a: float = 0.0) -> Step:
        return Step(structure=at(a, shift_a), energy_ev=-3.0)

    chain = {
        "calcs/a": (at_(3.6), at_(3.61), run(next_structure=at(3.62))),
        "calcs/b": (at_(3.62, 7e-6), at_(3.63), run()),
        "calcs/c": (at_(3.63, -7e-6), run(task="single_point")),
        "calcs/other": (at_(3.63, 1e-3), run(task="single_point")),
        "calcs/another": (at_(3.62, 1e-3), run(task="single_point")),
    }
    ada = await person(session, "ada")
    for whose, names in ((owner, list(chain)), (ada, list(chain)[::-1])):
        scope.read_as(session, whose)
        for name in names:
            await run_import.store_(session, read(*chain[name], name=name), Terms(whose.id))
        mine = select(SimulationJob).where(SimulationJob.owner_id == whose.id)
        jobs = list(await session.scalars(mine))
        known = {job.id: job.source_name for job in jobs}
        links = {job.source_name: known[job.continues_id] for job in jobs if job.continues_id}
        assert links == {"calcs/b": "calcs/a", "calcs/c": "calcs/b"}


async def test_what_an_export_wrote_comes_in_as_it_was_and_once(
    session: AsyncSession, owner: User, read: Any, artifacts: Artifacts
) -> None:
    """Also forces in another order than the sites that the database had already."""

    async def exported() -> str:
        query = ResultQuery(structures=Query())
        batches = result_records.stream(session, query, artifacts)
        encode = JsonLinesWriter().encoder()
        return "".join([encode(record) async for batch in batches for record in batch])

    def without_ids(text: str) -> list[dict[str, Any]]:
        found = [json.loads(line) for line in text.splitlines()]
        for line in found:
            for name in ("id", "job_id", "created_at", "artifacts"):
                line["result"].pop(name)
            line["result"]["provenance"].pop("artifacts_elsewhere", None)
        return sorted(found, key=str)

    salt = Structure_.from_ase(bulk("NaCl", "rocksalt", a=5.6))
    turned = Structure_.of(salt.lattice_a, salt.positions_a[::-1], salt.symbols[::-1])
    alone = run(task="single_point")
    left = run(next_structure=metal("Cu", a=3.4), started_at=datetime(2020, 1, 1, tzinfo=UTC))
    forces = {"forces_ev_per_a": np.array([[0.1, 0, 0], [-0.1, 0, 0]])}
    for made in (
        read(Step(structure=turned, energy_ev=-6.0), alone, name="first"),
        read(Step(structure=salt, energy_ev=-6.0, **forces), alone, name="second"),
        read(step(3.6), step(3.5, stress_gpa=np.eye(3)), left, name="relaxed"),
        read(step(3.6), run(end="crashed", message="ZBRENT", n_cores=4), name="crashed"),
    ):
        await run_import.store_(session, made, Terms(owner.id), "mine")
    before = await exported()
    positions = {str(one["positions_a"]) for one in without_ids(before)}
    assert {str(one.positions_a.tolist()) for one in (salt, turned)} <= positions

    def again(lines: str = before) -> list[RunRow]:
        source = Source.of_text(lines, "x.jsonl")
        (found,) = runs_in(RunFolder("shelf", {"x.jsonl": source}))
        made = rows(found, Exported().read(found.folder), artifacts)
        return [one for one in made if isinstance(one, RunRow)]

    assert await run_import.store_(session, again(), Terms(owner.id)) == 0
    await session.execute(text("DELETE FROM simulation_results"))
    await session.execute(text("DELETE FROM simulation_jobs"))
    assert await run_import.store_(session, again(), Terms(owner.id)) == 4
    assert await run_import.store_(session, again(), Terms(owner.id)) == 0
    session.expunge_all()
    assert without_ids(await exported()) == without_ids(before)
    named = again(before.replace('"name": "it"', '"name": "Cu/Al interface"'))
    assert all(b"Cu/Al interface" in row.initial.fields for row in named)
    sly = before.replace('"energy_ev":', '"read_before_methods":1.0,"energy_ev":')
    await session.execute(text("DELETE FROM simulation_results"))
    await session.execute(text("DELETE FROM simulation_jobs"))
    assert await run_import.store_(session, again(sly), Terms(owner.id)) == 4
    said = await session.execute(text("SELECT method, data FROM simulation_results"))
    assert all(method != 1.0 and data["read_before_methods"] == 1.0 for method, data in said)


async def test_what_repeats_and_what_contradicts_is_told(
    session: AsyncSession, owner: User, read: Any
) -> None:
    def single(name: str, energy_ev: float, **known: Any) -> list[RunRow]:
        return read(step(3.6, energy_ev), run(task="single_point", **known), name=name)

    other = replace(PBE, functional="PBEsol")
    for row in (
        single("a", -3.0),
        single("b", -3.001),
        single("c", -3.02),
        single("not converged", -2.0, problems=("electronic_steps_exhausted",)),
        single("another method", -2.0, method=other),
        read(step(3.5, 0.0), run(task="single_point"), name="zero"),
        read(step(3.5, 0.1), run(task="single_point"), name="and more"),
        read(step(3.7), run(task="other"), name="of a database"),
        read(step(3.7, -1.0), run(task="other"), name="another's"),
        read(step(3.4), run(is_ionically_converged=True), name="the cell kept"),
        read(step(3.4), step(3.6, -9.0), run(is_ionically_converged=True), name="relaxed"),
    ):
        await run_import.store_(session, row, Terms(owner.id))
    report = await run_report.report(session)
    duplicate = next(one for one in report.duplicates if len(one.runs) == 4)
    zero, conflict = report.conflicts
    assert {one.source_name for one in zero.runs} == {"zero", "and more"}
    assert {one.source_name for one in duplicate.runs} == {"a", "b", "c", "not converged"}
    assert {one.source_name for one in conflict.runs} == {"a", "b", "c"}
    assert conflict.spread_ev_per_atom == pytest.approx(0.02)
    assert [one.cause for one in report.unconverged] == ["electronic steps exhausted"]


@pytest.mark.parametrize(
    ("known", "force_ev_per_a", "is_converged"),
    [
        ({}, None, False),
        ({}, 0.06, False),
        ({}, 0.04, True),
        ({"is_ionically_converged": True}, 0.06, True),
        ({"is_ionically_converged": False}, 0.04, False),
        ({"task": "single_point"}, None, True),
    ],
)
def test_a_relaxation_is_converged_where_that_is_known(
    read: Any, known: dict[str, Any], force_ev_per_a: float | None, is_converged: bool
) -> None:
    forces = None if force_ev_per_a is None else np.array([[0.0, 0.0, force_ev_per_a]])
    (row,) = read(step(3.6, forces_ev_per_a=forces), run(**known))
    assert row.result["is_converged"] is is_converged


async def test_an_unfinished_run_that_went_on_counts_once(
    session: AsyncSession, owner: User, read: Any
) -> None:
    began = {"started_at": datetime(2020, 1, 1, tzinfo=UTC), "wall_time_s": 3600.0}
    earlier = read(step(3.6), run(end="unfinished", **began), content="begun")
    later = read(step(3.6), step(3.5), run(**began), content="begun and ended")
    elsewhere = read(step(3.6), run(end="unfinished", **began), name="calcs/other")
    for row in (earlier, elsewhere, later):
        assert await run_import.store_(session, row, Terms(owner.id)) == 1
    report = await run_report.report(session)
    assert (report.runs, report.core_hours) == (2, 2.0)
    jobs = await session.scalars(select(SimulationJob).order_by(SimulationJob.id))
    assert [job.error_type for job in jobs] == [run_import.SUPERSEDED, None, "Unfinished"]


async def test_links_go_forward_in_time_and_never_round(
    session: AsyncSession, owner: User, read: Any
) -> None:
    def at(hour: int, name: str, *steps: Step) -> list[RunRow]:
        began = datetime(2020, 1, 1, hour, tzinfo=UTC)
        return list(read(*steps, run(started_at=began, wall_time_s=1800.0), name=name))

    there, back = (step(3.60), step(3.58)), (step(3.58), step(3.60))
    for row in (at(5, "later", *there), at(2, "earlier", *back)):
        await run_import.store_(session, row, Terms(owner.id))
    ring = [(3.1, 3.2), (3.2, 3.3), (3.3, 3.1)]
    for a, b in ring:  # of which no time is known
        await run_import.store_(
            session, read(step(a), step(b), run(), name=f"{a}"), Terms(owner.id)
        )
    jobs = list(await session.scalars(select(SimulationJob)))
    names = {job.id: job.source_name for job in jobs}
    links = {job.source_name: names.get(job.continues_id) for job in jobs}
    assert (links["later"], links["earlier"]) == ("earlier", None)
    assert sum(links[f"{a}"] is not None for a, _ in ring) == 2


async def test_of_one_formula_not_all_volumes_meet_all(
    session: AsyncSession, owner: User, read: Any
) -> None:
    n_runs = 100
    new = [
        row
        for one in range(n_runs)
        for row in read(
            step(3.6 + one / 100), run(next_structure=metal("Cu", a=5 + one / 100)), name=f"c/{one}"
        )
    ]
    await run_import.store_(session, new, Terms(owner.id))
    await session.execute(text("ANALYZE structures, simulation_jobs, simulation_results"))
    said = {"new": [row.job["id"] for row in new], "owner_id": owner.id}
    found = (await session.execute(text(run_links._NEAR), said)).one()
    assert (len(found.begun), len(found.left_behind)) == (n_runs, n_runs)
    # Of tables as small as these, the planner may read all rows for each; of larger ones never.
    await session.execute(text("SET LOCAL enable_seqscan = off"))
    near = text(f"EXPLAIN (ANALYZE, FORMAT JSON) {run_links._NEAR}")
    plan = str(await session.scalar(near, said))
    met = re.findall(r"'(?:Actual Rows|Rows Removed by Join Filter)': (\d+)", plan)
    assert max(map(int, met)) < 20 * n_runs


def test_a_broken_end_keeps_the_runs_before_it(artifacts: Artifacts) -> None:
    def read() -> Iterator[Step | Run]:
        yield step(3.6)
        yield run(started_at=datetime(2020, 1, 1, tzinfo=UTC), wall_time_s=60.0)
        yield step(3.7)
        raise ParseError("cut off")

    found = FoundRun("vasp", RunFolder("x", {"OUTCAR": Source.of_text("x")}))
    made = rows(found, read(), artifacts)
    first = next(made)
    assert isinstance(first, RunRow)
    assert not first.is_last
    assert first.job["finished_at"] == datetime(2020, 1, 1, 0, 1, tzinfo=UTC)
    with pytest.raises(ParseError, match="cut off"):
        next(made)
