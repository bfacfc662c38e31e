"""OPTIMADE's JSON as the reference server gives it (tests/fixtures/formats/make_optimade.py),
the specification's own examples of disorder, and the same broken."""

import json
from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoos.errors import ParseError
from nanoos.parsers import Parsed, Rejected, Source, read, read_source
from nanoos.structures import Structure, fingerprint, space_group

ROOT = Path(__file__).parents[3]
FILES = ROOT / "tests" / "fixtures" / "formats" / "optimade"
SERVER = ROOT / "tests" / "fixtures" / "optimade_server"
CRYSTALS = ROOT / "examples" / "crystals"


def entry(**changes):
    """Return the recorded entry with some of its attributes changed, and those of a cube."""
    data = json.loads((FILES / "entry.json").read_text())["data"]
    data["attributes"] |= {
        "lattice_vectors": [[4, 0, 0], [0, 4, 0], [0, 0, 4]],
        "cartesian_site_positions": [[0, 0, 0]],
        "species_at_sites": ["Si"],
        "species": [{"name": "Si", "chemical_symbols": ["Si"], "concentration": [1.0]}],
        "nsites": 1,
    }
    data["attributes"] |= changes
    return data


def found(value):
    """Return the structures and the errors of a JSON document."""
    text = value if isinstance(value, str) else json.dumps(value)
    every = list(read_source(Source.of_text(text, "x.json")))
    return (
        [one for one in every if isinstance(one, Parsed)],
        [str(one.error) for one in every if isinstance(one, Rejected)],
    )


def one(**changes):
    parsed, errors = found(entry(**changes))
    assert not errors
    return parsed[0]


def test_the_reference_server_and_our_reader_of_cif_see_the_same_crystals():
    names = []
    for parsed in read(FILES / "entries.jsonl"):
        names.append(parsed.extra["database_code"])
        (ours,) = read(CRYSTALS / f"{names[-1]}.cif")
        assert parsed.source_format == "optimade"
        assert parsed.structure.volume_a3 == pytest.approx(ours.structure.volume_a3, abs=1e-3)
        assert parsed.structure.composition == ours.structure.composition
        number = space_group(parsed.structure, 0.01).number
        assert number == space_group(ours.structure, 0.01).number
    assert len(names) == len(set(names)) == 7


@pytest.mark.parametrize("path", [FILES / "entry.json", FILES / "entries.jsonl"])
def test_where_an_entry_comes_from_is_kept(path):
    quartz = read(path)[0]
    (cif,) = read(CRYSTALS / "quartz_0006362.cif")
    assert quartz.name == "exmpl/quartz_0006362"
    assert quartz.extra["database"] == "exmpl"
    assert quartz.extra["citation"] == cif.extra["citation"]
    assert quartz.extra["_exmpl_density"] == pytest.approx(2.649, abs=1e-3)
    assert quartz.extra["stated_formula"] == "Si3 O6"
    assert json.loads(quartz.source_text)["id"] == "quartz_0006362"
    assert quartz.extra.get("licence") == ("MIT" if path.suffix == ".jsonl" else None)


def test_licence_is_the_choice_of_the_base_info_or_its_link():
    def licence(**attributes):
        info = {"type": "info", "id": "/", "attributes": attributes}
        parsed, _ = found("\n".join(map(json.dumps, [{"x-optimade": {}}, info, entry()])))
        return parsed[0].extra.get("licence")

    both = {"available_licenses": ["CC0-1.0"], "available_licenses_for_entries": ["CC-BY-4.0"]}
    assert licence(**both) == "CC0-1.0 OR CC-BY-4.0"
    assert licence(available_licenses=[], license="https://x.org/l") == "https://x.org/l"
    assert licence(available_licenses=None, license={"href": "https://x.org/m"}) == (
        "https://x.org/m"
    )
    assert licence(license=None) is None


def test_licence_of_a_single_entry_outweighs_that_of_all():
    info = {"type": "info", "id": "/", "attributes": {"available_licenses": ["CC0-1.0"]}}
    lines = [{"x-optimade": {}}, info, entry(_nanoos_license="CC-BY-4.0"), entry()]
    parsed, _ = found("\n".join(map(json.dumps, lines)))
    assert [one.extra["licence"] for one in parsed] == ["CC-BY-4.0", "CC0-1.0"]


@pytest.mark.parametrize(
    "wrap",
    [
        lambda e: {"data": [e], "meta": {"api_version": "1.2.0"}},
        lambda e: {"data": e, "meta": {"api_version": "1.2.0"}},
        lambda e: e,
        lambda e: [e],
    ],
)
def test_response_with_many_or_one_bare_entry_and_list(wrap):
    ((parsed,), errors) = found(wrap(entry()))
    assert parsed.structure.symbols == ["Si"]
    assert not errors


def test_large_page_is_read_in_its_order():
    found_names = [parsed.extra["database_code"] for parsed in read(SERVER / "page_1.json")]
    page = json.loads((SERVER / "page_1.json").read_text())
    assert found_names == [one["id"] for one in page["data"]]


