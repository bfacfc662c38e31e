from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanoos import plugins
from nanoos.errors import StructureError
from nanoos.parsers import Source, read
from nanoos.structures import Structure, fingerprint
from nanoos.writers import write

FORMATS = ("cif", "poscar", "extxyz", "jsonl")
EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
READ = [parsed for path in sorted(EXAMPLES.iterdir()) for parsed in read(path)]
ORDERED = [parsed for parsed in READ if parsed.structure.is_ordered]
DISORDERED = [parsed for parsed in READ if not parsed.structure.is_ordered]


def parsed_again(structures, format_, extras=()):
    source = Source.of_text(write(structures, format_, extras))
    return list(plugins.get("nanoos.parsers", format_)().parse(source))


@pytest.mark.parametrize("format_", FORMATS)
@pytest.mark.parametrize("example", ORDERED, ids=lambda e: e.name)
def test_round_trip_keeps_the_fingerprint(example, format_):
    (again,) = parsed_again([example.structure], format_, [example.extra])
    assert fingerprint(again.structure) == fingerprint(example.structure)


@pytest.mark.parametrize("example", DISORDERED, ids=lambda e: e.name)
def test_occupancies_are_kept_in_cif_and_refused_elsewhere(example):
    (again,) = parsed_again([example.structure], "cif")
    assert fingerprint(again.structure) == fingerprint(example.structure)
    for format_ in ("poscar", "extxyz"):
        with pytest.raises(StructureError, match="disordered"):
            write([example.structure], format_)


@settings(max_examples=50)
@given(
    hnp.arrays(float, (3, 3), elements=st.floats(-0.9, 0.9)),
    hnp.arrays(float, (2, 3), elements=st.floats(-0.05, 0.05)),
    st.sampled_from(FORMATS),
)
def test_any_cell_and_any_digits_survive(strain, shift, format_):
    lattice = np.diag([4.0, 5.0, 6.0]) + strain
    positions = np.array([[0, 0, 0], [0.5, 0.5, 0.5]]) @ lattice + shift
    structure = Structure.of(lattice, positions, ["Na", "Cl"])
    (again,) = parsed_again([structure], format_)
    np.testing.assert_allclose(again.structure.volume_a3, structure.volume_a3, rtol=1e-12)
    ours, theirs = structure.to_ase(), again.structure.to_ase()
    assert sorted(ours.symbols) == sorted(theirs.symbols)
    distance = ours.get_distance(0, 1, mic=True)
    assert theirs.get_distance(0, 1, mic=True) == pytest.approx(distance, abs=1e-12)


@pytest.mark.parametrize("atoms", [molecule("CH4"), fcc111("Cu", (1, 1, 2), vacuum=4.0)])
def test_what_does_not_repeat_goes_into_extended_xyz_only(atoms):
    structure = Structure.from_ase(atoms)
    (again,) = parsed_again([structure], "extxyz")
    assert fingerprint(again.structure) == fingerprint(structure)
    for format_ in ("cif", "poscar"):
        with pytest.raises(StructureError, match="crystals only"):
            write([structure], format_)


def test_several_structures_in_one_file():
    structures = [Structure.from_ase(bulk(e)) for e in ("Cu", "Ag", "Au")]
    for format_ in ("cif", "extxyz"):
        again = parsed_again(structures, format_)
        assert list(map(fingerprint, (a.structure for a in again))) == list(
            map(fingerprint, structures)
        )
    with pytest.raises(StructureError, match="exactly one"):
        write(structures, "poscar")


def test_citation_survives_whatever_its_letters():
    extra = {
        "mineral": 'Tschermak\'s "mineral"',
        "database": "AMCSD",
        "database_code": "0000123",
        "citation": {"authors": ["O'Neil B", "Å. Ö"], "title": "; a = b # c", "year": 1990},
    }
    copper = Structure.from_ase(bulk("Cu"))
    (from_xyz,) = parsed_again([copper], "extxyz", [extra])
    assert from_xyz.extra == extra
    (from_cif,) = parsed_again([copper], "cif", [extra])
    assert {key: from_cif.extra[key] for key in extra} == extra
    (from_poscar,) = parsed_again([copper], "poscar", [extra])
    assert "AMCSD 0000123" in from_poscar.extra["comment"]


def test_unknown_format_names_the_known_ones():
    with pytest.raises(StructureError, match="cif, poscar, extxyz"):
        write([Structure.from_ase(bulk("Cu"))], "pdb")
