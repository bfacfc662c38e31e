"""The atomic structure: the one record that parsers make and engines read."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Self

import numpy as np
from ase.data import atomic_masses, atomic_numbers
from numpy.typing import ArrayLike, NDArray

from nanoos.errors import StructureError
from nanoos.structures.geometry import (
    Pair,
    cell_heights,
    closest_pair,
    crowded_pair,
    inverse,
    signed_volume_a3,
)

if TYPE_CHECKING:
    from ase import Atoms

Array = NDArray[np.float64]

VACANCY = "vacancy"
ELEMENTS = frozenset(atomic_numbers) - {"X"}
MIN_DISTANCE_A = 0.5  # no two atoms come this close; the shortest bond, H–H, is 0.74 Å
MIN_CELL_HEIGHT_A = 0.1  # flatter than any real cell: the vectors are linearly dependent
MAX_COORDINATE_A = 1e6  # farther out a float no longer resolves what a fingerprint does
MAX_SITES = 100_000  # more take longer to analyse than anyone waits
OCCUPANCY_TOLERANCE = 0.02  # published occupancies of one site are rounded one by one
AMU_PER_A3_IN_G_PER_CM3 = 1.66053906892  # CODATA 2022: the atomic mass constant in 1e-24 g


@dataclass(frozen=True, slots=True)
class Species:
    """One kind of site: what may sit there and how often, as OPTIMADE's ``species``.

    ``chemical_symbols`` are element symbols or ``"vacancy"``; ``concentration`` has one
    occupancy (0..1) for each of them. Raises `StructureError` when they are not valid.
    """

    name: str
    chemical_symbols: tuple[str, ...]
    concentration: tuple[float, ...]

    def __post_init__(self) -> None:
        if len(self.chemical_symbols) != len(self.concentration):
            raise StructureError(f"Species {self.name}: one occupancy is needed for each symbol.")
        unknown = set(self.chemical_symbols) - ELEMENTS - {VACANCY}
        if unknown:
            raise StructureError(f"Species {self.name}: {_listed(unknown)} is no known element.")
        if not all(0 < c <= 1 for c in self.concentration):
            raise StructureError(
                f"Species {self.name}: the occupancies {self.concentration} are not within 0..1."
            )
        if sum(self.concentration) > 1 + OCCUPANCY_TOLERANCE:
            raise StructureError(
                f"Species {self.name}: the occupancies add up to {sum(self.concentration):.3f}."
            )
        if set(self.chemical_symbols) <= {VACANCY}:
            raise StructureError(f"Species {self.name} holds no element.")

    @property
    def occupancy(self) -> dict[str, float]:
        """Element → how often it is there, without vacancies, sorted by element."""
        if self.is_ordered and self.chemical_symbols[0] != VACANCY:
            return {self.chemical_symbols[0]: 1.0}
        shares: dict[str, float] = {}
        for symbol, share in sorted(zip(self.chemical_symbols, self.concentration, strict=True)):
            if symbol != VACANCY:
                shares[symbol] = shares.get(symbol, 0.0) + share
        return shares

    @property
    def is_ordered(self) -> bool:
        """One element with full occupancy."""
        return len(self.chemical_symbols) == 1 and self.concentration[0] == 1.0


@dataclass(frozen=True, slots=True, eq=False)
class Structure:
    """A crystal, slab, wire or molecule. Valid by construction and immutable.

    A left-handed cell is made right-handed by turning all three vectors around: the lattice
    and the Cartesian positions stay what they were. Two structures are compared by their
    `nanoos.structures.fingerprint`; ``==`` is identity.

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

    Raises
    ------
    StructureError
        Wrong sizes, numbers that are not finite, no site or over 100,000, a flat cell, unknown
        or unused species, or two sites closer than 0.5 Å (periodic images included). Partly
        occupied sites may come closer when their occupancies add up to 1 at most: they are
        alternatives to each other, a split position.
    """

    lattice_a: Array | None
    positions_a: Array
    species: tuple[Species, ...]
    species_at_sites: tuple[str, ...]
    periodic: tuple[bool, bool, bool] = field(default=(True, True, True))
    _fractional: Array | None = field(init=False, repr=False)
    _composition: dict[str, float] = field(init=False, repr=False)
    _is_split: bool = field(init=False, repr=False)

    def __post_init__(self) -> None:
        if len(self.species_at_sites) > MAX_SITES:
            raise StructureError(
                f"The structure has {len(self.species_at_sites)} sites; at most {MAX_SITES} are "
                "read."
            )
        positions = _read_only(self.positions_a, "positions", (len(self.species_at_sites), 3))
        object.__setattr__(self, "positions_a", positions)
        object.__setattr__(self, "species", tuple(self.species))
        object.__setattr__(self, "species_at_sites", tuple(self.species_at_sites))
        a, b, c = self.periodic
        object.__setattr__(self, "periodic", (bool(a), bool(b), bool(c)))
        object.__setattr__(self, "lattice_a", self._right_handed_lattice())
        self._check_species()
        object.__setattr__(self, "_composition", self._counted())
        fractional = None
        if self.lattice_a is not None:
            fractional = positions @ inverse(self.lattice_a)
            fractional.setflags(write=False)
        object.__setattr__(self, "_fractional", fractional)
        place = (self.lattice_a, self.positions_a, self.periodic, MIN_DISTANCE_A)
        pair = closest_pair(*place, fractional)
        object.__setattr__(self, "_is_split", pair is not None)
        if pair is not None and not self.is_ordered:
            filled = {s.name: sum(s.occupancy.values()) for s in self.species}
            shares = np.array([filled[name] for name in self.species_at_sites])
            pair = crowded_pair(*place, shares / (1 + OCCUPANCY_TOLERANCE))
        if pair is not None:
            raise StructureError(self._too_close(pair))

    @classmethod
    def of(
        cls,
        lattice_a: ArrayLike | None,
        positions_a: ArrayLike,
        symbols: Sequence[str],
        periodic: tuple[bool, bool, bool] | None = None,
    ) -> Self:
        """Make an ordered structure of one element symbol per site.

        Without ``periodic`` all three directions repeat if there is a lattice, else none.
        """
        if periodic is None:
            periodic = (False,) * 3 if lattice_a is None else (True,) * 3
        return cls(
            lattice_a=None if lattice_a is None else np.asarray(lattice_a, dtype=np.float64),
            positions_a=np.asarray(positions_a, dtype=np.float64),
            species=tuple(Species(s, (s,), (1.0,)) for s in sorted(set(symbols))),
            species_at_sites=tuple(symbols),
            periodic=periodic,
        )

    @classmethod
    def of_site_species(
        cls,
        lattice_a: Array | None,
        positions_a: Array,
        site_species: Sequence[Species],
        periodic: tuple[bool, bool, bool] = (True, True, True),
    ) -> Self:
        """Make a structure of one species per site; equal ones have equal names."""
        return cls(
            lattice_a=lattice_a,
            positions_a=positions_a,
            species=tuple({one.name: one for one in site_species}.values()),
            species_at_sites=tuple(one.name for one in site_species),
            periodic=periodic,
        )

    @classmethod
    def from_ase(cls, atoms: Atoms) -> Self:
        """Make a structure of ASE's Atoms; a missing lattice vector is completed by ASE."""
        pbc = atoms.pbc
        lattice = None if atoms.cell.rank == 0 else atoms.cell.complete().array
        missing = pbc & (np.linalg.norm(atoms.cell.array, axis=1) == 0)
        if missing.any():
            raise StructureError("A direction repeats but has no lattice vector.")
        return cls.of(lattice, atoms.positions, list(atoms.symbols), (pbc[0], pbc[1], pbc[2]))

    def to_ase(self) -> Atoms:
        """Return ASE's Atoms. Raises StructureError when the structure is disordered."""
        from ase import Atoms

        return Atoms(
            symbols=self.symbols,
            positions=self.positions_a,
            cell=self.lattice_a,
            pbc=self.periodic,
        )

    @property
    def n_sites(self) -> int:
        """Number of sites in the cell."""
        return len(self.species_at_sites)

    @property
    def n_periodic(self) -> int:
        """Number of directions that repeat (OPTIMADE's ``nperiodic_dimensions``)."""
        return sum(self.periodic)

    @property
    def is_ordered(self) -> bool:
        """Every site holds one element with full occupancy."""
        return all(s.is_ordered for s in self.species)

    @property
    def is_split(self) -> bool:
        """Partly occupied sites lie closer than 0.5 Å: alternatives to each other."""
        return self._is_split

    @property
    def site_species(self) -> list[Species]:
        """The species of each of the n sites."""
        by_name = {s.name: s for s in self.species}
        return [by_name[name] for name in self.species_at_sites]

    @property
    def symbols(self) -> list[str]:
        """The element at each site. Raises StructureError when the structure is disordered."""
        if not self.is_ordered:
            raise StructureError(
                "The structure is disordered: some sites are partly occupied or shared by "
                "several elements. Choose an ordered representative first."
            )
        return [s.chemical_symbols[0] for s in self.site_species]

    @property
    def composition(self) -> dict[str, float]:
        """Element → number of atoms in the cell (a sum of occupancies), sorted by element."""
        return dict(self._composition)

    @property
    def elements(self) -> tuple[str, ...]:
        """The elements present, in alphabetical order."""
        return tuple(self.composition)

    @property
    def fractional(self) -> Array:
        """(n, 3) fractional coordinates, not wrapped. Raises StructureError without a cell."""
        if self._fractional is None:
            raise StructureError("A molecule without a cell has no fractional coordinates.")
        return self._fractional

    @property
    def volume_a3(self) -> float | None:
        """Volume of the cell in Å3; None unless the structure repeats in all three directions."""
        if self.lattice_a is None or not all(self.periodic):
            return None
        return signed_volume_a3(self.lattice_a)

    @property
    def density_g_per_cm3(self) -> float | None:
        """Mass of the cell over its volume, in g/cm3; None where the volume is.

        Masses are standard atomic weights (IUPAC 2016) as in `ase.data`.
        """
        volume_a3 = self.volume_a3
        if volume_a3 is None:
            return None
        mass = sum(n * atomic_masses[atomic_numbers[e]] for e, n in self.composition.items())
        return float(mass * AMU_PER_A3_IN_G_PER_CM3 / volume_a3)

    def _right_handed_lattice(self) -> Array | None:
        if self.lattice_a is None:
            if any(self.periodic):
                raise StructureError("A structure that repeats needs lattice vectors.")
            return None
        lattice = _read_only(self.lattice_a, "lattice vectors", (3, 3))
        if cell_heights(lattice).min() < MIN_CELL_HEIGHT_A:
            raise StructureError(
                "The cell is flat: its lattice vectors are linearly dependent or too short."
            )
        if signed_volume_a3(lattice) < 0:
            lattice = _read_only(-lattice, "lattice vectors", (3, 3))
        return lattice

    def _counted(self) -> dict[str, float]:
        sites = Counter(self.species_at_sites)
        amounts: dict[str, float] = {}
        for species in self.species:
            for element, share in species.occupancy.items():
                amounts[element] = amounts.get(element, 0.0) + share * sites[species.name]
        return dict(sorted(amounts.items()))

    def _check_species(self) -> None:
        names = [s.name for s in self.species]
        if len(set(names)) != len(names):
            raise StructureError("Two species have the same name.")
        if set(names) != set(self.species_at_sites):
            odd = set(names) ^ set(self.species_at_sites)
            raise StructureError(
                f"Species {_listed(odd)}: named at sites but not defined, or unused."
            )

    def _too_close(self, pair: Pair) -> str:
        i, j = pair.i, pair.j
        names = f"{self.species_at_sites[i]} (site {i + 1})"
        if i == j:
            return f"{names} is {pair.distance_a:.3f} Å from its own periodic image."
        names += f" and {self.species_at_sites[j]} (site {j + 1})"
        sites = self.site_species
        total = sum(sum(sites[k].occupancy.values()) for k in (i, j))
        if not self.is_ordered and total < 2 - OCCUPANCY_TOLERANCE:
            return (
                f"{names} overlap: they are {pair.distance_a:.3f} Å apart and their occupancies "
                f"add up to {total:.3f}, so they are no alternatives to each other."
            )
        return f"{names} overlap: they are {pair.distance_a:.3f} Å apart."


def _read_only(values: ArrayLike, what: str, shape: tuple[int, int]) -> Array:
    array = np.array(values, dtype=np.float64)
    if array.size == 0:
        raise StructureError("A structure needs at least one site.")
    if array.shape != shape:
        raise StructureError(f"The {what} have shape {array.shape}, not {shape}.")
    if not np.abs(array).max() <= MAX_COORDINATE_A:  # as it is of what is not a number
        raise StructureError(f"The {what} contain a number that is not finite, or beyond 1e6 Å.")
    array.setflags(write=False)
    return array


def _listed(names: set[str]) -> str:
    return ", ".join(sorted(map(str, names)))
