"""The Lennard-Jones potential, for crystals of the rare gases and as a model of simple solids."""

from __future__ import annotations

from collections.abc import Mapping
from importlib.util import find_spec
from types import MappingProxyType
from typing import NamedTuple

from pydantic import BaseModel, ConfigDict, Field
from scipy.constants import elementary_charge, erg

from nanoos.engines.ase_calculator import evaluate
from nanoos.engines.engine import Evaluation, refusal_of_elements, version_of
from nanoos.errors import UnsupportedByEngine
from nanoos.methods import Method, Potential
from nanoos.structures import Structure
from nanoos.structures.structure import ELEMENTS


class Pair(NamedTuple):
    """Depth of the well in eV and the distance in Å at which the energy is zero."""

    epsilon_ev: float
    sigma_a: float


def _of_erg(epsilon_1e_16_erg: float, sigma_a: float) -> Pair:
    return Pair(epsilon_1e_16_erg * 1e-16 * erg / elementary_charge, sigma_a)


RARE_GASES: Mapping[str, Pair] = MappingProxyType(
    {
        "Ne": _of_erg(50, 2.74),
        "Ar": _of_erg(167, 3.40),
        "Kr": _of_erg(225, 3.65),
        "Xe": _of_erg(320, 3.98),
    }
)
"""N. Bernardes, Phys. Rev. 112, 1534 (1958), who gives ε in 10⁻¹⁶ erg."""

CUTOFF_SIGMA = 5.0
"""Where the potential ends, over sigma: an fcc crystal then has 99 % of its cohesive energy."""
ONSET = 0.8
"""Where it begins to be smoothed to zero, over the cutoff."""


class LjParameters(BaseModel):
    """What may be chosen; the rare gases have defaults, other elements need ε and σ."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    epsilon_ev: float | None = Field(
        default=None, gt=0, title="ε", description="Depth of the well, in eV."
    )
    sigma_a: float | None = Field(
        default=None, gt=0, title="σ", description="Distance of zero energy, in Å."
    )
    cutoff_a: float | None = Field(
        default=None,
        gt=0,
        title="Cutoff",
        description=f"Distance in Å at which it ends; {CUTOFF_SIGMA:g} σ if not given. It is "
        "smoothed to zero from 0.8 of that on.",
    )


class Lj:
    """4 ε ((σ/r)¹² − (σ/r)⁶) between atoms of one element, smoothed to zero at the cutoff.

    Classical: without the zero-point motion that widens solid neon by several percent.
    """

    name = "lj"
    parameters = LjParameters
    licence = "LGPL-2.1-or-later"
    potential = (
        "Lennard-Jones: J. E. Jones, Proc. R. Soc. Lond. A 106, 463 (1924); of the rare gases: "
        "N. Bernardes, Phys. Rev. 112, 1534 (1958)"
    )
    properties = frozenset({"energy", "forces", "stress"})

    def __init__(self, parameters: LjParameters | None = None) -> None:
        self._chosen = parameters or LjParameters()
        is_whole = None not in (self._chosen.epsilon_ev, self._chosen.sigma_a)
        self.elements = frozenset(ELEMENTS if is_whole else RARE_GASES)

    @property
    def version(self) -> str:
        """The version of ASE."""
        return version_of("ase")

    def method(self, structure: Structure | None = None) -> Method:
        """Return code, version and parameters of the structure's element, or of all."""
        elements = structure.elements if structure else RARE_GASES
        pairs = {element: self.pair(element) for element in elements}
        return Method(
            code="ASE Lennard-Jones",
            code_version=self.version,
            functional="Lennard-Jones",
            potentials=tuple(
                Potential(element, f"ε = {pair.epsilon_ev:.6g} eV, σ = {pair.sigma_a:g} Å")
                for element, pair in sorted(pairs.items())
            ),
            further={
                "cutoff_a": {
                    element: self._cutoff_a(pair) for element, pair in sorted(pairs.items())
                },
                "smooth_from": ONSET,
            },
        )

    def pair(self, element: str) -> Pair:
        """Return ε and σ of ``element``: as given, else a rare gas's own."""
        epsilon_ev, sigma_a = self._chosen.epsilon_ev, self._chosen.sigma_a
        if epsilon_ev is None or sigma_a is None:
            default = RARE_GASES[element]
            return Pair(epsilon_ev or default.epsilon_ev, sigma_a or default.sigma_a)
        return Pair(epsilon_ev, sigma_a)

    def probe(self) -> str | None:
        """Return None: ASE comes with NANO-OS. Without it, how to get it."""
        if find_spec("ase") is None:
            return "ASE is not installed: pip install ase"
        return None

    def refuses(self, structure: Structure) -> str | None:
        """Return why not: several elements, one without ε and σ, or mixed sites."""
        if reason := refusal_of_elements("Lennard-Jones", self.elements, structure):
            is_of_elements = structure.is_ordered
            return f"{reason} unless given epsilon_ev and sigma_a" if is_of_elements else reason
        if len(structure.elements) > 1:
            return f"Lennard-Jones takes one element, not {' and '.join(structure.elements)}"
        return None

    def calculate(self, structure: Structure) -> Evaluation:
        """Return energy, forces and, for a periodic structure, stress.

        Raises
        ------
        UnsupportedByEngine
            If it refuses the structure.
        EngineError
            If the numbers are not finite.
        """
        from ase.calculators.lj import LennardJones

        if reason := self.refuses(structure):
            raise UnsupportedByEngine(reason)
        pair = self.pair(structure.elements[0])
        cutoff_a = self._cutoff_a(pair)
        calculator = LennardJones(  # type: ignore[no-untyped-call]
            epsilon=pair.epsilon_ev,
            sigma=pair.sigma_a,
            rc=cutoff_a,
            ro=ONSET * cutoff_a,
            smooth=True,
        )
        return evaluate(structure, calculator, "Lennard-Jones")

    def _cutoff_a(self, pair: Pair) -> float:
        return self._chosen.cutoff_a or CUTOFF_SIGMA * pair.sigma_a
