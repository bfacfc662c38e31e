"""Pictures of hulls name what is stable, and lines are those of the hull."""

from xml.etree import ElementTree

import numpy as np
import pytest

from nanoos.draw import hull_svg
from nanoos.errors import ThermodynamicsError
from nanoos.thermodynamics import Entry, convex_hull

ALLOYS = {
    "Al": (Entry({"Al": 1}, -3.7), 0.0),
    "Cu": (Entry({"Cu": 4}, -3.7), 0.0),
    "Al2Cu": (Entry({"Al": 2, "Cu": 1}, -3.9), 0.0),
    "AlCu": (Entry({"Al": 1, "Cu": 1}, -3.8), 0.05),
}
"""By name: the entry, and its energy above the hull in eV per atom."""


def words(svg: str) -> list[str]:
    return ["".join(text.itertext()) for text in ElementTree.fromstring(svg).iter() if text.text]


def test_two_elements():
    hull = convex_hull([entry for entry, _ in ALLOYS.values()])
    assert hull.above_hull_ev_per_atom == pytest.approx([above for _, above in ALLOYS.values()])
    svg = hull_svg(hull, list(ALLOYS), "Al & <Cu>")
    assert {"Al & <Cu>", "Al", "Cu", "Al₂Cu", "AlCu +50"} <= set(words(svg))
    assert "Formation energy (eV/atom)" in words(svg)
    assert svg == hull_svg(hull, list(ALLOYS), "Al & <Cu>")
    assert len(svg) < 40_000


def test_what_does_not_form_is_seen_and_what_is_too_high_is_counted():
    energies = {"Al": 0.0, "Cu": 0.0, "AlCu": 0.2, "AlCu3": 1.5}
    compositions = [{"Al": 1}, {"Cu": 1}, {"Al": 1, "Cu": 1}, {"Al": 1, "Cu": 3}]
    hull = convex_hull(list(map(Entry, compositions, energies.values())))
    found = words(hull_svg(hull, list(energies), "title"))
    assert "AlCu +200" in found
    assert "AlCu₃ +1500" not in found
    assert "unstable, + meV/atom above the hull (1 higher not shown)" in found


def test_three_elements():
    named = {name: entry for name, (entry, _) in ALLOYS.items()}
    named |= {"Ni": Entry({"Ni": 1}, -5.0), "AlCuNi": Entry({"Al": 1, "Cu": 1, "Ni": 1}, -6.0)}
    hull = convex_hull(list(named.values()))
    found = words(hull_svg(hull, list(named), "Al-Cu-Ni"))
    assert {"Al", "Cu", "Ni", "Al₂Cu", "AlCuNi", "AlCu +50"} <= set(found)


def test_every_stable_entry_is_named_though_they_are_crowded():
    shares = [0, 0.5, 0.51, 0.52, 0.53, 0.54, 0.55, 0.56, 1]
    entries = [Entry({"Al": 1 - x, "Cu": x}, (x - 0.5) ** 2 / 3 - x * (1 - x)) for x in shares]
    hull = convex_hull(entries)
    names = [f"A{chr(97 + i)}" for i in range(len(shares))]
    assert hull.is_stable.all()
    assert set(names) <= set(words(hull_svg(hull, names, "crowded")))


@pytest.mark.parametrize("n_elements", [1, 4])
def test_other_numbers_of_elements_are_refused(n_elements):
    hull = convex_hull([Entry({f"E{i}": 1}, 0) for i in range(n_elements)])
    with pytest.raises(ThermodynamicsError, match="choose two or three"):
        hull_svg(hull, np.array(hull.elements), "title")