@settings(max_examples=50, deadline=None)
@given(
    numbers=st.lists(st.sampled_from(["H", "O", "Fe", "U"]), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    periodic=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_any_ordered_structure_comes_back(numbers, seed, periodic):
    chance = np.random.default_rng(seed)
    lattice = np.diag([5.0, 6.0, 7.0]) + chance.uniform(-0.5, 0.5, (3, 3))
    positions = (np.arange(len(numbers))[:, None] / len(numbers) * [1, 1, 1]) @ lattice
    parsed = one(
        lattice_vectors=lattice.tolist(),
        cartesian_site_positions=positions.tolist(),
        species_at_sites=[f"site of {symbol}" for symbol in numbers],
        species=[
            {"name": f"site of {symbol}", "chemical_symbols": [symbol], "concentration": [1]}
            for symbol in sorted(set(numbers))
        ],
        dimension_types=[int(direction) for direction in periodic],
    )
    assert parsed.structure.periodic == periodic
    assert fingerprint(parsed.structure) == fingerprint(
        Structure.of(lattice, positions, numbers, periodic)
    )


# Directions


def test_slab_needs_no_third_vector():
    structure = one(
        lattice_vectors=[[4, 0, 0], [0, 4, 0], [None, None, None]], dimension_types=[1, 1, 0]
    ).structure
    assert structure.periodic == (True, True, False)
    assert np.linalg.norm(structure.lattice_a[2]) > 0


def test_molecule_needs_no_lattice():
    structure = one(lattice_vectors=None, dimension_types=[0, 0, 0]).structure
    assert structure.lattice_a is None


def test_number_of_directions_serves_where_it_says_all():
    assert one(dimension_types=None, nperiodic_dimensions=3).structure.periodic == (True,) * 3
    assert one(dimension_types=None, nperiodic_dimensions=0).structure.periodic == (False,) * 3
    _, errors = found(entry(dimension_types=None, nperiodic_dimensions=2))
    assert "does not say which directions repeat" in errors[0]


# Disorder, with the examples of the specification

SIGE = {
    "species": [
        {
            "name": "SiGe-vac",
            "chemical_symbols": ["Si", "Ge", "vacancy"],
            "concentration": [0.3, 0.5, 0.2],
        }
    ],
    "species_at_sites": ["SiGe-vac"],
    "structure_features": ["disorder"],
}
SIGE_IN_GROUPS = {
    "cartesian_site_positions": [[0, 0, 0], [0, 0, 0], [0, 0, 0]],
    "species_at_sites": ["Si", "Ge", "vac"],
    "species": [
        {"name": "Si", "chemical_symbols": ["Si"], "concentration": [1.0]},
        {"name": "Ge", "chemical_symbols": ["Ge"], "concentration": [1.0]},
        {"name": "vac", "chemical_symbols": ["vacancy"], "concentration": [1.0]},
    ],
    "assemblies": [{"sites_in_groups": [[0], [1], [2]], "group_probabilities": [0.3, 0.5, 0.2]}],
    "structure_features": ["assemblies"],
}


def test_virtual_alloy_is_the_same_in_both_of_its_forms():
    alloy, groups = one(**SIGE), one(**SIGE_IN_GROUPS)
    assert not alloy.structure.is_ordered
    assert alloy.structure.composition == pytest.approx({"Ge": 0.5, "Si": 0.3})
    assert fingerprint(alloy.structure) == fingerprint(groups.structure)
    assert groups.extra["assemblies"] == SIGE_IN_GROUPS["assemblies"]
    assert groups.extra["structure_features"] == ["assemblies"]


def test_groups_that_exclude_each_other_become_partly_occupied_sites():
    parsed = one(
        cartesian_site_positions=[[0, 0, 0], [0, 0, 2], [2, 2, 0]],
        species_at_sites=["Si", "Si", "Si"],
        assemblies=[{"sites_in_groups": [[0], [1]], "group_probabilities": [0.3, 0.7]}],
        structure_features=["assemblies"],
    )
    assert parsed.structure.composition == pytest.approx({"Si": 2.0})
    assert [sum(s.occupancy.values()) for s in parsed.structure.site_species] == pytest.approx(
        [0.3, 0.7, 1.0]
    )


def test_split_positions_may_come_as_close_as_they_exclude_each_other():
    parsed = one(
        cartesian_site_positions=[[0, 0, 0], [0, 0, 0.3]],
        species_at_sites=["Si", "Si"],
        assemblies=[{"sites_in_groups": [[0], [1]], "group_probabilities": [0.3, 0.7]}],
    )
    assert parsed.structure.n_sites == 2
    assert parsed.extra["disorder"] == [
        "partial occupancy",
        "split positions",
        "alternative groups",
    ]


def test_vacant_sites_are_no_sites():
    species = [
        {"name": "Si", "chemical_symbols": ["Si"], "concentration": [1.0]},
        {"name": "hole", "chemical_symbols": ["vacancy"], "concentration": [1.0]},
    ]
    parsed = one(
        species=species,
        cartesian_site_positions=[[0, 0, 0], [2, 2, 2]],
        species_at_sites=["Si", "hole"],
    )
    assert parsed.structure.n_sites == 1


def test_masses_do_not_matter_and_deuterium_is_hydrogen():
    species = [{"name": "D2", "chemical_symbols": ["D"], "concentration": [1.0], "mass": [2.014]}]
    assert one(species=species, species_at_sites=["D2"]).structure.symbols == ["H"]


def test_concentrations_rounded_in_print_are_a_whole():
    species = [
        {"name": "x", "chemical_symbols": ["Si", "Ge"], "concentration": [0.33333333, 0.66666666]}
    ]
    (kind,) = one(species=species, species_at_sites=["x"]).structure.species
    assert sum(kind.concentration) == pytest.approx(1.0, abs=1e-12)


CH3 = {
    "name": "CH3",
    "chemical_symbols": ["C"],
    "concentration": [1.0],
    "attached": ["H"],
    "nattached": [3],
}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"species": [CH3], "species_at_sites": ["CH3"]}, "attached to sites"),
        ({"structure_features": ["implicit_atoms"]}, "some of its atoms have no site"),
        ({"site_coordinate_span": "asymmetric_unit"}, "not those of a whole cell"),
        ({"cartesian_site_positions": None}, "cartesian_site_positions is null"),
        ({"cartesian_site_positions": [[0, 0]]}, "should be n × 3 numbers, not 1 × 2"),
        ({"cartesian_site_positions": [["0", 0, 0]]}, "not lists of numbers"),
        ({"cartesian_site_positions": [[0, 0, 0], [2, 2, 2]]}, "2 positions but 1 species"),
        ({"lattice_vectors": [[4, 0, 0], [0, 4, 0], None]}, "has no lattice vector"),
        ({"lattice_vectors": "large"}, "lattice_vectors is no list"),
        ({"dimension_types": [1, 1, 2]}, "which directions repeat"),
        ({"species_at_sites": ["Ge"]}, "species Ge of a site is not among"),
        ({"species_at_sites": [["Si"]]}, "of a site is not among"),
        ({"species": None}, "not among its species"),
        ({"species": ["Si"]}, "species has no name"),
        ({"species": entry()["attributes"]["species"] * 2}, "Two species have the name Si"),
        (
            {"species": [{"name": "Si", "chemical_symbols": ["X"], "concentration": [1]}]},
            "X is no known element",
        ),
        (
            {"species": [{"name": "Si", "chemical_symbols": ["Si"], "concentration": [0.5, 1]}]},
            "not one concentration for each symbol",
        ),
        (
            {"species": [{"name": "Si", "chemical_symbols": ["Si"], "concentration": [2]}]},
            "not within 0..1",
        ),
        ({"assemblies": [{}]}, "no groups"),
        ({"assemblies": [{"sites_in_groups": [[0]]}]}, "probabilities of an assembly are missing"),
        (
            {"assemblies": [{"sites_in_groups": [[1]], "group_probabilities": [1]}]},
            "not there, or twice",
        ),
        (
            {"assemblies": [{"sites_in_groups": [[0], [0]], "group_probabilities": [0.5, 0.5]}]},
            "not there, or twice",
        ),
        ({"structure_features": 7}, "structure_features is no list"),
    ],
)
def test_entry_that_makes_no_sense_is_refused_by_its_id(changes, message):
    parsed, errors = found({"data": [entry(**changes), entry()]})
    assert len(parsed) == 1
    assert errors[0].startswith("Entry quartz_0006362: ")
    assert message in errors[0]


