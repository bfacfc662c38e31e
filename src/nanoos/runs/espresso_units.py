"""Units of Quantum ESPRESSO's results in ours, of the CODATA with which ASE reads them."""

from __future__ import annotations

from ase.units import GPa

from nanoos.parsers.espresso_cell import BOHR_A, RYDBERG_EV

HARTREE_EV = 2 * RYDBERG_EV
RYDBERG_PER_BOHR3_GPA = RYDBERG_EV / BOHR_A**3 / GPa
HARTREE_PER_BOHR3_GPA = 2 * RYDBERG_PER_BOHR3_GPA
