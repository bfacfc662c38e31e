import json
import tracemalloc
from io import StringIO
from itertools import islice
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from hypothesis import given
from hypothesis import strategies as st

from nanoos.errors import ParseError
from nanoos.parsers import Parsed, Rejected, Source
from nanoos.parsers.extxyz import ExtendedXyz

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"


def text_of(*frames, **options):
    file = StringIO()
    ase.io.write(file, list(frames), format="extxyz", **options)
    return file.getvalue()


def test_every_frame_is_read():
    frames = [bulk("Cu", cubic=True), molecule("CH3OH"), fcc111("Al", (1, 1, 3), vacuum=5.0)]
    frames[0].info |= {"step": 3, "weights": np.array([1.5, np.nan]), "note": "one"}
    parsed = list(ExtendedXyz().parse(Source.of_text(text_of(*frames))))
    assert [p.structure.n_periodic for p in parsed] == [3, 0, 2]
    for ours, theirs in zip(parsed, frames, strict=True):
        np.testing.assert_allclose(ours.structure.positions_a, theirs.positions, atol=1e-7)
        assert ours.structure.symbols == list(theirs.symbols)
    assert parsed[0].extra == {"step": 3, "weights": [1.5, None], "note": "one"}
    assert json.loads(json.dumps(parsed[0].extra)) == parsed[0].extra


def test_plain_xyz_is_a_molecule_and_its_comment_is_kept():
    text = "3\nenergy = high; a molecule of water\nO 0 0 0.1 9.9\n8 0 0 3\nH 0 0.76 -0.5\n"
    (parsed,) = list(ExtendedXyz().parse(Source.of_text(text)))
    assert parsed.structure.lattice_a is None
    assert parsed.structure.symbols == ["O", "O", "H"]
    assert parsed.extra == {"comment": "energy = high; a molecule of water"}


def test_lattice_without_pbc_repeats_everywhere():
    text = '1\nLattice="3 0 0 0 3 0 0 0 3" Properties=species:S:1:pos:R:3\nPo 0 0 0\n'
    (parsed,) = list(ExtendedXyz().parse(Source.of_text(text)))
    assert parsed.structure.periodic == (True, True, True)