@pytest.mark.parametrize(
    ("value", "message"),
    [
        ({"data": [], "meta": {"api_version": "1.2.0"}}, "holds no structure."),
        ({"data": None, "meta": {"api_version": "1.2.0"}}, "holds no structure."),
        ({"errors": [{"detail": "No x"}], "meta": {"api_version": "1.2.0"}}, "structure: No x."),
        ({"data": [{"type": "references"}], "meta": {"api_version": "1"}}, "holds no structure"),
    ],
)
def test_response_without_structures(value, message):
    with pytest.raises(ParseError, match=message):
        found(value)


def test_broken_line_leaves_the_others_in():
    lines = (FILES / "entries.jsonl").read_text().splitlines()
    lines[4] = lines[4][:200]
    parsed, errors = found("\n".join(lines))
    assert len(parsed) == 6
    assert "JSON is broken" in errors[0]


def test_metadata_of_the_wrong_kind_does_no_harm():
    strange = entry() | {"relationships": {"references": {"data": 5}}, "id": {"a": 1}}
    meta = {"api_version": "1", "provider": {"prefix": ["x"]}}
    parsed, errors = found({"data": [strange], "meta": meta, "errors": 3, "included": [4, None]})
    assert len(parsed) == 1
    assert not errors


def test_ase_and_optimade_agree_on_what_a_crystal_is():
    atoms = bulk("Si")
    parsed = one(
        lattice_vectors=atoms.cell.tolist(),
        cartesian_site_positions=atoms.positions.tolist(),
        species_at_sites=["Si", "Si"],
    )
    assert fingerprint(parsed.structure) == fingerprint(Structure.from_ase(atoms))
