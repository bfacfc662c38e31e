"""Workflows of steps by real workers, one of which is killed on the way."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING, Any

import pytest
from samples import metal, stored
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.services.users import local_owner

if TYPE_CHECKING:
    from conftest import Cli, Start

PARAMETERS = (
    *("--param", "phonons.supercell_length=4", "--param", "phonons.mesh_length=10"),
    *("--param", "elastic.points_per_side=1"),
)


@pytest.mark.slow
async def test_the_next_worker_goes_on_with_the_steps_of_a_killed_one(
    sessions: async_sessionmaker[AsyncSession],
    start: Start,
    cli: Cli,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("NANO_OS_POLL_S", "0.1")
    async with sessions.begin() as session:
        ids = await stored(session, await local_owner(session), metal("Cu", a=3.5), metal("Ag"))

    async def rows(statement: str) -> list[Any]:
        async with sessions.begin() as session:
            return list(await session.execute(text(statement)))

    said = cli("jobs", "submit", "properties", *ids, *PARAMETERS, "--json").json
    assert len(said["submitted"]) == 8
    killed = start("worker")
    while not await rows("SELECT id FROM simulation_jobs WHERE status = 'succeeded'"):
        assert killed.poll() is None, killed.output()
        time.sleep(0.05)
    killed.kill()
    killed.wait()
    assert start("worker", "--drain").end() == 0

    done = await rows("""
        SELECT name, status, structure_id, output_structure_id, result.id AS result_id
        FROM simulation_jobs AS job JOIN workflow_templates AS t ON t.id = workflow_template_id
        JOIN simulation_results AS result ON simulation_job_id = job.id""")
    assert [row.status for row in done] == ["succeeded"] * 8
    relaxed = {row.output_structure_id for row in done if row.name == "relax"}
    assert {row.structure_id for row in done if row.name != "relax"} == relaxed
    again = cli("jobs", "submit", "properties", *ids, *PARAMETERS, "--json").json
    assert sorted(again["existing"]) == sorted(said["submitted"])
    assert not again["submitted"]
