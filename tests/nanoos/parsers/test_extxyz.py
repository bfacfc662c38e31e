import json
from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.build import bulk, fcc111, molecule

from nanoos.errors import ParseError
from nanoos.parsers.extxyz import ExtendedXyz
from nanoos.parsers.source import Source

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
        ("1\n\nCu 0 0 0\n2\n\nH 0 0 0\nH 0 0 0\n", 4, "overlap"),
        ("999999999999\n\nCu 0 0 0\n", 3, "cut short"),
    ],
)  # fmt: skip
def test_what_is_wrong_is_named_with_its_line(text, line, message):
    with pytest.raises(ParseError, match=message) as caught:
        list(ExtendedXyz().parse(Source.of_text(text)))
    assert caught.value.line == line


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.extxyz")), ids=lambda p: p.stem)
def test_examples_agree_with_ase_and_carry_their_source(path):
    (parsed,) = list(ExtendedXyz().parse(Source.of_text(path.read_text())))
    expected = ase.io.read(path)
    np.testing.assert_array_equal(parsed.structure.positions_a, expected.positions)
    np.testing.assert_array_equal(parsed.structure.lattice_a, expected.cell.array)
    assert (parsed.extra["database"], parsed.extra["database_code"]) == ("AMCSD", path.stem[-7:])
    assert {"authors", "journal", "year", "title"} <= parsed.extra["citation"].keys()
