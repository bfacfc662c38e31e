"""Crystals to test with: made ones, real ones, and the same described in other ways."""

from __future__ import annotations

from pathlib import Path

import moyopy
import numpy as np
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from nanoos.parsers import read
from nanoos.structures import Species, Structure

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
# Crystal systems and centrings of all kinds, ordered and not.
SAMPLE = [
    *("coesite", "diopside", "perovskite", "rutile", "anatase", "cristobalite", "quartz"),
    *("ilmenite", "dolomite_0000905", "otavite", "greenockite", "pyrite", "cuprite", "spinel"),
    *("chalcopyrite", "tenorite", "sillimanite", "auricupride", "tetraauricupride", "cscl"),
]

KINDS = (
    Species("one", ("Si",), (1.0,)),
    Species("two", ("O",), (1.0,)),
    Species("mixed", ("Al", "Fe"), (0.7, 0.3)),
    Species("partial", ("Na", "vacancy"), (0.4, 0.6)),
)


@st.composite
def crystals(draw):
    """Up to six sites on a grid that keeps them apart, in a cell that is not flat."""
    lattice = np.diag(draw(hnp.arrays(float, 3, elements=st.floats(5, 9))))
    lattice[1, 0], lattice[2, 0], lattice[2, 1] = draw(
        hnp.arrays(float, 3, elements=st.floats(-2, 2))
    )
    cells = draw(st.lists(st.tuples(*[st.integers(0, 3)] * 3), min_size=1, max_size=6, unique=True))
    jitter = draw(hnp.arrays(float, (len(cells), 3), elements=st.floats(0, 0.1)))
    names = draw(
        st.lists(st.sampled_from([k.name for k in KINDS]), min_size=len(cells), max_size=len(cells))
    )
    fractional = np.array(cells) / 4 + jitter
    return build(lattice, fractional @ lattice, names)


def build(lattice, positions, names, kinds=KINDS, periodic=(True, True, True)):
    used = tuple(k for k in kinds if k.name in set(names))
    return Structure(lattice, positions, used, tuple(names), periodic)


def example(name):
    (path,) = EXAMPLES.glob(f"{name}.*" if "_" in name else f"{name}_0*")
    return read(path)[0].structure


@st.composite
def descriptions(draw, noise_a=0.004):
    """A crystal, and the same with other axes, a supercell, origin, order and little noise."""
    structure = example(draw(st.sampled_from(SAMPLE)))
    if draw(st.booleans()):
        structure = primitive(structure)
    return structure, draw(described_anew(structure, noise_a))


@st.composite
def described_anew(draw, structure, noise_a=0.0):
    other = repeated(structure, draw(cells(3 if structure.n_sites < 50 else 1)))
    shift = draw(hnp.arrays(float, 3, elements=st.floats(-5, 5)))
    noise = draw(hnp.arrays(float, (other.n_sites, 3), elements=st.floats(-noise_a, noise_a)))
    order = draw(st.permutations(range(other.n_sites)))
    moved = (other.positions_a + shift + noise)[order]
    sites = tuple(other.species_at_sites[i] for i in order)
    return Structure(other.lattice_a, moved, other.species, sites)


@st.composite
def cells(draw, most):
    """Integer rows: another cell of the same lattice, up to ``most`` times as large."""
    entries = np.eye(3, dtype=int)
    entries[np.triu_indices(3, 1)] = draw(hnp.arrays(np.int64, 3, elements=st.integers(-1, 1)))
    larger = np.eye(3, dtype=int)
    larger[np.tril_indices(3, -1)] = draw(hnp.arrays(np.int64, 3, elements=st.integers(-1, 1)))
    axis = draw(st.integers(0, 2))
    larger[axis, axis] = draw(st.integers(1, most))
    return (larger @ entries)[draw(st.permutations(range(3)))]


def primitive(structure):
    """The primitive cell, as moyo standardises it."""
    names = sorted({s.name for s in structure.species})
    numbers = [names.index(name) for name in structure.species_at_sites]
    cell = moyopy.Cell(structure.lattice_a.tolist(), structure.fractional.tolist(), numbers)
    found = moyopy.MoyoDataset(cell, symprec=0.01).prim_std_cell
    basis = np.array(found.basis)
    sites = tuple(names[i] for i in found.numbers)
    return Structure(basis, np.array(found.positions) @ basis, structure.species, sites)


def repeated(structure, entries):
    """The structure in the cell whose vectors are the integer rows of ``entries``."""
    lattice = entries @ structure.lattice_a
    reach = np.abs(entries).sum(axis=0)
    steps = np.stack(np.meshgrid(*[np.arange(-r, r + 1) for r in reach]), axis=-1).reshape(-1, 3)
    inside = steps @ np.linalg.inv(entries)
    steps = steps[((inside > -1e-9) & (inside < 1 - 1e-9)).all(axis=1)]
    positions = structure.positions_a[:, None] + steps @ structure.lattice_a
    sites = tuple(name for name in structure.species_at_sites for _ in steps)
    return Structure(lattice, positions.reshape(-1, 3), structure.species, sites)


def mirrored(structure):
    flip = np.diag([1, 1, -1])
    return Structure(
        structure.lattice_a @ flip,
        structure.positions_a @ flip,
        structure.species,
        structure.species_at_sites,
    )
