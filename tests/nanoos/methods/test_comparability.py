"""Methods: one canonical document each, and which of them may be compared."""

from __future__ import annotations

import json
from dataclasses import fields, replace
from itertools import combinations
from math import inf, nan
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoos.canonical import canonical_json
from nanoos.errors import MethodError
from nanoos.methods import (
    Method,
    Potential,
    comparable,
    comparable_groups,
    differences,
    document,
    functional_name,
    level,
    of_document,
    sha256,
)

FE = Potential("Fe", "PAW_PBE Fe 06Sep2000", "a" * 64)
OX = Potential("O", "PAW_PBE O 08Apr2002")
FE_PV = Potential("Fe", "PAW_PBE Fe_pv 02Aug2007", "b" * 64)
PBE = Method(
    code="VASP",
    code_version="6.4.2",
    functional="PBE",
    potentials=(FE, OX),
    cutoff_ev=520.0,
    k_spacing_per_a=0.22,
    smearing="gaussian",
    smearing_width_ev=0.05,
    spin="collinear",
    further={"LASPH": True},
)
WITH_U = replace(PBE, hubbard_ev={"Fe d": 5.3})
OXYGEN = replace(PBE, potentials=(OX,), k_spacing_per_a=None)
IRON = replace(PBE, potentials=(FE,))


def maybe(*values: Any) -> st.SearchStrategy[Any]:
    return st.sampled_from([None, *values])


methods = st.builds(
    Method,
    code=st.sampled_from(["VASP", "Quantum ESPRESSO"]),
    code_version=maybe("6.4.2", " 6.4.2 "),
    functional=maybe("PBE", "gga-pbe", "PBEsol"),
    dispersion=maybe("D3(BJ)"),
    hubbard_ev=st.dictionaries(
        st.sampled_from(["Fe d", "Fe p", "O p"]), st.sampled_from([0.0, 4.0, 5.3]), max_size=2
    ),
    potentials=st.lists(
        st.builds(
            Potential,
            element=st.sampled_from(["Fe", "O", "Mg"]),
            title=st.sampled_from(["A", "B", " B"]),
            sha256=maybe("a" * 64, "A" * 64, "b" * 64),
        ),
        max_size=3,
    ).map(tuple),
    cutoff_ev=maybe(520, 520.0, 520.0000001, 521.0, 600.0),
    density_cutoff_ev=maybe(2080.0, 2600.0),
    k_spacing_per_a=maybe(0.2, 0.2004, 0.45, 0.6, 0.7, 0.9),
    smearing=maybe("fixed", "gaussian", "fermi-dirac"),
    smearing_width_ev=maybe(0.05, 0.15, 0.4),
    spin=maybe("none", "collinear", "noncollinear"),
    spin_orbit=maybe(True, False),
    relativistic=maybe("scalar", "full"),
    further=st.dictionaries(
        st.sampled_from(["LASPH", "PREC"]), maybe(True, "Accurate", 1, 1.0, ""), max_size=2
    ),
)
NAMES = [field.name for field in fields(Method)]


def changed(one: Method, other: Method, names: set[str]) -> tuple[Method, Method]:
    return one, replace(one, **{name: getattr(other, name) for name in names})


pairs = st.builds(
    changed, methods, methods, st.sets(st.sampled_from(NAMES), max_size=2) | st.just(set(NAMES))
)
"""Two methods that differ in little, or in all."""


@given(pairs)
def test_one_hash_one_document_and_no_difference(pair: tuple[Method, Method]) -> None:
    one, other = pair
    same = canonical_json(document(one)) == canonical_json(document(other))
    assert (sha256(one) == sha256(other)) == same
    assert (level(one, other) == "exact") == same == (not differences(one, other))


@given(methods)
def test_a_document_tells_the_method(method: Method) -> None:
    told = json.loads(json.dumps(document(method)))
    assert document(of_document(told)) == told == document(method)
    assert level(method, of_document(told)) == "exact"


