from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
import pytest

from nanoos.errors import ParseError
from nanoos.parsers.poscar import Poscar
from nanoos.parsers.source import Source

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"

VASP5 = """rutile; made by hand
1.0
 4.6 0.0 0.0
 0.1 4.6 0.0
 0.0 0.2 2.95
 Ti O
 2 4
Direct
 0.0 0.0 0.0
 0.5 0.5 0.5
 0.3 0.3 0.0
 0.7 0.7 0.0
 0.8 0.2 0.5
 0.2 0.8 0.5
"""


def cartesian(text):
    lines = text.splitlines()
    lattice = np.array([[float(x) for x in line.split()] for line in lines[2:5]])
    rows = [np.array([float(x) for x in line.split()]) @ lattice for line in lines[8:]]
    return "\n".join([*lines[:7], "Cartesian", *(" ".join(map(str, row)) for row in rows)]) + "\n"


def selective(text):
    head, rows = text.split("Direct\n")
    rows = "".join(f"{row} T F T\n" for row in rows.splitlines())
    return f"{head}Selective dynamics\nDirect\n{rows}"


VARIANTS = {
    "vasp 5": VASP5,
    "vasp 4": VASP5.replace(" Ti O\n", "").replace("rutile; made by hand", "Ti O"),
    "selective dynamics": selective(VASP5),
    "cartesian": cartesian(VASP5),
    "scale": VASP5.replace("1.0", "1.05", 1),
    "scale, cartesian": cartesian(VASP5).replace("1.0", "0.97", 1),
    "scale is a volume": VASP5.replace("1.0", "-62.5", 1),
    "scale is a volume, cartesian": cartesian(VASP5).replace("1.0", "-62.5", 1),
    "crlf": VASP5.replace("\n", "\r\n"),
    "velocities": VASP5 + "\n" + " 0.0 0.0 0.1\n" * 6,
    "blank line at the end": VASP5 + "\n\n",
}


@pytest.mark.parametrize("text", VARIANTS.values(), ids=VARIANTS)
def test_agrees_with_ase(text):
    assert Poscar().recognises(text.encode(), "")
    (parsed,) = list(Poscar().parse(Source.of_text(text)))
    ours, expected = parsed.structure.to_ase(), ase.io.read(StringIO(text), format="vasp")
    assert list(ours.symbols) == list(expected.symbols) == ["Ti"] * 2 + ["O"] * 4
    np.testing.assert_allclose(ours.cell.array, expected.cell.array, atol=1e-12)
    np.testing.assert_allclose(ours.positions, expected.positions, atol=1e-12)


def test_negative_scale_is_the_volume():
    (parsed,) = list(Poscar().parse(Source.of_text(VARIANTS["scale is a volume"])))
    assert parsed.structure.volume_a3 == pytest.approx(62.5)


def test_three_scales_are_for_x_y_and_z():
    (parsed,) = list(
        Poscar().parse(Source.of_text(cartesian(VASP5).replace("1.0", "1.0 2.0 3.0", 1)))
    )
    (plain,) = list(Poscar().parse(Source.of_text(VASP5)))
    np.testing.assert_allclose(
        parsed.structure.positions_a, plain.structure.positions_a * [1, 2, 3], atol=1e-12
    )


def test_potential_suffixes_of_symbols_are_dropped():
    (parsed,) = list(Poscar().parse(Source.of_text(VASP5.replace(" Ti O\n", " Ti_pv O/1a2b3c\n"))))
    assert parsed.structure.elements == ("O", "Ti")


def test_comment_gives_name_and_is_kept():
    (parsed,) = list(Poscar().parse(Source.of_text(VASP5)))
    assert (parsed.name, parsed.extra) == ("rutile", {"comment": "rutile; made by hand"})


@pytest.mark.parametrize(
    ("old", "new", "line", "message"),
    [
        ("1.0\n", "big\n", 2, "Expected the scale"),
        ("1.0\n", "0.0\n", 2, "must be finite and not zero"),
        ("1.0\n", "1e999\n", 2, "must be finite and not zero"),
        (" 0.5 0.5 0.5\n", " 0.5 1e999 0.5\n", 10, "position of atom 2 is too large"),
        ("1.0\n", "1.0 -1.0 1.0\n", 2, "of three none negative"),
        (" 0.1 4.6 0.0\n", " 0.1 4.6\n", 4, "lattice vector 2"),
        (" Ti O\n", " Ti Qq\n", 6, "Expected 2 element symbols"),
        (" Ti O\n", " Ti\n", 6, "Expected 2 element symbols"),
        (" 2 4\n", " 2 four\n", 7, "number of atoms"),
        (" 2 4\n", " 2 999999999999\n", 7, "cut short"),
        (" 2 4\n", " 2 " + "9" * 5000 + "\n", 7, "cut short"),
        (" 0.8 0.2 0.5\n", " 0.8 nan 0.5\n", 13, "position of atom 5"),
    ],
)
def test_what_is_wrong_is_named_with_its_line(old, new, line, message):
    with pytest.raises(ParseError, match=message) as caught:
        list(Poscar().parse(Source.of_text(VASP5.replace(old, new, 1))))
    assert caught.value.line == line


@pytest.mark.parametrize("path", sorted(EXAMPLES.glob("*.poscar")), ids=lambda p: p.stem)
def test_examples_agree_with_ase(path):
    (parsed,) = list(Poscar().parse(Source.of_text(path.read_text())))
    expected = ase.io.read(path, format="vasp")
    np.testing.assert_allclose(parsed.structure.positions_a, expected.positions, atol=1e-12)
    assert parsed.structure.symbols == list(expected.symbols)
    assert f"AMCSD {path.stem[-7:]}" in parsed.extra["comment"]


def test_number_of_atoms_is_limited():
    text = VASP5.replace(" 2 4\n", " 2 999999\n") + "0.1 0.2 0.3\n" * 1_000_000
    with pytest.raises(ParseError, match="1000001 atoms; at most 100000"):
        list(Poscar().parse(Source.of_text(text)))
