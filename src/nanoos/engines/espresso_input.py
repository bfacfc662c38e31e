"""The input of pw.x: the settings that decide what is calculated, and those that decide how.

"Input File Description, Program: pw.x" of Quantum ESPRESSO.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

import numpy as np
from ase.data import atomic_masses, atomic_numbers

from nanoos.engines.pseudopotentials import Pseudopotential
from nanoos.structures import Structure
from nanoos.structures.structure import Array

PREFIX = "pw"
NAMELISTS: Mapping[str, frozenset[str]] = {
    "CONTROL": frozenset(
        {"calculation", "prefix", "outdir", "pseudo_dir", "tprnfor", "tstress", "disk_io"}
        | {"max_seconds", "restart_mode"}
    ),
    "SYSTEM": frozenset(
        {"ibrav", "nat", "ntyp", "ecutwfc", "ecutrho", "occupations", "smearing", "degauss"}
        | {"nspin", "starting_magnetization", "nbnd", "nosym", "noinv"}
        | {"lda_plus_u", "Hubbard_U", "vdw_corr", "dftd3_version"}
    ),
    "ELECTRONS": frozenset(
        {"conv_thr", "electron_maxstep", "mixing_mode", "mixing_beta", "mixing_ndim"}
        | {"diagonalization", "diago_david_ndim", "diago_cg_maxiter"}
    ),
}
"""Where each variable stands, which those with an index share."""
PASSING = frozenset({"max_seconds", "restart_mode"})
"""Variables of one start of the program, which decide nothing of what it finds."""


@dataclass(frozen=True)
class PwInput:
    """One input: variables by name, and the cards, with lines of further ones."""

    structure: Structure
    potentials: Mapping[str, Pseudopotential]
    mesh: tuple[int, int, int]
    variables: Mapping[str, Any] = field(default_factory=dict)
    further: tuple[str, ...] = ()

    def changed(self, change: Mapping[str, Any]) -> PwInput:
        """Return the input with other values of some variables; None takes one out."""
        merged = {**self.variables, **change}
        kept = {name: value for name, value in merged.items() if value is not None}
        return replace(self, variables=kept)

    @property
    def sha256(self) -> str:
        """The hash of the text without what holds for one start of the program only."""
        lasting = self.changed(dict.fromkeys(PASSING))
        return hashlib.sha256(lasting.text.encode()).hexdigest()

    @property
    def text(self) -> str:
        """The input as pw.x reads it; pseudopotentials are looked for in its folder."""
        fixed = {
            **{"calculation": "scf", "prefix": PREFIX, "outdir": "./", "pseudo_dir": "./"},
            **{"tprnfor": True, "tstress": True},
            **{"ibrav": 0, "nat": self.structure.n_sites, "ntyp": len(self.potentials)},
        }
        variables = fixed | dict(self.variables)
        lines = []
        for name, members in NAMELISTS.items():
            lines += [f"&{name}"]
            for variable, value in variables.items():
                if variable.partition("(")[0] in members:
                    lines.append(f"  {variable} = {_written(value)}")
            lines += ["/"]
        return "\n".join([*lines, *self._cards()]) + "\n"

    def _cards(self) -> Iterable[str]:
        structure = self.structure
        yield "ATOMIC_SPECIES"
        for element, one in self.potentials.items():
            yield f"  {element} {atomic_masses[atomic_numbers[element]]:.4f} {one.path.name}"
        assert structure.lattice_a is not None  # noqa: S101 - refused before
        yield "CELL_PARAMETERS angstrom"
        yield from map(_row, structure.lattice_a)
        yield "ATOMIC_POSITIONS angstrom"
        for symbol, position in zip(structure.symbols, structure.positions_a, strict=True):
            yield f"  {symbol:2} {_row(position)}"
        yield "K_POINTS automatic"
        yield f"  {' '.join(map(str, self.mesh))} 0 0 0"
        yield from self.further


def mesh_of(lattice_a: Array, periodic: Iterable[bool], k_spacing_per_a: float) -> Array:
    """Return the smallest mesh around Γ whose points are at most so far apart, in 1/Å with 2π.

    One point where a direction does not repeat.
    """
    lengths = 2 * np.pi * np.linalg.norm(np.linalg.inv(lattice_a), axis=0)
    counts = np.ceil(lengths / k_spacing_per_a - 1e-9).clip(min=1)
    return np.where(list(periodic), counts, 1).astype(int)


def _row(values: Array) -> str:
    return " ".join(f"{value:20.14f}" for value in values)


def _written(value: Any) -> str:
    if isinstance(value, bool):
        return ".true." if value else ".false."
    return f"'{value}'" if isinstance(value, str) else repr(value)
