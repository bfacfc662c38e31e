"""Input and output of pw.x: real runs (tests/fixtures/formats/make_espresso.py), files that ASE
writes, and both broken."""

import json
import re
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoos.errors import ParseError
from nanoos.parsers import Parsed, Rejected, Source, read, read_source
from nanoos.parsers.espresso_cell import BOHR_A
from nanoos.structures import fingerprint

FIXTURES = Path(__file__).parents[2] / "fixtures"
INPUTS = FIXTURES / "formats" / "espresso_in"
OUTPUTS = FIXTURES / "formats" / "espresso_out"
CELLS = json.loads((FIXTURES / "espresso_cells.json").read_text())


def found(text, name="run"):
    """Return the structures and the errors of a text."""
    every = list(read_source(Source.of_text(text, name)))
    return (
        [one for one in every if isinstance(one, Parsed)],
        [str(one.error) for one in every if isinstance(one, Rejected)],
    )


def one(text):
    ((parsed,), errors) = found(text)
    assert not errors
    return parsed


# Input


def system(text):
    """Return the lines that make the cell, as a name for a test."""
    return re.search(r"&SYSTEM\n\s*(.*)", text)[1]


@pytest.mark.parametrize("cell", CELLS, ids=lambda cell: system(cell["input"]))
def test_cell_of_each_bravais_lattice_is_that_of_the_program(cell):
    structure = one(cell["input"]).structure
    expected = np.array(cell["axes"]) * cell["alat_bohr"] * BOHR_A
    sign = np.sign(np.linalg.det(expected))  # ours are right-handed
    np.testing.assert_allclose(structure.lattice_a, sign * expected, atol=2e-5)


def test_every_bravais_lattice_is_there():
    seen = {int(re.search(r"ibrav = (-?\d+)", cell["input"])[1]) for cell in CELLS}
    assert seen == {*range(1, 15), -3, -5, -9, 91, -12, -13}


def test_input_and_output_of_a_run_agree():
    for path in INPUTS.iterdir():
        (given,) = read(path)
        first, *_ = read(OUTPUTS / f"{path.stem}.out")
        assert (given.source_format, first.source_format) == ("espresso_in", "espresso_out")
        np.testing.assert_allclose(given.structure.lattice_a, first.structure.lattice_a, atol=1e-5)
        np.testing.assert_allclose(
            given.structure.positions_a, first.structure.positions_a, atol=1e-5
        )
        assert given.structure.symbols == first.structure.symbols == ["Si", "Si"]
        assert given.extra["task"] == path.stem


@settings(max_examples=30, deadline=None)
@given(
    numbers=st.lists(st.integers(1, 103), min_size=1, max_size=5),
    seed=st.integers(0, 2**32 - 1),
    crystal=st.booleans(),
)
def test_any_crystal_that_ase_writes_comes_back(numbers, seed, crystal, tmp_path_factory):
    chance = np.random.default_rng(seed)
    cell = np.diag([5.0, 6.0, 7.0]) + chance.uniform(-0.5, 0.5, (3, 3))
    grid = np.arange(len(numbers))[:, None] / len(numbers)
    atoms = Atoms(numbers, scaled_positions=np.hstack([grid] * 3), cell=cell, pbc=True)
    path = tmp_path_factory.mktemp("any") / "pw.in"
    ase.io.write(
        path,
        atoms,
        format="espresso-in",
        pseudopotentials={symbol: f"{symbol}.upf" for symbol in atoms.symbols},
        crystal_coordinates=crystal,
    )
    (parsed,) = read(path)
    np.testing.assert_allclose(parsed.structure.lattice_a, cell, atol=1e-9)
    np.testing.assert_allclose(parsed.structure.positions_a, atoms.positions, atol=1e-8)
    assert parsed.structure.symbols == list(atoms.symbols)


BY_HAND = """&control
  title='Zinc blende', ! what it is
  outdir = "/scratch/a=b/!c"
/
&SYSTEM ibrav=0, nat=2, ntyp=2,
  A=5.4d0 ! in Angstrom
  assume_isolated='2D' ecutwfc=30 /
&ELECTRONS
/
ATOMIC_SPECIES
 Zn 65.38 Zn.upf
 S1 32.06 S.upf

ATOMIC_POSITIONS (crystal)
! the metal first
Zn 0 0 0   0 0 0
S1 1/4 sqrt(1/16) (1+1)*2^(-3)
CELL_PARAMETERS {alat}
# face-centred
0.0 0.5 0.5
0.5 0.0 0.5
0.5 0.5 0.0
K_POINTS automatic
 2 2 2 0 0 0
"""