@given(methods, st.randoms())
def test_the_order_of_potentials_means_nothing(method: Method, random: Any) -> None:
    shuffled = list(method.potentials) * 2
    random.shuffle(shuffled)
    assert sha256(replace(method, potentials=tuple(shuffled))) == sha256(method)


@given(pairs)
def test_comparing_is_symmetric_and_reflexive(pair: tuple[Method, Method]) -> None:
    one, other = pair
    there, back = differences(one, other), differences(other, one)
    assert [(d.what, d.breaks, d.one, d.other, d.reason) for d in there] == [
        (d.what, d.breaks, d.other, d.one, d.reason) for d in back
    ]
    assert comparable(one, one)
    assert comparable(one, other) == comparable(other, one)


@settings(max_examples=50)
@given(st.lists(methods, max_size=5))
def test_groups_are_comparable_whole_and_cannot_grow(some: list[Method]) -> None:
    groups = comparable_groups(some)
    assert {place for group in groups for place in group} == set(range(len(some)))
    assert len({tuple(group) for group in groups}) == len(groups)
    for group in groups:
        assert all(comparable(some[a], some[b]) for a, b in combinations(group, 2))
        outside = set(range(len(some))) - set(group)
        assert not any(all(comparable(some[x], some[p]) for p in group) for x in outside)


def test_elements_are_compared_where_both_have_them() -> None:
    oxide = replace(PBE, k_spacing_per_a=0.31)
    assert level(oxide, IRON) == level(oxide, OXYGEN) == level(IRON, OXYGEN) == "comparable"
    assert level(WITH_U, OXYGEN) == "comparable"
    assert level(WITH_U, IRON) is None
    assert comparable_groups([oxide, WITH_U, OXYGEN, IRON]) == [[0, 2, 3], [1, 2]]


def test_many_methods_are_grouped_as_few_are() -> None:
    """What they say of an element is compared once, not in each pair of a thousand."""
    elements = ("Fe", "O", "Mg", "Al", "Si", "Ti", "Ni", "Cu", "Zn", "Ga")
    many = [
        replace(
            PBE,
            potentials=tuple(Potential(e, f"PAW_PBE {e}") for e in some),
            k_spacing_per_a=0.2 + n / 100,
            hubbard_ev={"Ni d": 6.2} if "Ni" in some and n == 1 else {},
        )
        for some in combinations(elements, 3)
        for n in range(8)
    ]
    groups = comparable_groups(many)
    assert len(groups) == 2
    with_u = {place for place, method in enumerate(many) if method.hubbard_ev}
    assert with_u <= set(groups[1])
    assert not with_u & set(groups[0])


BROKEN = {
    "another potential": (replace(PBE, potentials=(FE_PV, OX)), "same functional"),
    "potentials not said": (replace(PBE, potentials=()), "same functional"),
    "another program": (replace(PBE, code="GPAW"), "same functional"),
    "another cutoff": (replace(PBE, cutoff_ev=400.0), "same functional"),
    "no cutoff said": (replace(PBE, cutoff_ev=None), "same functional"),
    "few k-points": (replace(PBE, k_spacing_per_a=0.7), "same functional"),
    "much smearing": (replace(PBE, smearing_width_ev=0.5), "same functional"),
    "spin-orbit coupling": (replace(PBE, spin_orbit=True), "same functional"),
    "another setting": (replace(PBE, further={"LASPH": False}), "same functional"),
    "another functional": (replace(PBE, functional="PBEsol"), None),
    "dispersion": (replace(PBE, dispersion="D3(BJ)"), None),
    "U": (WITH_U, None),
    "another version": (replace(PBE, code_version="5.4.4"), "comparable"),
    "no spin": (replace(PBE, spin="none"), "comparable"),
    "tetrahedra": (replace(PBE, smearing="tetrahedron"), "comparable"),
    "more k-points": (replace(PBE, k_spacing_per_a=0.11), "comparable"),
    "a hash more": (replace(PBE, potentials=(FE, replace(OX, sha256="c" * 64))), "comparable"),
    "Ry to eV": (replace(PBE, cutoff_ev=520.000004), "exact"),
}


