"""The atomic structure: the one record that parsers make and engines read."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

Array = NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class Species:
    """One kind of site: what may sit there and how often, as OPTIMADE's ``species``.

    ``chemical_symbols`` are element symbols, ``"X"`` (unknown) or ``"vacancy"``;
    ``concentration`` has one occupancy (0..1) for each of them.
    """

    name: str
    chemical_symbols: tuple[str, ...]
    concentration: tuple[float, ...]

    @property
    def is_ordered(self) -> bool:
        """One real element with full occupancy."""
        return len(self.chemical_symbols) == 1 and self.concentration[0] == 1.0


@dataclass(frozen=True, slots=True)
class Structure:
    """A crystal, slab, wire or molecule.

    Parameters
    ----------
    lattice_a
        (3, 3) lattice vectors as rows, in Å; None for a molecule without a cell.
    positions_a
        (n, 3) Cartesian positions, in Å.
    species
        The distinct kinds of site.
    species_at_sites
        For each of the n sites, the ``name`` of its species.
    periodic
        Which of the three lattice directions repeat.
    """

    lattice_a: Array | None
    positions_a: Array
    species: tuple[Species, ...]
    species_at_sites: tuple[str, ...]
    periodic: tuple[bool, bool, bool] = field(default=(True, True, True))
