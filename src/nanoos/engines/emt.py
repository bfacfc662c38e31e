"""Effective medium theory for seven fcc metals, as ASE implements it: no installation, fast."""

from __future__ import annotations

from importlib.util import find_spec

from nanoos.engines.ase_calculator import evaluate
from nanoos.engines.engine import Evaluation, NoParameters, refusal_of_elements, version_of
from nanoos.errors import UnsupportedByEngine
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
        return version_of("ase")

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
        return refusal_of_elements("EMT", self.elements, structure)

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

        if reason := self.refuses(structure):
            raise UnsupportedByEngine(reason)
        calculator = EMT(asap_cutoff=False)  # type: ignore[no-untyped-call]
        return evaluate(structure, calculator, "EMT")
