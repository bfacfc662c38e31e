"""Files made to do harm: each is refused with its cause, before it costs time or memory."""

import sys
from pathlib import Path

import pytest

from nanoos import plugins
from nanoos.errors import ParseError
from nanoos.parsers import Parsed, Source, read_source

sys.path.append(str(Path(__file__).parents[2] / "faults"))
from imports import seeds

FORMATS = sorted(plugins.load("nanoos.parsers"))
BINARY = {"ase_db", "ase_traj"}


def structures(source):
    """Return the structures of a source; raises what stops it."""
    return [one for one in read_source(source) if isinstance(one, Parsed)]


@pytest.mark.parametrize("format_", [f for f in FORMATS if f not in BINARY])
def test_line_of_a_quarter_gigabyte_is_refused(format_, tmp_path):
    """The file begins like a real one; a gigabyte of it takes four times as long."""
    seed = seeds()[format_][0]
    path = tmp_path / seed.name
    with path.open("wb") as file:
        file.write(seed.read_bytes().rstrip())
        file.truncate(256 * 1024**2)
    with pytest.raises(ParseError, match=r"larger than|longer than|binary"):
        structures(Source(path.name, path))


ZERO_VOLUME = {
    "cif": "data_x\n_cell_length_a 5\n_cell_length_b 5\n_cell_length_c 5\n_cell_angle_gamma 0.001\n"
    "_symmetry_space_group_name_H-M 'P 1'\nloop_\n_atom_site_label\n_atom_site_fract_x\n"
    "_atom_site_fract_y\n_atom_site_fract_z\nCu 0 0 0\n",
    "poscar": "x\n1.0\n1 0 0\n1 0 0\n0 0 1\nCu\n1\nDirect\n0 0 0\n",
    "extxyz": '1\nLattice="0 0 0 0 0 0 0 0 0" pbc="T T T"\nCu 0 0 0\n',
}


@pytest.mark.parametrize("format_", ZERO_VOLUME)
def test_cell_without_volume_is_refused(format_):
    with pytest.raises(ParseError, match=r"form a cell|flat|no lattice vector|linearly dependent"):
        structures(Source.of_text(ZERO_VOLUME[format_], f"x.{format_}"))


@pytest.mark.parametrize("number", ["nan", "inf", "-inf", "1e999", "NaN"])
@pytest.mark.parametrize(
    "text",
    [
        ZERO_VOLUME["cif"].replace("0.001", "90").replace("Cu 0 0", "Cu 0 {}"),
        "x\n1.0\n3 0 0\n0 3 0\n0 0 3\nCu\n1\nDirect\n0 {} 0\n",
        "1\n\nCu 0 0 {}\n",
        '1\nLattice="3 0 0 0 3 0 0 0 3"\nCu 0 0 {}\n',
        '1\nLattice="3 0 0 0 {} 0 0 0 3"\nCu 0 0 0\n',
    ],
    ids=["cif", "poscar", "xyz", "extxyz", "extxyz lattice"],
)
def test_number_that_is_not_finite_is_refused(text, number):
    with pytest.raises(ParseError, match=r"no coordinates|three numbers|too large|finite"):
        structures(Source.of_text(text.format(number), "x"))
