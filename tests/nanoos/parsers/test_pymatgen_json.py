"""JSON that pymatgen wrote (tests/fixtures/formats/make_pymatgen.py), and the same broken."""

import json
from pathlib import Path

import numpy as np
import pytest

from nanoos.errors import ParseError
from nanoos.parsers import Parsed, Rejected, Source, read, read_source
from nanoos.structures import space_group

ROOT = Path(__file__).parents[3]
FILES = ROOT / "tests" / "fixtures" / "formats" / "pymatgen"
CRYSTALS = ROOT / "examples" / "crystals"


def document(name="quartz_0006362.json"):
    return json.loads((FILES / name).read_text())


def found(value, text=None):
    """Return the structures and the errors of a JSON document."""
    source = Source.of_text(json.dumps(value) if text is None else text, "x.json")
    every = list(read_source(source))
    return (
        [one for one in every if isinstance(one, Parsed)],
        [str(one.error) for one in every if isinstance(one, Rejected)],
    )


def environment(structure):
    """Return composition and, for each site, its 12 shortest distances to others, sorted."""
    shifts = np.stack(np.meshgrid(*[range(-2, 3)] * 3), -1).reshape(-1, 3) @ structure.lattice_a
    positions = structure.positions_a
    offsets = positions[:, None, None] - positions[None, :, None] - shifts
    distances = np.sort(np.linalg.norm(offsets, axis=3).reshape(len(positions), -1), axis=1)
    return structure.composition, np.sort(distances[:, 1:13], axis=0)


@pytest.mark.parametrize("name", ["quartz_0006362", "fluorite_0011683", "dolomite_0000905"])
def test_pymatgen_and_our_reader_of_cif_see_the_same_crystal(name):
    (ours,), (theirs,) = read(CRYSTALS / f"{name}.cif"), read(FILES / f"{name}.json")
    assert theirs.source_format == "pymatgen"
    assert theirs.structure.volume_a3 == pytest.approx(ours.structure.volume_a3, abs=1e-3)
    composition, distances = environment(theirs.structure)
    expected, expected_distances = environment(ours.structure)
    assert composition == pytest.approx(expected)
    np.testing.assert_allclose(distances, expected_distances, atol=1e-3)
    assert theirs.structure.is_ordered == ours.structure.is_ordered
    assert space_group(theirs.structure, 0.01).number == space_group(ours.structure, 0.01).number


def test_occupancies_are_kept():
    (parsed,) = read(FILES / "dolomite_0000905.json")
    shared = [species for species in parsed.structure.species if not species.is_ordered]
    assert {tuple(s.occupancy) for s in shared} == {("Ca", "Mg")}
    assert parsed.extra["disorder"] == ["mixed occupancy"]
    assert sorted(s.occupancy["Ca"] for s in shared) == pytest.approx([0.076, 0.926])


def test_what_is_said_of_sites_is_kept():
    (parsed,) = read(FILES / "fluorite_0011683.json")
    assert parsed.extra["site_properties"] == {"magmom": [0.0] * 4 + [0.5] * 8}
    assert parsed.extra["oxidation_states"] == [{"Ca": 2}] * 4 + [{"F": -1}] * 8
    assert parsed.structure.symbols == ["Ca"] * 4 + ["F"] * 8


def test_slab_and_molecule_keep_the_directions_that_repeat():
    (slab,), (molecule,) = read(FILES / "copper_slab.json"), read(FILES / "methyl.json")
    assert slab.structure.periodic == (True, True, False)
    assert molecule.structure.lattice_a is None
    assert molecule.structure.symbols == ["C", "H", "H", "H"]


def test_entries_come_one_by_one_with_id_and_energy():
    quartz, fluorite = read(FILES / "entries.json")
    assert (quartz.name, fluorite.name) == ("quartz-1", "fluorite-1")
    assert (quartz.place, fluorite.place) == (1, 2)
    assert quartz.extra["calculation"] == {"energy_ev": document("entries.json")[0]["energy"]}
    assert quartz.extra["data"] == {"source": "AMCSD"}
    assert json.loads(quartz.source_text) == document("entries.json")[0]


def test_one_structure_a_line_and_one_that_has_none():
    parsed, errors = found(None, (FILES / "entries.jsonl").read_text())
    assert [one.name for one in parsed] == ["copper-1", "fluorite-2"]
    assert [one.place for one in parsed] == [1, 3]
    assert errors == ["An object of class ComputedEntry has no structure."]


