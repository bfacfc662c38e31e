"""What ASE's files have in common: a row or frame of named arrays, and JSON in ASE's dialect.

Nothing of ASE's own readers is used: they build any object that a file names, and as large
as it says.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.arrays import array_of, check_n_sites
from nanoos.parsers.parser import Parsed
from nanoos.parsers.plain import plain
from nanoos.structures import Structure

_RESULTS = {
    "energy": "energy_ev",
    "free_energy": "free_energy_ev",
    "forces": "forces_ev_per_a",
    "stress": "stress_ev_per_a3",  # xx, yy, zz, yz, xz, xy; positive under tension
    "magmom": "magnetic_moment_mu_b",
    "magmoms": "magnetic_moments_mu_b",
}
_ON_ATOMS = ("initial_magmoms", "initial_charges", "tags")


def parsed_row(row: Mapping[str, Any]) -> Parsed:
    """Return the structure of a row or frame; ``extra`` holds what else it says.

    The keys are ASE's: ``numbers``, ``positions`` (Å), ``cell`` (Å), ``pbc``, results in eV and
    Å, ``key_value_pairs`` and ``data``. Raises ParseError or StructureError.
    """
    structure = _structure(row)
    pairs = plain(row.get("key_value_pairs") or {})
    extra: dict[str, Any] = dict(pairs) if isinstance(pairs, dict) else {}
    if row.get("data"):
        extra["data"] = plain(row["data"])
    for key in _ON_ATOMS:
        if row.get(key) is not None and np.any(row[key]):
            extra[key] = plain(row[key])
    found = {name: plain(row.get(key)) for key, name in _RESULTS.items()}
    results = {name: value for name, value in found.items() if isinstance(value, (float, list))}
    if results:
        extra["calculation"] = {"calculator": plain(row.get("calculator"))} | results
    name = extra.get("name")
    return Parsed(structure, name if isinstance(name, str) else "", extra)


def _structure(row: Mapping[str, Any]) -> Structure:
    from ase import Atoms
    from ase.data import chemical_symbols

    numbers = array_of(row.get("numbers"), "atomic numbers", (None,))
    check_n_sites(len(numbers))
    positions = array_of(row.get("positions"), "positions", (len(numbers), 3))
    cell = row.get("cell")
    lattice = np.zeros((3, 3)) if cell is None else array_of(cell, "cell vectors", (3, 3))
    pbc = np.zeros(3) if row.get("pbc") is None else np.array(row["pbc"])
    if pbc.shape != (3,) or pbc.dtype.kind not in "biuf":
        raise ParseError("Which directions repeat (pbc) is not said by three values.")
    if not np.isin(numbers, range(1, len(chemical_symbols))).all():
        raise StructureError("An atomic number is that of no element.")
    return Structure.from_ase(
        Atoms(numbers=numbers.astype(int), positions=positions, cell=lattice, pbc=pbc != 0)
    )


def undumped(value: Any) -> Any:
    """Return JSON of ASE (`ase.io.jsonio`) with its arrays as nested lists."""
    if isinstance(value, list):
        return [undumped(item) for item in value]
    if not isinstance(value, dict):
        return value
    if "__ndarray__" in value:
        return _nested(value["__ndarray__"])
    inner = {key: undumped(item) for key, item in value.items()}
    return inner.get("array") if inner.get("__ase_objtype__") == "cell" else inner


def _nested(array: Any) -> Any:
    """Return an array from its shape, the name of its type, and its numbers one after another."""
    try:
        shape, _, numbers = array
        if math.prod(shape) == len(numbers):
            return np.array(numbers).reshape(shape).tolist()
    except (TypeError, ValueError):
        pass
    raise ParseError("An array does not have as many numbers as its shape says.")
