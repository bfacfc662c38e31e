"""SOAP: crystals by the shape of their atoms' surroundings, whatever the elements and the size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nanoos.embedders.embedder import Embedded
from nanoos.errors import EmbeddingError
from nanoos.structures import Species, Structure

if TYPE_CHECKING:
    from ase import Atoms

VOLUME_A3_PER_SITE = 15.0
"""Every crystal is scaled to this before it is looked at."""
CUTOFF_A = 6.0
N_RADIAL, MAX_ANGULAR = 6, 5
"""Radial functions and highest angular momentum of the expansion."""
SPECTRUM_SIZE = N_RADIAL * (N_RADIAL + 1) // 2 * (MAX_ANGULAR + 1)
N_SHARES = 6
SITES_PER_BATCH = 20_000
"""Keeps a batch of power spectra below some 100 MB."""

HYPERS = {
    "cutoff": {"radius": CUTOFF_A, "smoothing": {"type": "ShiftedCosine", "width": 1.0}},
    "density": {"type": "Gaussian", "width": 0.5, "center_atom_weight": 1.0},
    "basis": {
        "type": "TensorProduct",
        "max_angular": MAX_ANGULAR,
        "radial": {"type": "Gto", "max_radial": N_RADIAL - 1},
    },
}


class Soap:
    """Smooth overlap of atomic positions, averaged over the crystal and blind to the elements.

    SOAP power spectra (A. P. Bartók, R. Kondor, G. Csányi, Phys. Rev. B 87, 184115 (2013)),
    computed by featomic on the crystal scaled to 15 Å3 per site, averaged over all sites. A
    vector of 258 numbers has three parts:

    - 126: each site's surroundings made of all sites, as if they were of one kind;
    - 126: each site's surroundings made of the sites of its own kind only: this tells apart
      orderings of one lattice, such as CsCl and NaTl;
    - 6: the shares of the kinds of site, largest first, zeros after (of more kinds than six
      the smallest are left out).

    The first two have length one each. Which element a kind is does not enter: NaCl, MgO and
    PbS are neighbours. The kind of a mixed site is its most common element, so that a solid
    solution stays near its end member.

    A vector does not change when the crystal is rotated, mirrored, moved, scaled, written in
    another cell or with its sites in another order. Only crystals have one: the scale comes
    from the volume per site, which molecules, wires and slabs do not have.
    """

    name = "soap"
    version = "1"
    dimension = 2 * SPECTRUM_SIZE + N_SHARES
    metric = "l2"

    def embed(self, structures: Sequence[Structure]) -> Embedded:
        """Return (n, 258) float32 vectors; what does not repeat in three directions fails."""
        vectors = np.full((len(structures), self.dimension), np.nan, dtype=np.float32)
        failures: dict[int, EmbeddingError] = {}
        crystals: dict[int, _Crystal] = {}
        for i, structure in enumerate(structures):
            try:
                crystals[i] = _Crystal.of(structure)
            except EmbeddingError as error:
                failures[i] = error
        for batch in _batches(crystals):
            vectors[batch] = _vectors([crystals[i] for i in batch])
        return Embedded(vectors, failures)


@dataclass(frozen=True)
class _Crystal:
    """A crystal scaled to 15 Å3 per site with all its sites hydrogen, and their kinds."""

    sites: Atoms
    kinds: NDArray[np.str_]

    @classmethod
    def of(cls, structure: Structure) -> _Crystal:
        from ase import Atoms

        lattice, volume_a3 = structure.lattice_a, structure.volume_a3
        if lattice is None or volume_a3 is None:
            raise EmbeddingError("SOAP embeds crystals only: periodic in all three directions.")
        scale = (VOLUME_A3_PER_SITE * structure.n_sites / volume_a3) ** (1 / 3)
        sites = Atoms(
            numbers=np.ones(structure.n_sites, dtype=int),
            positions=structure.positions_a * scale,
            cell=lattice * scale,
            pbc=True,
        )
        return cls(sites, np.array([_most_common(s) for s in structure.site_species]))

    def sublattices(self) -> list[Atoms]:
        """The sites of each kind by themselves, in the crystal's cell."""
        return [self.sites[self.kinds == kind] for kind in np.unique(self.kinds)]

    def shares(self) -> NDArray[np.float64]:
        """The shares of the kinds, (6,), largest first."""
        counts = np.sort(np.unique(self.kinds, return_counts=True)[1])[::-1][:N_SHARES]
        return np.pad(counts / len(self.kinds), (0, N_SHARES - len(counts)))


def _most_common(species: Species) -> str:
    """Return the most common element; of equally common ones the last in the alphabet."""
    return max((share, symbol) for symbol, share in species.occupancy.items())[1]


def _batches(crystals: dict[int, _Crystal]) -> Iterator[list[int]]:
    """Yield the keys of ``crystals`` in runs of at most ``SITES_PER_BATCH`` sites."""
    batch: list[int] = []
    n_sites = 0
    for i, crystal in crystals.items():
        n_sites += len(crystal.kinds)
        if batch and n_sites > SITES_PER_BATCH:
            yield batch
            batch, n_sites = [], len(crystal.kinds)
        batch.append(i)
    if batch:
        yield batch


def _vectors(crystals: list[_Crystal]) -> NDArray[np.float64]:
    """Return the (n, 258) vectors of crystals."""
    systems: list[Atoms] = []
    rows: list[int] = []  # of each system: 2i for all of crystal i, 2i + 1 for its sublattices
    for i, crystal in enumerate(crystals):
        sublattices = crystal.sublattices()
        systems += [crystal.sites, *sublattices]
        rows += [2 * i] + [2 * i + 1] * len(sublattices)
    sums = np.zeros((2 * len(crystals), SPECTRUM_SIZE))
    np.add.at(sums, rows, _summed_spectra(systems))
    spectra = sums / np.linalg.norm(sums, axis=1, keepdims=True)
    shares = np.array([crystal.shares() for crystal in crystals])
    return np.hstack([spectra.reshape(len(crystals), -1), shares])


def _summed_spectra(systems: list[Atoms]) -> NDArray[np.float64]:
    """Return the power spectra summed over each system's sites, (n, 126)."""
    from featomic import SoapPowerSpectrum

    block = SoapPowerSpectrum(**HYPERS).compute(systems).block(0)
    first, second = block.properties["n_1"], block.properties["n_2"]
    # The spectrum is symmetric in n1, n2: keep one half, weighted so that lengths stay.
    weights = np.where(first == second, 1.0, np.sqrt(2.0))[first <= second]
    sums = np.zeros((len(systems), SPECTRUM_SIZE))
    np.add.at(sums, block.samples["system"], block.values[:, first <= second] * weights)
    return sums