@pytest.mark.parametrize(
    ("text", "line", "message"),
    [
        ("0\n\n", 1, "number of atoms"),
        ("1\n\nCu 0 0 0\nrubbish\n\n", 4, "number of atoms"),
        ("1\n\nCu 0 0\n", 3, "Expected an element"),
        ("1\n\nCu 0 0 zero\n", 1, "not valid extended XYZ"),
        ("1\nLattice=\"3 0 0 0 3 0 0 0 3\"\nXx 0 0 0\n", 1, "unknown element"),
        ("1\nProperties=species:S:1:pos:Q:3\nCu 0 0 0\n", 1, "not valid extended XYZ"),
        ("2\n\nH 0 0 0\nH 0 0 0\n", 1, "overlap"),
        ("1\npbc=T\nCu 0 0 0\n", 1, "no lattice vector"),
        ("1\nProperties=species:S:1:pos:R:3:q:R:-1\nCu 0 0 0\n", 1, "q has -1 columns"),
        ("1\nProperties=species:S:1:pos:R:3:q:R:99999999\nCu 0 0 0\n", 1, "columns"),
        ("1\nProperties=species:S:1\nCu 0 0 0\n", 1, "no species or no positions"),
        ("1\nLattice=\"3 0 0 0 3 0 0 0\"\nCu 0 0 0\n", 1, "Lattice"),
        ("1\nLattice=\"3 0 0 0 3 0 0 0 3\"\nCu 0 0 nan\n", 1, "not finite"),
        ("1\nx=\"_JSON " + "[" * 99999 + "\" pbc=F\nCu 0 0 0\n", 1, "not valid extended XYZ"),
        ("999999999999\n\nCu 0 0 0\n", 3, "cut short"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text, line, message):
    with pytest.raises(ParseError, match=message) as caught:
        list(ExtendedXyz().parse(Source.of_text(text)))
    assert caught.value.line == line


def test_frame_that_is_wrong_by_itself_leaves_the_others_in():
    wrong, right = "2\n\nH 0 0 0\nH 0 0 0\n", "1\n\nCu 0 0 0\n"
    found = list(ExtendedXyz().parse(Source.of_text(wrong + right + wrong + right)))
    assert [type(one) for one in found] == [Rejected, Parsed, Rejected, Parsed]
    assert [one.error.line for one in found[::2]] == [1, 8]
    assert "overlap" in str(found[2].error)


def test_number_of_atoms_of_a_frame_is_limited_and_the_next_is_read():
    text = "1000000\n\n" + "Cu 0 0 0\n" * 1_000_000 + "1\n\nCu 0 0 0\n"
    rejected, parsed = list(ExtendedXyz().parse(Source.of_text(text)))
    assert str(rejected.error) == "The frame has 1000000 atoms; at most 100000 are read."
    assert rejected.error.line == 1
    assert parsed.structure.n_sites == 1


def test_energies_forces_and_other_columns_are_kept_as_they_are():
    text = (
        '1\nLattice="3 0 0 0 3 0 0 0 3" energy=-1.5 stress="1 2 3 4 5 6 7 8 9" title="a = b"'
        " Properties=Z:I:1:pos:R:3:forces:R:3:fixed:L:1:kind:S:1\n29 0 0 1 .1 .2 NaN T core\n"
    )
    (parsed,) = list(ExtendedXyz().parse(Source.of_text(text)))
    assert parsed.structure.symbols == ["Cu"]
    assert parsed.extra == {
        "energy": -1.5,
        "stress": [[1, 4, 7], [2, 5, 8], [3, 6, 9]],
        "title": "a = b",
        "arrays": {"forces": [[0.1, 0.2, None]], "fixed": [True], "kind": ["core"]},
    }


def test_symbols_of_any_case_isotopes_and_numbers():
    (parsed,) = list(
        ExtendedXyz().parse(Source.of_text("4\n\nCL 0 0 0\nna 0 0 2\nD 0 0 4\n26 0 0 6\n"))
    )
    assert parsed.structure.symbols == ["Cl", "Na", "H", "Fe"]


lengths = st.floats(2.5, 20).map(lambda x: round(x, 6))
names = st.text("abcxyz_", min_size=1, max_size=8).map("key_".__add__)
values = st.one_of(
    st.integers(-(2**40), 2**40),
    st.floats(allow_nan=False, allow_infinity=False),
    st.booleans(),
    st.lists(st.floats(-9, 9), min_size=2, max_size=4),
    st.dictionaries(names, st.integers(), min_size=1, max_size=2),
    st.text("ab =,'{}()", min_size=3).filter(lambda t: t.strip() and not t.isspace()),
)


@given(
    cell=st.lists(lengths, min_size=3, max_size=3),
    pbc=st.tuples(*[st.booleans()] * 3),
    symbols=st.lists(st.sampled_from(["H", "Fe", "U"]), min_size=1, max_size=5),
    info=st.dictionaries(names, values, max_size=4),
    data=st.data(),
)
def test_what_ase_writes_is_read_as_ase_reads_it(cell, pbc, symbols, info, data):
    positions = np.outer(np.arange(len(symbols)), [0, 0, 1.5])
    atoms = Atoms(symbols, positions, cell=[*cell[:2], cell[2] + 8], pbc=pbc, info=info)
    atoms.set_array("weight", np.arange(len(symbols)) / 7)
    text = text_of(atoms)
    if data.draw(st.booleans()):
        text = text.replace("\n", "\r\n")
    expected = ase.io.read(StringIO(text.replace("\r", "")), format="extxyz")
    (parsed,) = list(ExtendedXyz().parse(Source.of_text(text)))
    structure = parsed.structure
    assert structure.periodic == tuple(expected.pbc)
    np.testing.assert_array_equal(structure.positions_a, expected.positions)
    np.testing.assert_array_equal(structure.lattice_a, expected.cell.array)
    assert structure.symbols == list(expected.symbols)
    assert parsed.extra.pop("arrays") == {"weight": expected.get_array("weight").tolist()}
    assert parsed.extra == json.loads(json.dumps(expected.info, default=lambda v: v.tolist()))


def test_trajectory_is_read_lazily_and_in_constant_memory(tmp_path):
    frame = text_of(bulk("Cu", cubic=True) * (3, 3, 3))
    path = tmp_path / "long.xyz"
    path.write_text(frame * 400 + "rubbish\n")
    tracemalloc.start()
    found = ExtendedXyz().parse(Source("long.xyz", path))
    assert sum(one.structure.n_sites == 108 for one in islice(found, 400)) == 400
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < len(frame) * 100 < path.stat().st_size / 2
    with pytest.raises(ParseError, match="number of atoms"):
        next(found)


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.extxyz")), ids=lambda p: p.stem)
def test_examples_agree_with_ase_and_carry_their_source(path):
    (parsed,) = list(ExtendedXyz().parse(Source.of_text(path.read_text())))
    expected = ase.io.read(path)
    np.testing.assert_array_equal(parsed.structure.positions_a, expected.positions)
    np.testing.assert_array_equal(parsed.structure.lattice_a, expected.cell.array)
    assert (parsed.extra["database"], parsed.extra["database_code"]) == ("AMCSD", path.stem[-7:])
    assert {"authors", "journal", "year", "title"} <= parsed.extra["citation"].keys()
