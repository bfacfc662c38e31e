"""All-electron reference values for elemental crystals, and how far a result is from them."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from functools import cache
from types import MappingProxyType

SOURCE = (
    "WIEN2k (all-electron), PBE, at 0 K without zero-point motion: K. Lejaeghere et al., "
    "Crit. Rev. Solid State Mater. Sci. 39, 1 (2014) and Science 351, aad3000 (2016), "
    "as in ase.collections.dcdft"
)


@dataclass(frozen=True, slots=True)
class Reference:
    """The equation of state of one element's crystal: volume in Å3, bulk modulus in GPa."""

    element: str
    volume_a3_per_atom: float
    bulk_modulus_gpa: float
    bulk_modulus_derivative: float


@dataclass(frozen=True, slots=True)
class Comparison:
    """A result beside its reference; errors in percent of the reference, positive if too large."""

    reference: Reference
    volume_error_percent: float
    bulk_modulus_error_percent: float


@cache
def dcdft() -> Mapping[str, Reference]:
    """Return the reference of each of 71 elements, by symbol (see ``SOURCE``).

    The numbers hold for the element's ground-state crystal (fcc for copper, hcp for zinc; for
    sulphur and manganese a simpler one) and for the PBE functional: a perfect PBE calculation
    has no error against them, experiment has. Compare only results for the same crystal.
    """
    from ase.collections import dcdft as collection

    return MappingProxyType(
        {
            element: Reference(
                element=element,
                volume_a3_per_atom=values["wien2k_volume"],
                bulk_modulus_gpa=values["wien2k_B"],
                bulk_modulus_derivative=values["wien2k_Bp"],
            )
            for element, values in collection.data.items()
        }
    )


def compare(element: str, volume_a3_per_atom: float, bulk_modulus_gpa: float) -> Comparison | None:
    """Set a volume and a bulk modulus beside the reference; None for an element without one."""
    reference = dcdft().get(element)
    if reference is None:
        return None
    return Comparison(
        reference=reference,
        volume_error_percent=100 * (volume_a3_per_atom / reference.volume_a3_per_atom - 1),
        bulk_modulus_error_percent=100 * (bulk_modulus_gpa / reference.bulk_modulus_gpa - 1),
    )
