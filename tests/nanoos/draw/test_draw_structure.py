"""Pictures are well-formed, small, the same every time, and show what is there."""

import re
from xml.etree import ElementTree

import pytest
from ase.build import bulk, molecule

from nanoos.draw import structure_svg
from nanoos.structures import Species, Structure

SVG = "{http://www.w3.org/2000/svg}"


def drawn(structure: Structure) -> ElementTree.Element:
    return ElementTree.fromstring(structure_svg(structure))


def balls(picture: ElementTree.Element) -> list[ElementTree.Element]:
    return list(picture.iter(f"{SVG}circle"))


def labels(picture: ElementTree.Element) -> list[str]:
    return [text.text for text in picture.iter(f"{SVG}text")]


def bonds(picture: ElementTree.Element) -> list[ElementTree.Element]:
    return [p for p in picture.iter(f"{SVG}path") if "stroke-width" not in p.attrib]


ROCK_SALT = Structure.from_ase(bulk("NaCl", "rocksalt", a=5.64, cubic=True))


def test_atoms_on_faces_edges_and_corners_are_shown_on_all_of_them():
    """The conventional cell of rock salt: 27 atoms of 8, and one ball a kind in the legend."""
    picture = drawn(ROCK_SALT)
    assert len(balls(picture)) == 27 + 2
    assert labels(picture) == ["Cl", "Na"]
    assert len(bonds(picture)) == 2 * 54


def test_where_the_origin_lies_by_rounding_does_not_matter():
    moved = Structure.of(
        ROCK_SALT.lattice_a, ROCK_SALT.positions_a - 1e-9, ROCK_SALT.species_at_sites
    )
    assert len(balls(drawn(moved))) == len(balls(drawn(ROCK_SALT)))


@pytest.mark.parametrize(
    "structure",
    [
        ROCK_SALT,
        Structure.from_ase(bulk("Cu") * (6, 6, 6)),
        Structure.from_ase(bulk("MgO", "rocksalt", a=4.21, cubic=True) * (2, 2, 2)),
        Structure.from_ase(molecule("C6H6")),
    ],
)
def test_everything_stays_inside_a_small_picture(structure):
    text = structure_svg(structure)
    assert len(text) < 40_000
    picture = ElementTree.fromstring(text)
    _, _, width, height = map(float, picture.attrib["viewBox"].split())
    for ball in picture.findall(f"{SVG}circle"):
        x, y, r = (float(ball.attrib[name]) for name in ("cx", "cy", "r"))
        assert r <= x <= width - r
        assert r <= y <= height - r
    used = set(re.findall(r"url\(#(\w+)\)", text))
    assert used == {g.attrib["id"] for g in picture.iter(f"{SVG}radialGradient")}
    assert structure_svg(structure) == text


def test_a_molecule_has_its_bonds_and_no_cell():
    benzene = drawn(Structure.from_ase(molecule("C6H6")))
    assert len(bonds(benzene)) == 2 * 12
    assert len(list(benzene.iter(f"{SVG}path"))) == 2 * 12


def test_metals_have_no_bonds_but_diamond_has():
    assert bonds(drawn(Structure.from_ase(bulk("Cu", cubic=True)))) == []
    assert len(bonds(drawn(Structure.from_ase(bulk("Si", cubic=True))))) == 2 * 16


def test_a_mixed_site_is_named_by_its_occupancies():
    mixed = Structure(
        lattice_a=ROCK_SALT.lattice_a,
        positions_a=ROCK_SALT.positions_a,
        species=(Species("M", ("Mg", "Fe"), (0.75, 0.25)), Species("O", ("O",), (1.0,))),
        species_at_sites=tuple("M" if s == "Na" else "O" for s in ROCK_SALT.species_at_sites),
    )
    assert labels(drawn(mixed)) == ["Fe 0.25 Mg 0.75", "O"]
