"""Each filter finds few of 100,000 structures by an index, each order is walked along one.

A plan is a matter of statistics, so the population is that of ``population``: skewed, and
too large for reading all of it to be the cheapest way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest

from api.schemas.search import SORTABLE, Query, Sort
from api.services import search
from api.services.criteria import is_counted_by_index
from pgsteady.url import parse
from planner import Planner, nodes, reads_all
from population import populate

ROWS = 100_000


@pytest.fixture(scope="module")
def planner(migrated: Callable[[str], str]) -> Iterator[Planner]:
    url = migrated("planned")
    with closing(psycopg2.connect(parse(url, "the test").libpq())) as connection:
        connection.autocommit = True
        populate(connection.cursor(), ROWS)
    with Planner(url) as planner:
        yield planner


FEW: dict[str, dict[str, Any]] = {
    "ids": {"ids": ["019aca3d-3400-7c4c-a842-38a0b923820d"]},
    "id_prefix": {"id_prefix": "019aca3d-34"},
    "elements": {"elements": "Sn,Ti"},
    "elements_any": {"elements_any": "Sn,Ti"},
    "elements_only": {"elements_only": "Sn,Ti,Xe,Bi"},
    "elements_only, of many": {"elements_only": "Sn,Ti,Xe,Bi,As,Ag,Tc,Eu,Na,Pm,Rn,Tm,Np,Db"},
    "elements_none": {"elements_none": "Th", "elements": "Sn"},
    "chemical_system": {"chemical_system": "Ti-Sn"},
    "chemical_system, one unknown": {"chemical_system": "*-Sn-Ti"},
    "chemical_subsystems_of": {"chemical_subsystems_of": "Sn-Ti-Xe"},
    "reduced_formula": {"reduced_formula": "SnTi2"},
    "reduced_formula, any element": {"reduced_formula": "*2SnTi"},
    "reduced_formula, any amount": {"reduced_formula": "Sn?Ti2"},
    "anonymous_formula": {"anonymous_formula": "A12B11"},
    "anonymous_formula, beginning": {"anonymous_formula": "A12B11*"},
    "protostructure": {"protostructure": "A2B_oP3_17_a:X-Y"},
    "protostructure, label": {"protostructure": "A2B_oP3_17_a"},
    "protostructure, beginning": {"protostructure": "A2B_oP3_17*"},
    "number_of_elements": {"number_of_elements": "7:"},
    "number_of_sites": {"number_of_sites": "7:"},
    "number_of_periodic_dimensions": {"number_of_periodic_dimensions": "wire"},
    "is_ordered": {"is_ordered": False},
    "space_group": {"space_group": "229"},
    "space_group, strict": {"space_group": "229", "symprec_a": 0.01},
    "crystal_system": {"crystal_system": "hexagonal"},
    "density_g_per_cm3": {"density_g_per_cm3": "18.9:"},
    "volume_a3": {"volume_a3": "1:35"},
    "cell_a_a": {"cell_a_a": "3:3.01"},
    "cell_b_a": {"cell_b_a": "3:3.01"},
    "cell_c_a": {"cell_c_a": "3:3.01"},
    "cell_alpha_deg": {"cell_alpha_deg": "61:61.5"},
    "cell_beta_deg": {"cell_beta_deg": "119.9:"},
    "cell_gamma_deg": {"cell_gamma_deg": "61:61.5"},
    "quantities": {"quantities": {"bulk_modulus_gpa": "499:"}},
    "method": {"method": "f" * 64},
    "words": {"words": "mineral4321"},
    "words, of a publication": {"words": "word19000 journal"},
    "words, beginning": {"words": "mineral432*"},
    "tags": {"tags": "tag110"},
    "owner": {"owner": "nobody"},
    "visibility": {"visibility": "public", "tags": "tag110"},
    "source": {"source": "rare"},
    "external_id": {"external_id": "id-4711"},
    "licence": {"licence": "CC-BY-4.0"},
    "fingerprint": {"fingerprint": "0" * 64},
    "created_at": {"created_at": "2026-01-10..2026-01-10T01:00"},
    "updated_at": {"updated_at": "2026-01-10..2026-01-10T01:00"},
}
"""One search, or more, for each field of a query, that finds few. What has none of some elements
is most of all, and is looked up by what else is asked."""
NO_INDEX = {"contains", "symprec_a", "mix"}
"""Text within text reads every row; the tolerance only chooses the column, a mix is allowed."""


def test_each_filter_is_tried() -> None:
    tried = {name.partition(",")[0] for name in FEW}
    assert tried | NO_INDEX == set(Query.model_fields)


@pytest.mark.slow
@pytest.mark.parametrize("name", FEW)
def test_few_are_found_by_an_index(planner: Planner, name: str) -> None:
    query = Query(**FEW[name])
    for plan in planner.plans(lambda session: search.find(session, query)):
        assert not reads_all(plan), plan


ALONE = {name: Query(**given) for name, given in FEW.items()}


@pytest.mark.slow
@pytest.mark.parametrize(
    "name", [name for name, query in ALONE.items() if is_counted_by_index(query)]
)
def test_what_an_index_tells_is_counted_without_rows(planner: Planner, name: str) -> None:
    (plan,) = planner.plans(lambda session: search.count(session, ALONE[name]))
    read = {node["Node Type"] for node in nodes(plan) if node.get("Index Name")}
    assert read == {"Index Only Scan"}, plan


@pytest.mark.slow
@pytest.mark.parametrize("descending", [False, True], ids=["up", "down"])
@pytest.mark.parametrize("column", SORTABLE)
def test_an_order_is_walked_along_an_index(planner: Planner, column: str, descending: bool) -> None:
    """The first page, and one behind it: no more is fetched than a few equals, to be sorted."""
    sort = Sort(column, descending)
    for query in (Query(), Query(visibility="public"))[: 1 + descending]:
        first = planner.run(lambda s, q=query: search.find(s, q, sort=sort, limit=300))
        pages = [
            plan
            for after in (None, first.after)
            for plan in planner.plans(
                lambda s, q=query, a=after: search.find(s, q, sort=sort, after=a)
            )
            if plan["Node Type"] == "Limit"
        ]
        assert len(pages) >= 2
        for plan in pages:
            assert not any(node["Node Type"] == "Seq Scan" for node in nodes(plan)), plan
            sorts = [node for node in nodes(plan) if node["Node Type"] == "Sort"]
            assert all(node["Plan Rows"] < FEW_EQUALS for node in sorts), plan


@pytest.mark.slow
@pytest.mark.parametrize("column", ["reduced_formula", "chemical_system"])
def test_elements_are_told_by_the_names_in_the_order(
    planner: Planner, column: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Only the rows of the page are read."""
    monkeypatch.setattr(search, "SURELY_FEW", -1)
    query = Query(elements="Sn,Ti")
    *_, plan = planner.plans(lambda s: search.find(s, query, sort=Sort(column)))
    walked, shown = (node for node in nodes(plan) if node.get("Index Name"))
    assert (walked["Node Type"], shown["Index Name"]) == ("Index Only Scan", "pk_structures")


FEW_EQUALS = 2_000
