"""What lies at a rounding edge of the fingerprint keeps it when it is written and read again."""

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanoos import plugins
from nanoos.parsers import Source
from nanoos.structures import Structure, fingerprint
from nanoos.structures.fingerprint import EDGE_OFFSET
from nanoos.writers import write

FORMATS = ["cif", "poscar", "extxyz"]
NOISE = st.sampled_from([0.0, 1e-17, -1e-17, 1e-16, -1e-16, 1e-15, -1e-15, 1e-12, -1e-12])


def edge(steps: int, step: float) -> float:
    """Return the number at which rounding to ``steps`` begins."""
    return (steps - EDGE_OFFSET) * step


fractions = st.builds(
    lambda steps, noise: edge(steps, 1e-6) + noise, st.integers(-200_000, 1_400_000), NOISE
)
lengths_a = st.builds(
    lambda steps, noise: edge(steps, 1e-5) + noise, st.integers(300_000, 2_000_000), NOISE
)
angles_deg = st.builds(
    lambda steps, noise: edge(steps, 1e-4) + noise, st.integers(600_000, 1_150_000), NOISE
)
turns = st.sampled_from([0.0, 0.3, 1.0])


@given(
    st.tuples(lengths_a, lengths_a, lengths_a),
    st.tuples(angles_deg, angles_deg, angles_deg),
    st.tuples(fractions, fractions, fractions),
    turns,
    st.sampled_from(FORMATS),
)
def test_fingerprint_survives_at_its_rounding_edges(lengths, angles, where, turn, format_):
    lattice = turned(cell(lengths, angles), turn)
    apart = np.add(where, [[0.0, 0.0, 0.5], [0.0, 0.0, 0.0]])
    structure = Structure.of(lattice, apart @ lattice, ["O", "Zn"])
    source = Source.of_text(write([structure], format_))
    (again,) = plugins.get("nanoos.parsers", format_)().parse(source)
    assert fingerprint(again.structure) == fingerprint(structure)
    written, read = structure.positions_a, again.structure.positions_a
    assert np.linalg.norm(written[1] - written[0]) == pytest.approx(
        np.linalg.norm(read[1] - read[0]), abs=1e-9
    )


def cell(lengths, angles):
    alpha, beta, gamma = np.radians(angles)
    x = np.cos(beta)
    y = (np.cos(alpha) - np.cos(beta) * np.cos(gamma)) / np.sin(gamma)
    unit = [[1, 0, 0], [np.cos(gamma), np.sin(gamma), 0], [x, y, np.sqrt(1 - x * x - y * y)]]
    return np.array(lengths)[:, None] * np.array(unit)


def turned(lattice, angle):
    turn = np.array(
        [[np.cos(angle), -np.sin(angle), 0], [np.sin(angle), np.cos(angle), 0], [0, 0, 1]]
    )
    return lattice @ turn @ np.roll(turn, (1, 1), (0, 1))
