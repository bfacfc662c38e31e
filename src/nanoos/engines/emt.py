"""Effective medium theory for seven fcc metals, as ASE implements it: no installation, fast."""

from __future__ import annotations

from importlib.metadata import version
from importlib.util import find_spec
from typing import Any

import numpy as np

from nanoos.engines.engine import Evaluation, NoParameters
from nanoos.errors import EngineError, UnsupportedByEngine
from nanoos.methods import Method
from nanoos.structures import Structure


class Emt:
    """Effective medium theory (EMT) of K. W. Jacobsen, P. Stoltze and J. K. Nørskov.

    Made for the fcc metals Al, Ni, Cu, Pd, Ag, Pt and Au and their alloys. ASE's code also takes
    H, C, N and O, but says that these are not well described and not for any serious use, so
    they are refused here. Energies are counted from the perfect fcc metals, near zero there.
    """

    name = "emt"
    parameters = NoParameters
    licence = "LGPL-2.1-or-later"
    potential = (
        "Effective medium theory: K. W. Jacobsen, P. Stoltze, J. K. Nørskov, "
        "Surf. Sci. 366, 394 (1996)"
    )
    elements = frozenset({"Al", "Ni", "Cu", "Pd", "Ag", "Pt", "Au"})
    properties = frozenset({"energy", "forces", "stress"})

    def __init__(self, parameters: NoParameters | None = None) -> None:
        """Make it; there is nothing to choose."""

    @property
    def version(self) -> str:
        """The version of ASE."""
        return version("ase")

    def method(self, structure: Structure | None = None) -> Method:
        """Return code, its version, the theory and its one option."""
        return Method(
            code="ASE EMT",
            code_version=self.version,
            functional="Effective medium theory",
            further={"asap_cutoff": False},
        )

    def probe(self) -> str | None:
        """Return None: ASE comes with NANO-OS. Without it, how to get it."""
        if find_spec("ase") is None:
            return "ASE is not installed: pip install ase"
        return None

    def refuses(self, structure: Structure) -> str | None:
        """Return why EMT cannot evaluate ``structure``: mixed sites or other elements."""
        if not structure.is_ordered:
            return "EMT needs one atom on every site; this structure has partly occupied sites"
        unknown = sorted(set(structure.elements) - self.elements)
        if unknown:
            return f"EMT knows {_words(sorted(self.elements))}, not {_words(unknown)}"
        return None

    def calculate(self, structure: Structure) -> Evaluation:
        """Return energy, forces and, for a periodic structure, stress.

        Raises
        ------
        UnsupportedByEngine
            If the structure holds other elements or mixed sites.
        EngineError
            If the numbers are not finite: atoms lie on top of each other.
        """
        from ase.calculators.emt import EMT
        from ase.units import GPa

        if reason := self.refuses(structure):
            raise UnsupportedByEngine(reason)
        atoms: Any = structure.to_ase()
        atoms.calc = EMT(asap_cutoff=False)  # type: ignore[no-untyped-call]
        with np.errstate(all="ignore"):
            energy = float(atoms.get_potential_energy())
            forces = atoms.get_forces()
            stress = atoms.get_stress(voigt=False) / GPa if all(structure.periodic) else None
        if not (np.isfinite(energy) and np.isfinite(forces).all()):
            raise EngineError("EMT gave no finite energy or forces: do atoms overlap?")
        return Evaluation(energy, forces, stress)


def _words(symbols: list[str]) -> str:
    """Return ``["A", "B", "C"]`` as "A, B and C"."""
    return " and ".join(filter(None, [", ".join(symbols[:-1]), symbols[-1]]))
