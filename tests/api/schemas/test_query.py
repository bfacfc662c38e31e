"""What people write is understood, and what they cannot have meant is said."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import ValidationError

from api.schemas.notation import Formula, read_formula
from api.schemas.search import SORTABLE, Query, Sort
from nanoos.structures import formula
from nanoos.structures.structure import ELEMENTS


@pytest.mark.parametrize(
    ("field", "written", "meant"),
    [
        ("elements", "si, O", ("O", "Si")),
        ("elements", "Si-O", ("O", "Si")),
        ("elements", ["O", "Si", "O"], ("O", "Si")),
        ("chemical_system", "Si-O", "O-Si"),
        ("chemical_system", "Si-*-O", "*-O-Si"),
        ("reduced_formula", "TiO2", ("O2Ti",)),
        ("reduced_formula", "Ti2O4", ("O2Ti",)),
        ("reduced_formula", "Ca(OH)2, NaCl", ("CaH2O2", "ClNa")),
        ("reduced_formula", "Mg3(Al(OH)2)2", ("Al2H4Mg3O4",)),
        ("reduced_formula", "Fe0.5Mg0.5O", ("FeMgO2",)),
        ("reduced_formula", ["*TiO3"], ("*TiO3",)),
        ("anonymous_formula", "AB2", ("A2B",)),
        ("anonymous_formula", "A2B4", ("A2B",)),
        ("anonymous_formula", "AB3C*", ("A3BC*",)),
        ("space_group", "Fm-3m", (225,)),
        ("space_group", "P2_1/c", (14,)),
        ("space_group", "P 1 21/n 1", (14,)),
        ("space_group", 225, (225,)),
        ("space_group", "2, 195:197", (2, 195, 196, 197)),
        ("crystal_system", "Cubic,trigonal", ("cubic", "trigonal")),
        ("number_of_periodic_dimensions", "molecules,2", (0, 2)),
        ("number_of_periodic_dimensions", 3, (3,)),
        ("method", "1A, 2b", ("1a", "2b")),
        ("tags", "a, b", ("a", "b")),
    ],
)
def test_it_is_understood(field: str, written: Any, meant: Any) -> None:
    assert getattr(Query(**{field: written}), field) == meant


@pytest.mark.parametrize(
    ("written", "ends"),
    [
        ("3.1:3.4", (3.1, 3.4)),
        (" :4", (None, 4)),
        ("5:", (5, None)),
        ("5..", (5, None)),
        ("=5", (5, 5)),
        ("-1:1e3", (-1, 1000)),
        (5, (5, 5)),
        ((2, None), (2, None)),
        ({"at_most": 2}, (None, 2)),
    ],
)
def test_a_range_is_understood(written: Any, ends: Any) -> None:
    density = Query(density_g_per_cm3=written).density_g_per_cm3
    assert density is not None
    assert density.ends == ends


@pytest.mark.parametrize(
    ("written", "ends"),
    [
        (
            "2026-01-01:2026-01-31",
            (
                datetime(2026, 1, 1, tzinfo=UTC),
                datetime(2026, 1, 31, 23, 59, 59, 999999, tzinfo=UTC),
            ),
        ),
        ("2026-01-01T12:30..", (datetime(2026, 1, 1, 12, 30, tzinfo=UTC), None)),
        ("..2026-01-01T12:30+02:00", (None, datetime(2026, 1, 1, 10, 30, tzinfo=UTC))),
    ],
)
def test_times_are_utc_and_a_last_day_counts(written: str, ends: Any) -> None:
    created = Query(created_at=written).created_at
    assert created is not None
    assert created.ends == ends


@pytest.mark.parametrize(
    ("field", "written", "said"),
    [
        ("elements", "Xx", "'Xx' is no element; did you mean Xe"),
        ("reduced_formula", "Sl2", "'Sl' is no element; did you mean S or"),
        ("reduced_formula", "sio2", "SiO2"),
        ("reduced_formula", "Si(O2", "Ca(OH)2"),
        ("reduced_formula", "SiO2)", "Ca(OH)2"),
        ("reduced_formula", "Si0O2", "SiO2"),
        ("reduced_formula", "*Fe?", "cannot both stand"),
        ("anonymous_formula", "AA2", "each letter"),
        ("anonymous_formula", "*", "AB2"),
        ("anonymous_formula", "B2A3X", "write A, B, C"),
        ("anonymous_formula", "NaCl", "write A, B"),
        ("protostructure", "zzz", "A2B_tP6_136_f_a:O-Ti"),
        ("protostructure", "A2B_tP6", "A2B_tP6*"),
        ("protostructure", "*", "A2B_tP6*"),
        ("reduced_formula", "O,,Si", "names nothing before, between or behind its commas"),
        ("elements", "O,,Si", "names nothing before, between"),
        ("elements", "", "names nothing"),
        ("elements_only", "-", "Si,O"),
        ("space_group", "225,", "names nothing before, between"),
        ("source", [""], "no text to look for"),
        ("space_group", "231", "1 to 230"),
        ("space_group", "Fm3x", "225 or Fm-3m"),
        ("crystal_system", "round", "hexagonal"),
        ("density_g_per_cm3", "4:3", "begins at 4"),
        ("density_g_per_cm3", ":", "at least one end"),
        ("density_g_per_cm3", "heavy:", "valid number"),
        ("density_g_per_cm3", "nan:", "finite"),
        ("density_g_per_cm3", "1:inf", "finite"),
        ("number_of_sites", "1.5:", "valid integer"),
        ("number_of_periodic_dimensions", "tube", "slab"),
        ("symprec_a", 0.5, "0.01"),
        ("id_prefix", "xyz", "pattern"),
        ("colour", "red", "not permitted"),
    ],
)
def test_what_cannot_be_meant_is_said(field: str, written: Any, said: str) -> None:
    with pytest.raises(ValidationError) as refused:
        Query(**{field: written})
    assert said in str(refused.value)


amounts = st.dictionaries(
    st.sampled_from(sorted(ELEMENTS)), st.integers(1, 40), min_size=1, max_size=6
)


@given(amounts, st.randoms(use_true_random=False))
def test_a_formula_in_any_order_is_its_reduced_one(
    composition: dict[str, int], chance: Any
) -> None:
    parts = list(composition.items())
    chance.shuffle(parts)
    text = "".join(f"{element}{n}" for element, n in parts)
    assert read_formula(text).reduced == formula.reduced(composition)
    assert read_formula(f"({text})3").reduced == formula.reduced(composition)


@given(amounts, st.lists(st.integers(1, 40), min_size=1, max_size=3))
def test_unnamed_elements_are_part_of_the_anonymous_formula(
    composition: dict[str, int], others: list[int]
) -> None:
    text = "".join([f"{e}{n}" for e, n in composition.items()] + [f"*{n}" for n in others])
    read = read_formula(text)
    everything = {**composition, **{f"*{place}": n for place, n in enumerate(others)}}
    assert read.anonymous == formula.anonymous(everything)
    assert set(read.amounts) == set(composition)


def test_any_amount_is_none() -> None:
    assert read_formula("Fe?O4") == Formula({"Fe": None, "O": 4})


@pytest.mark.parametrize(
    "label", ["A2B_tP6_136_f_a:O-Ti", "AB3C_oP20_62_c_cd_a:(Fe,Mg)-O-Si", "A_hR2_166_c:Bi"]
)
def test_a_label_and_each_of_its_beginnings_is_a_protostructure(label: str) -> None:
    beginnings = [f"{label[:n]}*" for n in range(1, len(label))]
    for written in (label, label.partition(":")[0], *beginnings):
        assert Query(protostructure=[written]).protostructure == (written,)
    assert Query(protostructure=f"{label},A*").protostructure == (label, "A*")


@given(st.text(max_size=12))
def test_no_text_is_an_error_of_another_kind(text: str) -> None:
    for field in Query.model_fields:
        try:
            Query(**{field: text})
        except ValidationError:
            continue


def test_a_query_of_nothing_says_nothing() -> None:
    assert Query().given() == {}
    assert Query(elements="O", is_ordered=False).given() == {"elements": ["O"], "is_ordered": False}


@pytest.mark.parametrize("column", SORTABLE)
def test_a_sort_is_read_as_it_is_written(column: str) -> None:
    for sort in (Sort(column), Sort(column, descending=True)):
        assert Sort.read(str(sort)) == sort


@pytest.mark.parametrize("text", ["colour", "id:down", ""])
def test_a_wrong_sort_is_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"neither|no column"):
        Sort.read(text)
