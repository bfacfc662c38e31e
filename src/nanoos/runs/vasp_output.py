"""What the two outputs of VASP, vasprun.xml and OUTCAR, have in common once they are read."""

from __future__ import annotations

import math
import re
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence, Sized
from dataclasses import dataclass, field, fields
from datetime import datetime
from itertools import chain
from typing import Any

import numpy as np

from nanoos.runs.bands import Bands
from nanoos.structures.structure import ELEMENTS, MAX_SITES, Array

_TOUCHING = re.compile(rb"(?<=\d)-(?=\d)")


@dataclass(slots=True, kw_only=True)
class IonicStep:
    """One geometry of an output and what was calculated for it; see `nanoos.runs.Step`."""

    lattice_a: Array
    positions_a: Array
    energy_ev: float | None = None
    free_energy_ev: float | None = None
    energy_without_entropy_ev: float | None = None
    forces_ev_per_a: Array | None = None
    stress_gpa: Array | None = None
    magnetic_moments_mu_b: Array | None = None
    electronic_steps: int | None = None
    is_electronically_converged: bool | None = None
    place: int | None = None


@dataclass
class Output:
    """What an output says of a run as a whole, filled while its steps are read.

    ``incar`` holds the tags as a user set them, ``parameters`` as VASP took them.
    """

    version: str | None = None
    started_at: datetime | None = None
    incar: dict[str, Any] = field(default_factory=dict)
    parameters: dict[str, Any] = field(default_factory=dict)
    elements: list[str] = field(default_factory=list)
    """Of each type of atom, in the order of the POTCAR."""
    counts: list[int] = field(default_factory=list)
    valences: list[float] = field(default_factory=list)
    titles: list[str] = field(default_factory=list)
    hashes: dict[str, str] = field(default_factory=dict)
    """Title of a potential → the sha256 that its header states."""
    lattice_a: Array | None = None
    positions_a: Array | None = None
    """Of the geometry that the run began with."""
    divisions: tuple[int, ...] = ()
    """Of the mesh of k-points."""
    is_line_mode: bool = False
    k_points: Array | None = None
    """(n, 4) those left of a mesh by symmetry, fractional, and their weights."""
    bands: Bands = field(default_factory=Bands)
    fermi_energy_ev: float | None = None
    total_magnetization_mu_b: float | None = None
    n_cores: int | None = None
    wall_time_s: float | None = None
    is_complete: bool = False
    """The program came to its end and wrote all of the file."""
    has_reached_accuracy: bool = False
    """The program says that the relaxation converged."""
    was_stopped: bool = False
    """By a file STOPCAR."""
    ran_out_of_time: bool = False
    """The queue says so."""
    fatal: list[str] = field(default_factory=list)
    complaints: list[str] = field(default_factory=list)
    damage: str | None = None
    """Why the rest of the file cannot be read."""

    @property
    def symbols(self) -> list[str]:
        """The element of each atom."""
        if sum(self.counts) > MAX_SITES:
            return []
        types = zip(self.elements, self.counts, strict=False)
        return [element for element, count in types for _ in range(count)]


def together(xml: Output | None, outcar: Output | None, incar: Mapping[str, Any]) -> Output:
    """Return what the outputs of one run say, those of the XML first; either may be missing."""
    each = [output for output in (xml, outcar) if output is not None]
    merged = Output()
    for one in fields(Output):
        values = [getattr(output, one.name) for output in each]
        for value in values:
            if value is not None and (not isinstance(value, Sized) or len(value)):
                setattr(merged, one.name, value)
                break
    merged.incar = {**incar, **(outcar.incar if outcar else {}), **(xml.incar if xml else {})}
    merged.parameters = dict(merged.incar)
    for output in reversed(each):
        merged.parameters |= output.parameters
    for name in ("is_complete", "has_reached_accuracy", "was_stopped", "is_line_mode"):
        setattr(merged, name, any(getattr(output, name) for output in each))
    return merged


def is_converged(
    n_steps: int, last_energies_ev: Sequence[float | None], parameters: Mapping[str, Any]
) -> bool | None:
    """Tell whether self-consistency was reached, of the number of electronic steps.

    After as many as were allowed it was only if the last two energies say so. VASP 5 says that
    EDIFF is reached then, whether it is or not. More are those of a response as well, of which
    nothing can be told.
    """
    limit, criterion = parameters.get("NELM"), parameters.get("EDIFF")
    if not limit or n_steps > limit:
        return None
    if n_steps < limit:
        return True
    energies = [energy for energy in last_energies_ev if energy is not None]
    if len(energies) < 2 or criterion is None:
        return False
    return abs(energies[1] - energies[0]) < float(criterion)


def number(text: str | bytes | None) -> float | None:
    """Return a number as Fortran prints it; None for asterisks, NaN and what is none."""
    if text is None:
        return None
    try:
        value = float(text)
    except ValueError:
        return None
    return value if math.isfinite(value) else None


def integer(text: str | bytes | None) -> int | None:
    """Return an integer; None for asterisks and what is none."""
    value = number(text)
    return None if value is None else int(value)


def table(lines: Iterable[bytes], shape: tuple[int, int], columns: slice) -> Array | None:
    """Return some columns of rows of numbers; None unless all are there, and finite.

    Numbers that touch, as where one is too wide for its column, are taken apart.
    """
    rows = list(lines)
    try:
        values = np.array(b" ".join(rows).split(), dtype=np.float64)
        if values.size % shape[0]:
            raise ValueError
    except ValueError:
        words = _TOUCHING.sub(b" -", b" ".join(rows)).split()
        try:
            values = np.array(words, dtype=np.float64)
        except ValueError:
            return None
    if values.size == 0 or values.size % shape[0]:
        return None
    found = values.reshape(shape[0], -1)[:, columns]
    return found if found.shape == shape and np.isfinite(found).all() else None


Level = tuple[int, int, list[bytes]]
"""Spin, place of the k-point, and the words of its rows: band, energy in eV, electrons."""


def add_levels(bands: Bands, levels: Iterable[Level], fullest: int) -> None:
    """Add to the bands what was printed; what is no table of numbers is left out.

    Those of one spin and length are read together, for which one table takes as long as for one.
    """
    alike: defaultdict[tuple[int, int], list[Level]] = defaultdict(list)
    for level in levels:
        spin, _, words = level
        if words:
            alike[spin, len(words) // 3].append(level)
    for (spin, n_bands), some in alike.items():
        if not _add_alike(bands, spin, n_bands, some, fullest):
            for one in some:
                _add_alike(bands, spin, n_bands, [one], fullest)


def _add_alike(bands: Bands, spin: int, n_bands: int, levels: list[Level], fullest: int) -> bool:
    words = chain.from_iterable(words for _, _, words in levels)
    found = table(words, (len(levels) * n_bands, 3), slice(0, 3))
    if found is None:
        return False
    _, energies_ev, electrons = found.T.reshape(3, len(levels), n_bands)
    bands.add(spin, [place for _, place, _ in levels], energies_ev, electrons / fullest)
    return True


def element_of(*names: str) -> str | None:
    """Return the element that the first of the names begins with that begins with one."""
    for name in names:
        found = re.match(r"[^A-Za-z]*([A-Z][a-z]?)", name)
        for length in (2, 1):
            if found and found[1][:length] in ELEMENTS:
                return found[1][:length]
    return None


def title_element(title: str) -> str | None:
    """Return the element of a potential from its title, such as ``PAW_PBE Fe_pv 02Aug2007``."""
    words = title.split()
    return element_of(*words[1:2], *words[:1])