def test_what_people_write():
    parsed = one(BY_HAND)
    assert parsed.name == "Zinc blende"
    assert parsed.structure.symbols == ["Zn", "S"]
    assert parsed.structure.volume_a3 == pytest.approx(5.4**3 / 4)
    np.testing.assert_allclose(parsed.structure.fractional, [[0, 0, 0], [0.25] * 3], atol=1e-12)
    assert parsed.structure.periodic == (True, True, True)
    assert parsed.extra == {"assume_isolated": "2D"}


@pytest.mark.parametrize(
    ("unit", "length"), [("alat", 5.4), ("bohr", BOHR_A), ("angstrom", 1.0), ("", 5.4)]
)
def test_units_of_positions(unit, length):
    text = BY_HAND.replace("(crystal)", f"{{{unit}}}" if unit else "")
    ours = one(text.replace("S1 1/4 sqrt(1/16) (1+1)*2^(-3)", "S1 0.0 0.5d0 2.0"))
    np.testing.assert_allclose(ours.structure.positions_a[1], [0, 0.5 * length, 2 * length])


@pytest.mark.parametrize(
    ("unit", "alat", "length"),
    [
        ("alat", "A=5.4d0", 5.4),
        ("bohr", "", BOHR_A),
        ("angstrom", "", 1.0),
        ("", "", BOHR_A),
        ("", "celldm(1)=2", 2 * BOHR_A),
    ],
)
def test_units_of_the_cell(unit, alat, length):
    text = BY_HAND.replace("{alat}", unit).replace("A=5.4d0", alat)
    text = text.replace("0.5", "5.0")
    assert one(text).structure.volume_a3 == pytest.approx(2 * 5.0**3 * length**3)


@pytest.mark.parametrize(
    ("label", "element"),
    [("Fe1", "Fe"), ("FE", "Fe"), ("C_h", "C"), ("C-x", "C"), ("H1", "H"), ("si", "Si")],
)
def test_labels_of_atoms(label, element):
    assert one(BY_HAND.replace("Zn 0 0 0 ", f"{label} 0 0 0 ")).structure.symbols[0] == element


@pytest.mark.parametrize(
    ("old", "new", "message", "line"),
    [
        ("ibrav=0", "ibrav=15", "ibrav = 15 is none", None),
        ("ibrav=0", "ibrav=8", r"ibrav = 8 needs celldm\(2\), celldm\(3\)", None),
        ("ibrav=0", "ibrav=5, cosab=-0.7", "do not form a cell", None),
        ("ibrav=0", "ibrav=zero", "Expected a number, not 'zero'", 5),
        ("ibrav=0,", "", "which Bravais lattice", None),
        ("ibrav=0", "ibrav=0, space_group=225", "space group", None),
        ("(crystal)", "(crystal_sg)", "crystal_sg", 14),
        ("(crystal)", "(furlong)", "unit furlong is unknown", 14),
        ("{alat}", "(furlong)", "unit furlong is unknown", 18),
        ("A=5.4d0", "A=-5.4", "no positive number", None),
        ("nat=2", "nat=3", "should have 3 atoms but ends after 2", 14),
        ("nat=2,", "", "how many atoms", None),
        ("nat=2", "nat=100001", "has 100001 sites; at most 100000", None),
        ("Zn 0 0 0   0 0 0", "Zn 0 0", "Expected three numbers", 16),
        ("1/4", "1/0", "Expected a number, not '1/0'", 17),
        ("1/4", "9^9^9^9", "Expected a number", 17),
        ("1/4", "x", "Expected a number, not 'x'", 17),
        ("1/4", "__import__('os')", "Expected a number", 17),
        ("1/4", "(" * 200, "Expected a number", 17),
        ("1/4", "1e999", "no finite number", 17),
        ("S1 1/4", "Q1 1/4", "label 'Q1' begins with no element", 17),
        ("S1 1/4", "7 1/4", "label '7' begins with no element", 17),
        ("0.5 0.5 0.0\n", "", "CELL_PARAMETERS is cut short", 18),
        ("0.5 0.5 0.0\n", "0.5 0.0 0.5\n", "The cell is flat", None),
        ("CELL_PARAMETERS", "CELL", "no card CELL_PARAMETERS", None),
        ("ATOMIC_POSITIONS", "POSITIONS", "no card ATOMIC_POSITIONS", None),
    ],
)
def test_what_is_wrong_in_an_input_is_said(old, new, message, line):
    with pytest.raises(ParseError, match=message) as caught:
        one(BY_HAND.replace(old, new, 1))
    assert caught.value.line == line


# Output


