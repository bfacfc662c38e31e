"""The hull is what linear programming finds, whatever the entries; pymatgen agrees."""

import json
from itertools import combinations
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.optimize import linprog

from nanoos.errors import ReferencesMissing, ThermodynamicsError
from nanoos.thermodynamics import Entry, convex_hull

ELEMENTS = ("Al", "Cu", "Fe", "O")
BY_PYMATGEN = json.loads((Path(__file__).parent / "by_pymatgen.json").read_text())


@st.composite
def systems(draw, most_elements: int = 4, most_entries: int = 14) -> list[Entry]:
    """Elements and compounds of them; small whole numbers, so that many coincide or are flat."""
    elements = ELEMENTS[: draw(st.integers(1, most_elements))]
    energies = st.integers(-40, 20).map(lambda n: n / 16) | st.floats(-9, 9, width=32)
    pure = [Entry({e: draw(st.integers(1, 4))}, draw(energies)) for e in elements]
    amounts = st.tuples(*(st.integers(0, 4) for _ in elements)).filter(any)
    others = st.builds(
        lambda numbers, energy: Entry(dict(zip(elements, numbers, strict=True)), energy),
        amounts,
        energies,
    )
    return draw(st.permutations(pure + draw(st.lists(others, max_size=most_entries))))


def least_mixture_ev(hull, energies, i) -> float:
    """The lowest energy per atom of any mixture of all entries with the composition of one."""
    found = linprog(energies, A_eq=hull.fractions.T, b_eq=hull.fractions[i], method="highs")
    return found.fun


@settings(max_examples=30)
@given(systems())
def test_energies_above_the_hull_are_those_of_linear_programming(entries):
    hull = convex_hull(entries)
    energies = np.array([entry.energy_ev_per_atom for entry in entries])
    for i, above in enumerate(hull.above_hull_ev_per_atom):
        assert above == pytest.approx(energies[i] - least_mixture_ev(hull, energies, i), abs=2e-7)


@settings(max_examples=30)
@given(systems())
def test_decompositions_are_stable_and_keep_atoms_and_energy(entries):
    hull = convex_hull(entries)
    assert (hull.above_hull_ev_per_atom >= 0).all()
    assert hull.is_stable[hull.references].all()
    assert hull.formation_ev_per_atom[hull.references] == pytest.approx(0, abs=1e-12)
    assert hull.is_stable[hull.facets].all()
    for i, decomposition in enumerate(hull.decompositions):
        members, shares = list(decomposition), np.array(list(decomposition.values()))
        assert hull.is_stable[members].all()
        assert shares.sum() == pytest.approx(1)
        assert (shares > 0).all()
        assert shares @ hull.fractions[members] == pytest.approx(hull.fractions[i], abs=1e-7)
        gained = hull.formation_ev_per_atom[i] - shares @ hull.formation_ev_per_atom[members]
        assert gained == pytest.approx(hull.above_hull_ev_per_atom[i], abs=1e-6)


@settings(max_examples=30)
@given(systems(), st.randoms(use_true_random=False))
def test_order_and_size_of_the_cell_do_not_matter(entries, random):
    order = random.sample(range(len(entries)), len(entries))
    factors = [random.randint(1, 9) for _ in entries]
    moved = [
        Entry(
            {e: n * factors[i] for e, n in entries[i].composition.items()},
            entries[i].energy_ev_per_atom,
        )
        for i in order
    ]
    expected = convex_hull(entries).above_hull_ev_per_atom[order]
    assert convex_hull(moved).above_hull_ev_per_atom == pytest.approx(expected, abs=1e-8)


@settings(max_examples=30)
@given(systems(), st.dictionaries(st.sampled_from(ELEMENTS), st.floats(-5, 5)))
def test_the_zero_of_each_elements_energy_does_not_matter(entries, shift_ev):
    shifted = []
    for entry in entries:
        n_atoms = sum(entry.composition.values())
        shift = sum(shift_ev.get(e, 0) * n / n_atoms for e, n in entry.composition.items())
        shifted.append(Entry(entry.composition, entry.energy_ev_per_atom + shift))
    first, second = convex_hull(entries), convex_hull(shifted)
    for name in ("formation_ev_per_atom", "above_hull_ev_per_atom"):
        assert getattr(second, name) == pytest.approx(getattr(first, name), abs=1e-7)


