"""Files of interatomic potentials for LAMMPS: which there are, for which elements, by whom."""

from __future__ import annotations

import hashlib
import re
from functools import cache
from itertools import islice
from pathlib import Path
from typing import NamedTuple

from nanoos.errors import InvalidParameters

STYLES = {
    ".eam.alloy": "eam/alloy",
    ".eam.fs": "eam/fs",
    ".eam": "eam",
    ".sw": "sw",
    ".tersoff": "tersoff",
}
"""How a file's name ends → the ``pair_style`` that reads it."""
_WORDS_OF_AN_ENTRY = {"sw": 14, "tersoff": 17}
"""Three elements, then the parameters."""
_CITATION = re.compile(r"CITATION:\s*(.*?)\s*(?:COMMENT:.*)?$")


class PotentialFile(NamedTuple):
    """A file of LAMMPS's folder ``potentials``.

    One that is ``only_compounds`` was made for these: it is not chosen for an element by itself.
    """

    name: str
    elements: frozenset[str]
    only_compounds: bool = False


def _file(name: str, elements: str, *, only_compounds: bool = False) -> PotentialFile:
    return PotentialFile(name, frozenset(elements.split()), only_compounds)


DISTRIBUTED = (
    _file("Cu_mishin1.eam.alloy", "Cu"),
    _file("Ag_u3.eam", "Ag"),
    _file("Au_u3.eam", "Au"),
    _file("Ni_u3.eam", "Ni"),
    _file("Pd_u3.eam", "Pd"),
    _file("Pt_u3.eam", "Pt"),
    _file("Al_zhou.eam.alloy", "Al"),
    _file("W_zhou.eam.alloy", "W"),
    _file("Fe_mm.eam.fs", "Fe"),
    _file("Mg_mm.eam.fs", "Mg"),
    _file("Zr_mm.eam.fs", "Zr"),
    _file("Si.sw", "Si"),
    _file("Ge.tersoff", "Ge"),
    _file("AlCu.eam.alloy", "Al Cu"),
    _file("CoAl.eam.alloy", "Co Al"),
    _file("CuNi.eam.alloy", "Cu Ni"),
    _file("CuTa.eam.alloy", "Cu Ta"),
    _file("NiAlH_jea.eam.alloy", "Ni Al H", only_compounds=True),
    _file("AlFe_mm.eam.fs", "Al Fe"),
    _file("CuZr_mm.eam.fs", "Cu Zr"),
    _file("VFe_mm.eam.fs", "V Fe"),
    _file("FeP_mm.eam.fs", "Fe P", only_compounds=True),
    _file("SiC_Erhart-Albe.tersoff", "Si C"),
    _file("GaN.tersoff", "Ga N", only_compounds=True),
    _file("SiO.tersoff", "Si O", only_compounds=True),
    _file("BNC.tersoff", "B C N", only_compounds=True),
    _file("CdTeZnSeHgS0.sw", "Cd Te Zn Se Hg S", only_compounds=True),
    _file("Al_mm.eam.fs", "Al"),
    _file("Al_jnp.eam", "Al"),
    _file("Cu_zhou.eam.alloy", "Cu"),
    _file("Cu_u3.eam", "Cu"),
    _file("Cu_u6.eam", "Cu"),
    _file("Cu_smf7.eam", "Cu"),
    _file("Ni_smf7.eam", "Ni"),
    _file("Si.tersoff", "Si"),
    _file("SiC.tersoff", "Si C"),
    _file("SiC_1990.tersoff", "Si C"),
    _file("SiC_1994.tersoff", "Si C"),
    _file("GaN.sw", "Ga N", only_compounds=True),
    _file("CdTe.sw", "Cd Te", only_compounds=True),
)
"""The first that has all elements of a structure is its default.

Of LAMMPS's files of these styles, those are left out that need charges or another term besides
(AlO, NiO), name kinds of atoms that are no elements (SiCGe), or repeat another.
"""


def default(elements: frozenset[str]) -> PotentialFile | None:
    """Return the file that is taken for a structure of ``elements``; None if there is none."""
    for file in DISTRIBUTED:
        if elements <= file.elements and not (file.only_compounds and len(elements) == 1):
            return file
    return None


def style(name: str) -> str:
    """Return the ``pair_style`` of a file by its name.

    Raises InvalidParameters for one that is not of these styles.
    """
    for ending, its_style in STYLES.items():
        if name.endswith(ending):
            return its_style
    raise InvalidParameters(f"lammps: {name} is no potential: it ends with none of {[*STYLES]}.")


def elements_of(path: Path) -> frozenset[str]:
    """Return the elements that a file has parameters of, from its head.

    Raises InvalidParameters if it cannot be read.
    """
    from ase.data import chemical_symbols

    try:
        with path.open(errors="replace") as file:
            if (kind := style(path.name)) == "eam":
                return frozenset({chemical_symbols[int(list(islice(file, 2))[1].split()[0])]})
            if kind.startswith("eam/"):
                return frozenset(list(islice(file, 4))[3].split()[1:])
            words = [word for line in file for word in line.partition("#")[0].split()]
        return frozenset(words[:: _WORDS_OF_AN_ENTRY[kind]])
    except (OSError, ValueError, IndexError) as error:
        raise InvalidParameters(f"lammps: {path} cannot be read as a potential: {error}") from None


@cache
def citation(path: Path) -> str:
    """Return what a file's first line says of its source, or that it says nothing."""
    with path.open(errors="replace") as file:
        found = _CITATION.search(file.readline().strip())
    cited = found[1].strip(" .") if found else ""
    return cited if cited and cited != "Unknown" else "the file names no source"


@cache
def sha256(path: Path) -> str:
    """Return the hash of a file's content."""
    return hashlib.sha256(path.read_bytes()).hexdigest()
