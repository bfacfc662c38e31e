"""Each broken file is reported with its cause and, where there is one, the line."""

import random
from pathlib import Path

import pytest

from nanoos.errors import ParseError, UnknownFormat
from nanoos.parsers import read

BROKEN = Path(__file__).parents[2] / "fixtures" / "broken"
EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"

# file: (line, what the message says)
REPORTS = {
    "bad_lattice.extxyz": (1, "not valid extended XYZ"),
    "binary.cif": (None, "binary"),
    "blank.xyz": (None, "empty"),
    "cell_not_a_number.cif": (22, "_cell_length_b is about5, not a positive number"),
    "coordinate_missing.cif": (36, "Atom site O has no coordinates"),
    "empty.cif": (None, "empty"),
    "flat_cell.poscar": (None, "The cell is flat"),
    "latin1.cif": (9, "not UTF-8 text (byte 0xfc)"),
    "letters_in_a_position.poscar": (10, "three numbers for the position of atom 2"),
    "missing_cell.cif": (None, "The cell is missing"),
    "missing_vector.poscar": (4, "three numbers for lattice vector 2"),
    "no_atoms.cif": (None, "no atom sites"),
    "no_elements.poscar": (1, "Expected 3 element symbols"),
    "no_symmetry.cif": (None, "states no symmetry"),
    "not_a_structure.txt": (None, "no known structure format (known: cif, poscar, extxyz, ase_db"),
    "occupancy_over_one.cif": (222, "occupancy 1.3"),
    "overfull_split_position.cif": (None, "their occupancies add up to 1.167"),
    "overlapping_atoms.cif": (None, "overlap: they are 0.113 Å apart"),
    "overlapping_molecule.xyz": (1, "O (site 1) and H (site 2) overlap"),
    "second_frame_truncated.extxyz": (14, "8 atoms but the file ends after 2"),
    "table.csv": (None, "no known structure format"),
    "truncated.cif.gz": (None, "gzip data is damaged or cut short"),
    "truncated.extxyz": (6, "8 atoms but the file ends after 4"),
    "truncated.poscar": (7, "should have 20 atoms but is cut short"),
    "truncated_between_rows.cif": (36, "formula with O, which has no atom site"),
    "truncated_in_a_row.cif": (36, "The CIF syntax is broken"),
    "truncated_operators.cif": (28, "4 symmetry operators is incomplete"),
    "truncated_text_field.cif": (18, "unterminated text field"),
    "two_full_atoms_on_one_site.cif": (None, "Na and Na2 overlap"),
    "unknown_element.cif": (36, "'Qat' is no element of the formula"),
    "unknown_element.xyz": (4, "Expected an element"),
}


def test_every_broken_file_is_listed_here():
    assert {path.name for path in BROKEN.iterdir()} == set(REPORTS)


@pytest.mark.parametrize("name", REPORTS)
def test_report_names_cause_and_line(name):
    line, cause = REPORTS[name]
    with pytest.raises(ParseError) as caught:
        read(BROKEN / name)
    assert cause in str(caught.value)
    assert caught.value.line == line
    assert "\n" not in str(caught.value)


def test_unknown_format_is_its_own_error():
    with pytest.raises(UnknownFormat):
        read(BROKEN / "table.csv")


def test_message_that_quotes_a_file_can_be_shown_and_stored():
    text = str(ParseError("'a\nb\0c\ud800' is no " + "x" * 5000 + " number."))
    assert text.startswith("'a b\ufffdc\ufffd' is no x")
    assert text.endswith("x number.")
    assert len(text) < 500


def test_file_that_is_not_there(tmp_path):
    with pytest.raises(ParseError, match="No such file"):
        read(tmp_path / "gone.cif")
    with pytest.raises(ParseError, match="Is a directory"):
        read(tmp_path)


def test_file_over_100_mb_is_refused_unread(tmp_path):
    path = tmp_path / "huge.cif"
    with path.open("wb") as file:
        file.truncate(100 * 1024**2 + 1)
    with pytest.raises(ParseError, match="larger than 100 MB"):
        read(path)


@pytest.mark.parametrize(
    "name",
    [
        "fluorite_0011683.cif",
        "orthoclase_0007928.cif",
        "stishovite_0007378.poscar",
        "cristobalite_0010747.extxyz",
    ],
)
def test_damage_of_any_kind_is_a_parse_error_or_a_structure(name, tmp_path):
    """Cut, swap, drop and overwrite at random: no other error ever gets out."""
    text = (EXAMPLES / name).read_text()
    chance = random.Random(name)
    refused = 0
    for _ in range(150):
        path = tmp_path / name
        path.write_text(damaged(text, chance))
        try:
            read(path)
        except ParseError:
            refused += 1
    assert refused > 20


def damaged(text, chance):
    lines = text.splitlines(keepends=True)
    kind = chance.choice(["cut", "drop", "swap", "overwrite", "duplicate"])
    i, j = chance.randrange(len(lines)), chance.randrange(len(lines))
    if kind == "cut":
        return text[: chance.randrange(1, len(text))]
    if kind == "drop":
        del lines[i]
    elif kind == "swap":
        lines[i], lines[j] = lines[j], lines[i]
    elif kind == "duplicate":
        lines.insert(j, lines[i])
    else:
        k = chance.randrange(len(text))
        junk = "".join(chance.choice("0.-xX_'\";# \n?9e(") for _ in range(chance.randrange(1, 6)))
        return text[:k] + junk + text[k + len(junk) :]
    return "".join(lines)
