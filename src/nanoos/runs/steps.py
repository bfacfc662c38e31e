"""The ionic steps of a run as text: extended XYZ, which ASE reads with all that was calculated.

Numbers are written so that they are read as exactly what they were. A frame holds ``energy``,
``free_energy``, ``energy_without_entropy`` (eV), ``stress`` (eV/Å³, positive under tension),
``forces`` (eV/Å) and ``magmoms`` (Bohr magnetons), of which it has what the run's step has.
"""

from __future__ import annotations

import numpy as np
from ase.units import GPa

from nanoos.runs.run import Array, Step


def frame(step: Step) -> str:
    """Return one step as a frame. Raises StructureError for a disordered structure."""
    structure = step.structure
    pairs = []
    if structure.lattice_a is not None:
        pairs.append(f'Lattice="{_numbers(structure.lattice_a)}"')
    properties, columns = ["species:S:1", "pos:R:3"], [structure.positions_a]
    for name, array in (("forces", step.forces_ev_per_a), ("magmoms", step.magnetic_moments_mu_b)):
        if array is not None:
            wide = np.asarray(array, dtype=np.float64).reshape(structure.n_sites, -1)
            properties.append(f"{name}:R:{wide.shape[1]}")
            columns.append(wide)
    pairs.append(f"Properties={':'.join(properties)}")
    for name, value in (
        ("energy", step.energy_ev),
        ("free_energy", step.free_energy_ev),
        ("energy_without_entropy", step.energy_without_entropy_ev),
    ):
        if value is not None:
            pairs.append(f"{name}={float(value)!r}")
    if step.stress_gpa is not None:
        pairs.append(f'stress="{_numbers(np.asarray(step.stress_gpa) * GPa)}"')
    pairs.append(f'pbc="{" ".join("FT"[p] for p in structure.periodic)}"')
    rows = np.hstack(columns).tolist()
    lines = [str(structure.n_sites), " ".join(pairs)]
    lines += [
        f"{symbol} {' '.join(map(repr, row))}"
        for symbol, row in zip(structure.symbols, rows, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _numbers(array: Array) -> str:
    return " ".join(map(repr, np.ravel(array).tolist()))