@settings(max_examples=30)
@given(systems(), st.floats(1e-3, 5), st.integers(0, 100))
def test_an_unstable_entry_more_changes_nothing(entries, above_ev, which):
    before = convex_hull(entries)
    i = which % len(entries)
    on_hull = entries[i].energy_ev_per_atom - before.above_hull_ev_per_atom[i]
    after = convex_hull([*entries, Entry(entries[i].composition, on_hull + above_ev)])
    assert after.above_hull_ev_per_atom[:-1] == pytest.approx(
        before.above_hull_ev_per_atom, abs=1e-8
    )
    assert after.above_hull_ev_per_atom[-1] == pytest.approx(above_ev, abs=1e-7)


@settings(max_examples=30)
@given(systems(most_elements=3))
def test_an_entry_keeps_its_place_in_a_larger_system(entries):
    """What is stable in a system is so in one with an element more, and the other way round."""
    larger = [*entries, Entry({"Zr": 1}, -3.0), Entry({"Zr": 1, "Al": 1}, -20.0)]
    assert convex_hull(larger).above_hull_ev_per_atom[:-2] == pytest.approx(
        convex_hull(entries).above_hull_ev_per_atom, abs=1e-7
    )


def test_what_lies_on_a_line_of_the_hull_is_stable_though_no_corner():
    entries = [Entry({"Al": n, "Fe": 4 - n}, -n * (4 - n) / 16 if n != 2 else 0) for n in range(5)]
    between = [*entries, Entry({"Al": 1, "Fe": 1}, -3 / 16)]
    hull = convex_hull(between)
    assert hull.is_stable.tolist() == [True, True, False, True, True, True]
    assert hull.decompositions[2].keys() <= {1, 3, 5}
    assert hull.above_hull_ev_per_atom[2] == pytest.approx(3 / 16)


def test_facets_cover_a_ternary_system_once():
    numbers = [(a, b, 6 - a - b) for a in range(7) for b in range(7 - a)]
    entries = [
        Entry(dict(zip("ABC", n, strict=True)), sum((k / 6) ** 2 for k in n)) for n in numbers
    ]
    hull = convex_hull(entries)
    assert hull.is_stable.all()
    assert np.abs(np.linalg.det(hull.fractions[hull.facets])).sum() == pytest.approx(1)


@pytest.mark.parametrize("system", BY_PYMATGEN["systems"], ids=lambda system: system["name"])
def test_pymatgen_finds_the_same(system):
    hull = convex_hull(list(map(Entry, system["compositions"], system["energy_ev_per_atom"])))
    for name in ("formation_ev_per_atom", "above_hull_ev_per_atom"):
        assert getattr(hull, name) == pytest.approx(system[name], abs=1e-6)


@pytest.mark.parametrize("n_elements", [1, 5, 7])
def test_elements_alone_are_stable(n_elements):
    entries = [Entry({f"E{i}": i + 1}, -i) for i in range(n_elements)]
    hull = convex_hull(entries)
    assert hull.is_stable.all()
    assert hull.decompositions == tuple({i: 1.0} for i in range(n_elements))


def test_missing_references_are_named():
    entries = [Entry({"Al": 1, "O": 1}, -5), Entry({"Al": 3}, -3.5), Entry({"Fe": 1, "O": 1}, -6)]
    with pytest.raises(ReferencesMissing, match="none of Fe, O") as raised:
        convex_hull(entries)
    assert raised.value.elements == ("Fe", "O")


@pytest.mark.parametrize(
    "entries",
    [
        [],
        [Entry({"Al": 1}, float("nan"))],
        [Entry({"Al": 1}, -3), Entry({"Al": 0}, -3)],
        [Entry({"Al": 1}, -3), Entry({"Al": 2, "O": -1}, -3)],
    ],
)
def test_what_is_no_entry_is_refused(entries):
    with pytest.raises(ThermodynamicsError, match=r"no entry|Entry \d has no"):
        convex_hull(entries)


@pytest.mark.parametrize("n_elements", [5, 6])
def test_many_elements(n_elements):
    elements = [f"E{i}" for i in range(n_elements)]
    entries = [Entry({e: 1}, 0.0) for e in elements]
    entries += [Entry({a: 1, b: 1}, -1.0) for a, b in combinations(elements, 2)]
    hull = convex_hull([*entries, Entry(dict.fromkeys(elements, 1), -0.5)])
    assert hull.above_hull_ev_per_atom[-1] == pytest.approx(0.5)
