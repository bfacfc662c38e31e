"""``nano-os methods``, and the searches that a mix of methods is refused to."""

from __future__ import annotations

import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest

from nanoos.methods import Method, Potential, document, sha256
from pgsteady.url import parse

if TYPE_CHECKING:
    from conftest import Invoke

ROOT = Path(__file__).parents[3]
PLAIN = Method(code="VASP", functional="PBE", potentials=(Potential("Cu", "PAW_PBE Cu"),))
WITH_U = replace(PLAIN, hubbard_ev={"Cu d": 4.0})
RESULT = """
WITH job AS (
    INSERT INTO simulation_jobs (owner_id, structure_id, origin, parameters_sha256, status,
                                 finished_at)
    SELECT owner_id, id, 'imported', repeat('0', 64), 'succeeded', now() FROM structures
    RETURNING id
)
INSERT INTO simulation_results (simulation_job_id, method_sha256, provenance, energy_ev,
                                is_converged)
SELECT id, %s, '{}', %s, true FROM job
"""


@pytest.fixture
def calculated(database: str, home: Path, invoke: Invoke) -> Callable[[Method, float], str]:
    """Give copper a result by a method, with an energy; return the method's hash."""
    invoke("structures", "import", ROOT / "examples" / "crystals" / "copper_0011145.cif")

    def add(method: Method, energy_ev: float) -> str:
        hash_ = sha256(method)
        url = parse(database, "the test").libpq()
        with closing(psycopg2.connect(url)) as connection, connection:
            cursor = connection.cursor()
            stored = (hash_, json.dumps(document(method)))
            cursor.execute("INSERT INTO methods VALUES (%s, %s)", stored)
            cursor.execute(RESULT, (hash_, energy_ev))
        return hash_

    return add


def test_methods_are_listed_shown_and_compared(
    invoke: Invoke, calculated: Callable[[Method, float], str]
) -> None:
    assert invoke("methods", "list", "--json").json == {"methods": []}
    plain, with_u = calculated(PLAIN, -4.0), calculated(WITH_U, -2.0)
    listed = invoke("methods", "list").stdout
    assert plain[:12] in listed
    assert "VASP PBE+U" in listed
    (shown,) = [
        one for one in invoke("methods", "list", "--json").json["methods"] if one["sha256"] == plain
    ]
    assert (shown["results"], shown["elements"]) == (1, ["Cu"])
    assert "PAW_PBE Cu" in invoke("methods", "show", with_u[:10]).stdout
    assert invoke("methods", "show", with_u, "--json").json["document"] == document(WITH_U)
    assert "U shifts the energy of Cu" in invoke("methods", "diff", plain[:10], with_u).stdout
    assert invoke("methods", "diff", plain, plain, "--json").json["level"] == "exact"
    assert "methods list" in invoke("methods", "show", "0" * 30, exits=1).stderr
    assert "no hash" in invoke("methods", "show", "VASP", exits=2).stderr


def test_energies_of_a_mix_are_found_on_request(
    invoke: Invoke, calculated: Callable[[Method, float], str]
) -> None:
    def found(*options: str) -> int:
        return int(invoke("structures", "search", *options, "--json").json["count"])

    plain = calculated(PLAIN, -4.0)
    assert found("--result", "energy_ev=-5:-3") == 1
    with_u = calculated(WITH_U, -2.0)
    refused = invoke("structures", "search", "--result", "energy_ev=-5:-3", exits=1).stderr
    assert "U of Cu" in refused
    assert "--mix" in refused
    assert found("--result", "energy_ev=-5:-3", "--mix") == 1
    assert found("--result", "energy_ev=-5:-3", "--method", plain[:9]) == 1
    assert found("--result", "energy_ev=-5:-3", "--method", with_u) == 0
    assert found("--method", f"{with_u},{plain}") == 1
    assert found("--method", "0" * 64) == 0
    assert "no hash" in invoke("structures", "search", "--method", "PBE", exits=2).stderr