def test_broken_line_is_told_and_the_others_are_read():
    lines = (FILES / "entries.jsonl").read_text().splitlines()
    every = list(read_source(Source.of_text("\n".join([lines[0], lines[1][:-9], lines[2]]))))
    assert [type(one) for one in every] == [Parsed, Rejected, Parsed]
    assert every[1].error.line == 2
    assert "JSON is broken" in str(every[1].error)


def test_structures_are_found_however_they_are_nested():
    quartz, methyl = document(), document("methyl.json")
    nested = {"runs": {"a": [quartz], "b": {"initial": methyl, "steps": 7}}, "by": "me"}
    parsed, errors = found(nested)
    assert [one.structure.n_sites for one in parsed] == [9, 4]
    assert not errors
    quartz["sites"][0]["abc"] = [0, 0]
    assert found(nested)[1][0].startswith("runs.a[0]: The fractional coordinates")


def site(**changes):
    return {"sites": [document()["sites"][0] | changes]}


def lattice(**changes):
    return {"lattice": document()["lattice"] | changes}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"sites": []}, "at least one site"),
        ({"sites": [7]}, "A site is no object"),
        (site(abc=None), "fractional coordinates (abc) are not lists of numbers"),
        (site(abc=[0, "0", 0]), "not lists of numbers"),
        (site(species=[]), "holds no element"),
        (site(species=[{"element": "Si"}]), "lacks its element or its occupancy"),
        (site(species=[{"element": "Xx", "occu": 1}]), "Xx is no known element"),
        (site(species=[{"element": "Si", "occu": 1.3}]), "not within 0..1"),
        (site(species=[{"element": "Si", "occu": -0.3}]), "not within 0..1"),
        (site(species=[{"element": "Si", "occu": 10**400}]), "occupancy of Si is no finite"),
        (site(species=7), "holds no element"),
        (
            site(species=[{"element": "Si", "occu": 0.8}, {"element": "C", "occu": 0.8}]),
            "occupancies add up to 1.6",
        ),
        ({"lattice": 5}, "lattice is no object"),
        (lattice(matrix=None), "lattice vectors are missing"),
        (lattice(matrix=[[1, 0, 0], [0, 1, 0]]), "should be 3 × 3 numbers, not 2 × 3"),
        (lattice(matrix=[[0, 0, 0]] * 3), "The cell is flat"),
        (lattice(pbc="TTT"), "Which directions repeat"),
    ],
)
def test_what_is_wrong_is_said(changes, message):
    parsed, errors = found(document() | changes)
    assert not parsed
    assert message in errors[0]


def test_number_beyond_any_float_is_refused():
    _, errors = found(None, json.dumps(document()).replace("0.4697", "1e400"))
    assert errors == ["The fractional coordinates (abc) contain a number that is not finite."]


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ('{"@module": "pymatgen.core.structure", "sites": [', "JSON is broken"),
        ('{"@module": "pymatgen.core.structure", "sites": [NaN]}', "NaN is no JSON number"),
        ('{"@module": "pymatgen.core.structure", "x": ' + "[" * 5000 + "]" * 5000 + "}", "nested"),
        ('{"@module": "pymatgen.core.structure", "x": ' + "1" * 5000 + "}", "cannot be read"),
        ('{"@module": "pymatgen.core.structure", "x": {}}', "holds no structure"),
        ('{"@module": "pymatgen.core.structure"}\n7\n"x"\n', "holds no structure"),
        ('{"@module": "pymatgen", "x": [' + "[]," * 600_000 + "0]}", "no structures"),
    ],
)
def test_hostile_json_is_refused(text, message):
    with pytest.raises(ParseError, match=message):
        found(None, text)


def test_json_that_would_fill_the_memory_is_refused():
    text = '{"@module": "pymatgen.core.structure", "x": [' + "[]," * 9_000_000 + "0]}"
    with pytest.raises(ParseError, match="too many values"):
        found(None, text)


def test_text_that_the_database_refuses_is_cleaned():
    value = document("methyl.json") | {"properties": {"a\0b": "c\0d", "e": "\ud800"}}
    (parsed,), _ = found(value)
    assert parsed.extra["properties"] == {"ab": "cd", "e": "?"}