@pytest.mark.parametrize("case", BROKEN)
def test_what_a_difference_breaks(case: str) -> None:
    other, shared = BROKEN[case]
    assert level(PBE, other) == shared


@pytest.mark.parametrize(
    ("code", "smearing", "width_ev", "shared"),
    [
        ("VASP", "gaussian", 0.2, "comparable"),
        ("Quantum ESPRESSO", "gaussian", 0.2, "same functional"),
        ("Quantum ESPRESSO", "gaussian", 0.03, "comparable"),
        ("CP2K", "fermi-dirac", 0.05, "same functional"),
        ("Quantum ESPRESSO", "cold", 0.2, "comparable"),
    ],
)
def test_a_width_counts_where_the_program_does_not_extrapolate(
    code: str, smearing: str, width_ev: float, shared: str
) -> None:
    fixed = replace(PBE, code=code, smearing="fixed", smearing_width_ev=None)
    wide = replace(fixed, smearing=smearing, smearing_width_ev=width_ev)
    assert level(fixed, wide) == shared
    assert level(wide, wide) == "exact"


@pytest.mark.parametrize(
    ("said", "kept"),
    [
        ("pair_coeff * * /data/pot/Cu_u3.eam Cu", "pair_coeff * * Cu_u3.eam Cu"),
        (
            "pair_coeff * * eam/alloy ../pot/CuNi.eam.alloy",
            "pair_coeff * * eam/alloy CuNi.eam.alloy",
        ),
        ("models/best.model", "best.model"),
        (r"C:\Users\me\best.pth", "best.pth"),
        ("hybrid/overlay lj/cut 1/2", "hybrid/overlay lj/cut 1/2"),
        ("https://example.org/v1/x.json", "https://example.org/v1/x.json"),
    ],
)
def test_a_method_tells_names_of_files_and_no_folders(said: str, kept: str) -> None:
    stated = document(Method(code="LAMMPS", further={"a": [said]}))
    assert stated["further"] == {"a": [kept]}
    assert document(of_document(stated)) == stated


def test_differences_are_said_in_words() -> None:
    other = replace(WITH_U, potentials=(FE_PV, OX), code_version="5.4.4")
    assert [str(difference) for difference in differences(PBE, other)] == [
        "U of Fe (eV): not said and Fe d 5.3 (U shifts the energy of Fe)",
        "potential of Fe: PAW_PBE Fe 06Sep2000 and PAW_PBE Fe_pv 02Aug2007"
        " (Fe counts from another zero)",
        "code_version: 6.4.2 and 5.4.4 (versions of one program are taken to agree)",
    ]


def test_functionals_have_their_usual_names() -> None:
    for written in ("PBE", "PE", "SLA  PW   PBX  PBC", "sla+pw+pbx+pbc", "GGA_X_PBE+GGA_C_PBE"):
        assert functional_name(written) == "PBE"
    assert functional_name("SLA PZ NOGX NOGC") == "LDA"
    assert functional_name("R2SCAN") == "r2SCAN"
    assert functional_name("my own  thing") == "my own thing"


@pytest.mark.parametrize("value", [nan, inf, object(), {"a": [nan]}])
def test_what_json_cannot_hold_is_refused(value: object) -> None:
    with pytest.raises(MethodError):
        document(replace(PBE, further={"x": value}))


def test_what_is_no_document_is_refused() -> None:
    for stated in ({}, {"code": "VASP", "mood": 1}, {"code": "VASP", "potentials": [{"a": 1}]}):
        with pytest.raises(MethodError):
            of_document(stated)


def test_texts_are_what_a_database_holds() -> None:
    odd = replace(PBE, further={"SYSTEM": "a\0b \udce9\n c"})
    assert document(odd)["further"]["SYSTEM"] == "ab ? c"
