"""The fingerprint: equal content, equal hash.

What counts as content, and is hashed after rounding:

- the cell as its lengths (to 1e-5 Å) and angles (to 1e-4 °), so that a rotation of the whole
  structure does not matter;
- the sites as fractional coordinates (to 1e-6), wrapped along the directions that repeat,
  each with its elements and occupancies (to 1e-6); their order and the labels do not matter;
- which directions repeat.

A structure that repeats in no direction is its Cartesian positions (to 1e-5 Å) relative to
their centroid, cell ignored. It may be shifted, but not rotated: no orientation can be chosen
for it that is stable for symmetric molecules and tells mirror images apart.

Another origin, cell or supercell of the same crystal has another fingerprint: it says
"the same record", not "the same material". Values within the noise of a rounding edge may
get different fingerprints; none that differ by more than the rounding get the same.
"""

from __future__ import annotations

import hashlib
from math import floor, sqrt

import numpy as np
from numpy.typing import NDArray

from nanoos.structures.geometry import lengths_and_angles
from nanoos.structures.structure import Array, Structure

FINGERPRINT_VERSION = 1

_LENGTH_STEP_A = 1e-5
_ANGLE_STEP_DEG = 1e-4
_FRACTION_STEPS = 1_000_000  # in one lattice vector
_OCCUPANCY_STEP = 1e-6
# Rounding edges lie off every short decimal and simple fraction, where data would sit on them.
EDGE_OFFSET = 0.5 + sqrt(2) / 50
_EDGE_MARGIN = 1e-6  # of a step: far more than the noise of reading, far less than any meaning


def fingerprint(structure: Structure) -> str:
    """Return the SHA-256 of the structure's canonical content, as 64 hexadecimal digits."""
    kinds = {s.name: _species_content(s.occupancy) for s in structure.species}
    if structure.lattice_a is None or structure.n_periodic == 0:
        cell = "no cell"
        centred = structure.positions_a - structure.positions_a.mean(axis=0)
        places = _steps(centred, _LENGTH_STEP_A)
    else:
        cell = _cell_content(structure.lattice_a, structure.periodic)
        places = _steps(structure.fractional, 1 / _FRACTION_STEPS)
        places = np.where(structure.periodic, places % _FRACTION_STEPS, places)
    sites = sorted(
        f"{kinds[name]} {x} {y} {z}"
        for name, (x, y, z) in zip(structure.species_at_sites, places.tolist(), strict=True)
    )
    content = "\n".join([f"version {FINGERPRINT_VERSION}", cell, *sites])
    return hashlib.sha256(content.encode()).hexdigest()


def _steps(values: Array, step: float) -> NDArray[np.int64]:
    """Return the number of the rounding interval that each value falls into."""
    steps: NDArray[np.int64] = np.floor(values / step + EDGE_OFFSET).astype(np.int64)
    return steps


def _species_content(occupancy: dict[str, float]) -> str:
    return ",".join(f"{e}:{round(c / _OCCUPANCY_STEP)}" for e, c in occupancy.items())


def _cell_content(lattice_a: Array, periodic: tuple[bool, bool, bool]) -> str:
    lengths, angles = lengths_and_angles(lattice_a)
    # As `_steps`, whose arrays take three times as long for so few numbers.
    numbers = [floor(length / _LENGTH_STEP_A + EDGE_OFFSET) for length in lengths.tolist()]
    numbers += [floor(angle / _ANGLE_STEP_DEG + EDGE_OFFSET) for angle in angles.tolist()]
    return " ".join(map(str, numbers)) + " " + "".join("FT"[p] for p in periodic)


def steady_cell(lattice_a: Array) -> tuple[Array, Array]:
    """Return the lengths in Å and angles in degrees, clear of the edges where they are rounded.

    Written so, a cell keeps the fingerprint through the noise of being read again.
    """
    lengths, angles = lengths_and_angles(lattice_a)
    return _off_edges(lengths, _LENGTH_STEP_A), _off_edges(angles, _ANGLE_STEP_DEG)


def steady_fractional(structure: Structure) -> Array:
    """Return the (n, 3) fractional coordinates, clear of the edges where they are rounded."""
    return _off_edges(structure.fractional, 1 / _FRACTION_STEPS)


def _off_edges(values: Array, step: float) -> Array:
    """Return the values; one at a rounding edge is moved away from it, by 1e-6 of a step."""
    intervals = values / step + EDGE_OFFSET
    within = intervals - np.floor(intervals)
    moved = np.clip(within, _EDGE_MARGIN, 1 - _EDGE_MARGIN)
    steady: Array = np.where(moved == within, values, values + (moved - within) * step)
    return steady