@pytest.mark.parametrize("name", ["scf", "relax", "vc-relax"])
def test_every_geometry_of_a_run_is_read_as_ase_reads_it(name):
    path = OUTPUTS / f"{name}.out"
    ours, theirs = read(path), ase.io.read(path, ":", format="espresso-out")
    if name == "vc-relax":  # the last one, calculated again at the end, is one geometry to us
        del theirs[-2]
    for parsed, atoms in zip(ours, theirs, strict=True):
        sign = np.sign(np.linalg.det(atoms.cell))
        np.testing.assert_allclose(parsed.structure.lattice_a, sign * atoms.cell, atol=1e-7)
        np.testing.assert_allclose(parsed.structure.positions_a, atoms.positions, atol=1e-7)
        found = parsed.extra["calculation"]
        assert found["energy_ev"] == pytest.approx(atoms.get_potential_energy(), rel=1e-6)
        if name != "vc-relax":
            np.testing.assert_allclose(found["forces_ev_per_a"], atoms.get_forces(), rtol=1e-6)
    assert [parsed.extra["step"] for parsed in ours] == list(range(len(ours)))
    assert [parsed.place for parsed in ours] == list(range(1, len(ours) + 1))


def test_energies_belong_to_their_geometry():
    energies = [parsed.extra["calculation"]["energy_ev"] for parsed in read(OUTPUTS / "relax.out")]
    assert energies == sorted(energies, reverse=True)
    assert len(set(energies)) == 3


def test_text_of_a_step_is_what_was_printed_of_it():
    last = read(OUTPUTS / "vc-relax.out")[-1]
    assert last.source_text.startswith("CELL_PARAMETERS (angstrom)\n")
    assert len(last.source_text.splitlines()) == 7


def test_two_runs_in_one_file_are_both_read():
    text = (OUTPUTS / "scf.out").read_text() + (OUTPUTS / "relax.out").read_text()
    parsed, errors = found(text)
    assert [one.extra["step"] for one in parsed] == [0, 0, 1, 2]
    assert not errors


@pytest.mark.parametrize("share", [0.35, 0.5, 0.8])
def test_run_that_was_killed_gives_the_geometries_that_it_had(share):
    text = (OUTPUTS / "relax.out").read_text()
    parsed, errors = found(text[: int(len(text) * share)])
    assert 1 <= len(parsed) <= 3
    assert not errors
    assert fingerprint(parsed[0].structure) == fingerprint(read(OUTPUTS / "relax.out")[0].structure)


def test_cut_within_a_geometry_is_told_after_those_before():
    text = (OUTPUTS / "relax.out").read_text()
    rows = read_source(Source.of_text(text[: text.index("ATOMIC_POSITIONS") + 60]))
    assert isinstance(next(rows), Parsed)
    with pytest.raises(ParseError, match="cut short"):
        next(rows)


@pytest.mark.parametrize(
    ("old", "new", "message"),
    [
        ("number of atoms/cell      =            2", "", "how many atoms"),
        ("number of atoms/cell      =            2", "number of atoms/cell = 99999999", "how many"),
        ("a(1) = (", "a(1) = ", "not what pw.x prints"),
        ("crystal axes:", "axes:", "before a cell"),
        ("tau(   1) = (", "tau(   1) = (  x ", "not what pw.x prints"),
        ("Si1 tau", "Qu1 tau", "begins with no element"),
        ("celldm(1)=  10.261213", "celldm(1)=  **********", "Expected a number"),
        ("celldm(1)=  10.261213", "celldm(1)=  1e9", "beyond 1e6|overlap|flat"),
        ("positions (alat units)", "positions", "ends before its atoms are listed"),
    ],
)
def test_what_is_wrong_in_an_output_is_said(old, new, message):
    text = (OUTPUTS / "scf.out").read_text()
    assert old in text
    try:
        _, (error,) = found(text.replace(old, new, 1))
    except ParseError as raised:
        error = str(raised)
    assert re.search(message, error)


def test_geometry_that_makes_no_sense_leaves_the_others_in():
    text = (OUTPUTS / "relax.out").read_text()
    old = re.findall(r"\(alat\)\nSi .*\n(Si .*)\n", text)[0]
    words = re.findall(r"\(alat\)\n(Si .*)\n", text)[0]
    parsed, errors = found(text.replace(old, words, 1))
    assert [one.extra["step"] for one in parsed] == [0, 2]
    assert "Step 1: Si (site 1) and Si (site 2) overlap" in errors[0]


def test_energy_beyond_any_float_is_unknown():
    text = (OUTPUTS / "scf.out").read_text().replace("-14.46751446 Ry", "1e308 Ry")
    assert one(text).extra["calculation"]["energy_ev"] is None


def test_blank_line_in_a_geometry_is_told():
    text = (OUTPUTS / "relax.out").read_text().replace("(alat)\nSi", "(alat)\n\nSi", 1)
    with pytest.raises(ParseError, match="Expected an element and its position"):
        found(text)
