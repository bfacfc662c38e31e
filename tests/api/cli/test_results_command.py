"""``nano-os results list`` and ``delete``, on real output of programs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import pytest

if TYPE_CHECKING:
    from conftest import Invoke

RUNS = Path(__file__).parents[2] / "fixtures" / "runs"


@pytest.fixture
def imported(invoke: Invoke, home: Path) -> dict[str, Any]:
    """Three runs of two programs in two projects, by the end of their folder's name."""
    for project, *runs in (
        ("silicon", "espresso/relax", "espresso/unconverged"),
        ("other", "vasp/relaxed"),
    ):
        folders = [RUNS / run for run in runs]
        invoke("results", "import", *folders, "--project", project, "--workers", 1)
    rows = invoke("results", "list", "--json").json["results"]
    return {row["source_name"].rpartition("/")[2]: row for row in rows}


@pytest.mark.slow
def test_results_are_listed_filtered_sorted_and_paged(
    invoke: Invoke, imported: dict[str, Any], tmp_path: Path
) -> None:
    def found(*options: object) -> list[str]:
        page = invoke("results", "list", *options, "--json").json
        assert page["count"] == len(page["results"])
        return [row["source_name"].rpartition("/")[2] for row in page["results"]]

    assert sorted(imported) == ["relax", "relaxed", "unconverged"]
    assert found() == list(imported)  # the newest first
    assert set(found("--project", "silicon")) == {"relax", "unconverged"}
    assert found("--project", "silicon", "--unconverged") == ["unconverged"]
    assert found("--engine", "vasp", "--workflow", "relax") == ["relaxed"]
    method = imported["relaxed"]["method_sha256"]
    assert found("--method", method[:10]) == ["relaxed"]
    energy = imported["relax"]["quantities"]["energy_ev_per_atom"]
    near = f"energy_ev_per_atom={energy - 1e-6}:{energy + 1e-6}"
    assert found("--elements", "Si", "--mix", "--result", near) == ["relax"]
    by_energy = sorted(
        imported, key=lambda name: imported[name]["quantities"]["energy_ev_per_atom"]
    )
    assert found("--sort", "energy_ev_per_atom") == by_energy
    assert "silicon" in invoke("results", "list").stdout

    assert "nope" in invoke("results", "list", "--project", "nope", exits=1).stderr
    assert "no column" in invoke("results", "list", "--sort", "colour", exits=2).stderr
    picture = ("--plot", tmp_path / "relax.svg")
    refused = invoke("results", "show", imported["relax"]["id"], *picture, exits=2).stderr
    assert "no picture of imported results" in refused
    assert not picture[1].exists()
    assert "There are: other, silicon" in (
        invoke("results", "report", "--project", "nope", exits=1).stderr
    )
    refused = invoke("results", "list", "--result", "energy_ev=:0", exits=1).stderr
    assert f"{method[:12]}" in refused  # the choices are named

    # pages follow each other, also where a value is missing
    for sort in ("band_gap_ev", "band_gap_ev:desc", "wall_time_s", "created_at:desc"):
        everything = invoke("results", "list", "--sort", sort, "--json").json["results"]
        options, seen = ["--sort", sort, "--limit", 1, "--json"], []
        page = invoke("results", "list", *options).json
        while page["after"]:
            seen += page["results"]
            assert page["count"] == len(imported)
            page = invoke("results", "list", *options, "--after", page["after"]).json
        assert seen + page["results"] == everything
        assert len(everything) == len(imported)
    after = invoke("results", "list", "--limit", 1, "--json").json["after"]
    assert "another search" in (
        invoke("results", "list", "--project", "other", "--after", after, exits=2).stderr
    )


@pytest.mark.slow
def test_results_of_a_project_are_deleted_and_come_in_again(
    invoke: Invoke, imported: dict[str, Any]
) -> None:
    artifacts = invoke("artifacts", "list", "--json").json["artifacts"]
    told = invoke("results", "delete", "--project", "silicon", "--dry-run").stdout
    assert "2 jobs" in told
    assert imported["relax"]["id"] in told
    assert "say --yes" in invoke("results", "delete", "--project", "silicon", exits=2).stderr
    assert invoke("results", "list", "--json").json["count"] == 3
    said = invoke("results", "delete", "--project", "silicon", "--yes", "--json").json
    assert {one["result_id"] for one in said["jobs"]} == {
        imported[name]["id"] for name in ("relax", "unconverged")
    }
    left = invoke("artifacts", "list", "--json").json["artifacts"]
    assert len(artifacts) - len(left) == said["artifacts"] > 0
    assert invoke("structures", "search", "--count", "--elements", "Si", "--json").json["count"]
    assert "No run" in invoke("results", "delete", "--project", "silicon", "--yes", exits=1).stderr

    invoke("results", "delete", imported["relaxed"]["job_id"], "--yes")
    assert invoke("results", "list", "--json").json["count"] == 0
    gone = invoke("results", "delete", imported["relaxed"]["id"], "--yes", exits=1).stderr
    assert imported["relaxed"]["id"] in gone
    again = invoke("results", "import", RUNS / "vasp/relaxed", "--json").json
    assert again["imported"] == 1
