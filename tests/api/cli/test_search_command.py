"""`structures search` as its user meets it: rows, count, the way on, and what is refused."""

from __future__ import annotations

import shlex
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from api.cli import filters
from api.schemas.search import Query, StructureRow

if TYPE_CHECKING:
    from conftest import Invoke

CRYSTALS = Path(__file__).parents[3] / "examples" / "crystals"


@pytest.fixture
def crystals(invoke: Invoke) -> None:
    invoke("structures", "import", CRYSTALS)


@pytest.mark.slow
def test_questions_are_answered(invoke: Invoke, crystals: None) -> None:
    def names(*options: str) -> list[str]:
        found = invoke("structures", "search", *options, "--columns", "name", "--json").json
        assert found["count_is_exact"]
        assert found["count"] == len(found["structures"])
        return sorted(row["name"] for row in found["structures"])

    assert names("--formula", "SiO2") == ["Coesite", "Cristobalite", "Quartz", "Stishovite"]
    assert names("--formula", "SiO2", "--density", "2.6:2.7") == ["Quartz"]
    assert names("--formula", "NaCl") == names("--system", "Na-Cl") == ["Halite"]
    assert "Halite" in names("--formula", "*Cl", "--space-group", "Fm-3m")
    assert "Halite" in names("--anonymous", "AB", "--crystal-system", "cubic")
    assert "Halite" not in names("--anonymous", "AB", "--none-of", "Na")
    assert names("--only", "Si,O", "--n-elements", "2") == names("--formula", "SiO2")
    assert names("--text", "quartz") == ["Quartz"]
    assert names("--contains", "UART") == ["Quartz"]
    assert names("--owner", "nobody") == []
    assert names("--result", "bulk_modulus_gpa=1:") == []
    assert names("--ordered", "--formula", "NaCl", "--alpha", "90", "--a", "5.5:5.8") == ["Halite"]


def test_pages_follow_the_command_they_name(invoke: Invoke, crystals: None) -> None:
    everything = invoke("structures", "search", "--limit", "1000", "--json").json
    command = [
        "structures",
        "search",
        "--limit",
        "30",
        "--columns",
        "id",
        "--sort",
        "volume_a3:desc",
    ]
    found: list[str] = []
    while command:
        answer = invoke(*command)
        assert f"{everything['count']} structures" in answer.stderr
        rows = [line.strip() for line in answer.stdout.splitlines()]
        found += [row for row in rows if len(row) == 36 and row.count("-") == 4]
        more = [line for line in answer.stderr.splitlines() if line.startswith("More: ")]
        command = shlex.split(more[0].removeprefix("More: "))[1:] if more else []
    assert len(found) == everything["count"]
    assert set(found) == {row["id"] for row in everything["structures"]}


def test_a_count_is_all_that_is_said(invoke: Invoke, crystals: None) -> None:
    assert invoke("structures", "search", "--formula", "SiO2", "--count").stdout == "4 structures\n"
    answer = invoke("structures", "search", "--formula", "NaCl", "--count", "--json").json
    assert answer == {"count": 1, "count_is_exact": True}


def test_nothing_found_is_no_failure(invoke: Invoke) -> None:
    answer = invoke("structures", "search")
    assert answer.stdout == ""
    assert "0 structures" in answer.stderr


@pytest.mark.parametrize(
    ("options", "said"),
    [
        (["--elements", "Xx"], ["--elements Xx is no element; did you mean Xe? For", "O,Si"]),
        (["--density", "heavy"], ["--density heavy is no number. For example: --density 3.1"]),
        (["--n-sites", "1.5:"], ["--n-sites 1.5:: '1.5' is no whole number."]),
        (["--created", "2026-13-01"], ["--created 2026-13-01 is no date; write 2026-01-31"]),
        (["--updated", "soon"], ["--updated soon is no date; write 2026-01-31"]),
        (["--visibility", "secret"], ["--visibility secret is none of private, public."]),
        (["--id", "xyz"], ["--id xyz is no beginning of an id"]),
        (["--density", "4:3"], ["--density 4:3", "after its end", "3.1:3.4"]),
        (["--space-group", "Fx"], ["--space-group Fx", "no space group", "Fm-3m"]),
        (["--formula", "sio2"], ["--formula sio2", "SiO2"]),
        (["--symprec", "0.5"], ["--symprec 0.5", "0.01"]),
        (["--result", "bulk"], ["--result bulk", "bulk_modulus_gpa=100:200"]),
        (["--result", "colour=1:"], ["'colour' is no quantity", "--result", "bulk_modulus_gpa"]),
        (["--result", "energy_ev=low:"], ["--result energy_ev=low:", "number"]),
        (["--sort", "colour"], ["--sort colour", "density_g_per_cm3:desc"]),
        (["--columns", "id,colour"], ["there is no colour", "reduced_formula"]),
        (["--after", "abc"], ["--after abc is no cursor"]),
        (["--formula", "O,,Si"], ["--formula O,,Si names nothing", "For example: --formula SiO2"]),
        (["--anonymous", "B2A3X"], ["--anonymous B2A3X:", "write A, B, C."]),
        (["--protostructure", "zzz"], ["--protostructure zzz:", "A2B_tP6_136_f_a"]),
    ],
)
def test_wrong_options_are_named(invoke: Invoke, options: list[str], said: list[str]) -> None:
    answer = invoke("structures", "search", *options, exits=2)
    assert answer.stdout == ""
    text = " ".join(answer.stderr.split())
    assert all(part in text for part in said), text


def test_every_field_of_a_query_has_an_option() -> None:
    """But a list of ids, which commands take as their arguments."""
    assert set(filters._parameters()) == set(Query.model_fields) - {"ids"}


def test_every_column_can_be_shown(invoke: Invoke, crystals: None) -> None:
    columns = ",".join(StructureRow.model_fields)
    found = invoke("structures", "search", "--limit", "1", "--columns", columns, "--json").json
    assert set(found["structures"][0]) == set(StructureRow.model_fields)
    invoke("structures", "search", "--columns", columns)
