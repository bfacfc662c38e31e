"""What was calculated for a record, in the names and units that ASE has for it."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoos.writers.record import Record

_NAMES = {
    "energy": "energy_ev",
    "free_energy": "free_energy_ev",
    "forces": "forces_ev_per_a",
    "magmom": "total_magnetization_mu_b",
    "magmoms": "magnetic_moments_mu_b",
}


def calculated(record: Record) -> dict[str, Any]:
    """Return ``energy``, ``free_energy`` (eV), ``forces`` (eV/Å), ``stress`` (eV/Å³), ``magmoms``.

    Those that are known; stress is (3, 3), positive under tension.
    """
    from ase.units import GPa

    result = record.result or {}
    found = {name: result[key] for name, key in _NAMES.items() if result.get(key) is not None}
    if result.get("stress_gpa") is not None:
        found["stress"] = np.asarray(result["stress_gpa"]) * GPa
    return found


def said(record: Record) -> dict[str, Any]:
    """Return what is said beside: which result it is, by what method, and whether it converged.

    The energy is said once more: ASE keeps all this when another calculator is set.
    """
    result = record.result or {}
    names = {
        "result_id": "id",
        "is_converged": "is_converged",
        "nano_os_method": "method",
        "nano_os_energy_ev": "energy_ev",
    }
    return {name: result[key] for name, key in names.items() if result.get(key) is not None}
