"""Pseudopotentials: what a folder of UPF files offers, and which one stands for an element.

Of a file only the header is read: PP_INFO and PP_HEADER of the Unified Pseudopotential Format,
versions 1 (lines of a value and what it is) and 2 (attributes), "upf_format" of Quantum ESPRESSO.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from functools import cached_property, lru_cache
from pathlib import Path
from typing import Literal

from nanoos.errors import UnsupportedByEngine
from nanoos.methods import Potential, functional_name
from nanoos.parsers.espresso_cell import RYDBERG_EV
from nanoos.structures.structure import ELEMENTS

FUNCTIONALS = ("PBE", "PBEsol", "LDA")
"""Taken in this order where none is asked for; others follow by name."""

Kind = Literal["norm-conserving", "ultrasoft", "PAW"]

_KINDS: Mapping[str, Kind] = {
    **{"NC": "norm-conserving", "SL": "norm-conserving"},
    **{"US": "ultrasoft", "USPP": "ultrasoft", "PAW": "PAW"},
}
_PREFERENCE: tuple[Kind, ...] = ("norm-conserving", "ultrasoft", "PAW")
_HEAD_BYTES = 200_000  # PP_INFO may hold the whole input of the generator
_HEADER = re.compile(r"<PP_HEADER(.*?)(?:/>|</PP_HEADER>)", re.DOTALL)
_ATTRIBUTE = re.compile(r"(\w+)\s*=\s*\"\s*([^\"]*?)\s*\"")


@dataclass(frozen=True)
class Pseudopotential:
    """A UPF file and what its header says.

    ``n_valence`` electrons are described; cutoffs, in eV, are those that its author suggests,
    None where none is. ``relativistic`` is how its atom was treated: ``no``, ``scalar``, ``full``.
    """

    path: Path
    element: str
    functional: str
    kind: Kind
    relativistic: str
    n_valence: float
    cutoff_ev: float | None
    density_cutoff_ev: float | None

    @cached_property
    def potential(self) -> Potential:
        """What a method says of it: as for runs that were read, by the MD5 that pw.x prints."""
        md5 = hashlib.md5(self.path.read_bytes(), usedforsecurity=False).hexdigest()
        return Potential(self.element, self.path.name, hashlib.sha256(md5.encode()).hexdigest())

    @property
    def is_for_common_use(self) -> bool:
        """Not one of a fully relativistic atom, which needs spin–orbit, or of a mixed one."""
        return self.relativistic != "full" and self.n_valence == int(self.n_valence)

    @property
    def _rank(self) -> tuple[bool, bool, int, str]:
        return (
            self.relativistic == "scalar",
            self.cutoff_ev is not None,
            _PREFERENCE.index(self.kind),
            self.path.name,
        )


@dataclass(frozen=True)
class Pseudopotentials:
    """Those of a folder; files that are none, or of another format, are left out."""

    folder: Path
    files: tuple[Pseudopotential, ...]

    @classmethod
    def of(cls, folder: Path) -> Pseudopotentials:
        """Read the headers of a folder's UPF files; each once, as long as it stays as it is."""
        found = []
        if folder.is_dir():
            for path in sorted(folder.iterdir()):
                if path.suffix.lower() == ".upf" and path.is_file():
                    state = path.stat()
                    found.append(_read(path, state.st_mtime_ns, state.st_size))
        return cls(folder, tuple(one for one in found if one is not None))

    @property
    def elements(self) -> frozenset[str]:
        """The elements of which there is one for common use."""
        return frozenset(one.element for one in self.files if one.is_for_common_use)

    def choose(
        self, elements: Iterable[str], functional: str | None, named: Mapping[str, str]
    ) -> dict[str, Pseudopotential]:
        """Return one for each element, all of one functional.

        The file that is named for an element, else the best of its functional: of a scalar
        relativistic atom rather than a nonrelativistic one, with suggested cutoffs rather than
        without, PAW rather than ultrasoft rather than norm-conserving, the last by name.
        Without ``functional`` it is that of the named files, or the first of `FUNCTIONALS` that
        has all elements.

        Raises
        ------
        UnsupportedByEngine
            If a named file is not there or of another element, an element has none, or there
            is no functional that all have; it says which each has.
        """
        given = {one: self._named(one, named[one]) for one in sorted(elements) if one in named}
        wanted = {one.functional for one in given.values()} | (
            {functional} if functional else set()
        )
        if len(wanted) > 1:
            titles = ", ".join(f"{one.path.name} ({one.functional})" for one in given.values())
            asked = f", and {functional} is asked for" if functional else ""
            raise UnsupportedByEngine(
                f"one calculation has one functional; these are of several: {titles}{asked}"
            )
        missing = sorted(set(elements) - set(given))
        there = {one: self._of(one) for one in missing}
        shared = self._shared(there)
        name = next(iter(wanted), None) or (shared[0] if shared else None)
        if name is None or (missing and name not in shared):
            raise UnsupportedByEngine(self._lacking(there, name))
        best = {
            element: max(
                (one for one in files if one.functional == name), key=lambda one: one._rank
            )
            for element, files in there.items()
        }
        return dict(sorted((given | best).items()))

    def _named(self, element: str, name: str) -> Pseudopotential:
        found = next((one for one in self.files if one.path.name == name), None)
        if found is None or found.element != element:
            there = f"that file is of {found.element}" if found else "there is no such UPF file"
            raise UnsupportedByEngine(f"{name} is no pseudopotential of {element}: {there}")
        return found

    def _of(self, element: str) -> list[Pseudopotential]:
        return [one for one in self.files if one.element == element and one.is_for_common_use]

    def _shared(self, there: Mapping[str, list[Pseudopotential]]) -> list[str]:
        """Return the functionals that all elements have, the preferred first."""
        names = [{one.functional for one in files} for files in there.values()]
        shared = set.intersection(*names) if names else set()
        order = {name: place for place, name in enumerate(FUNCTIONALS)}
        return sorted(shared, key=lambda name: (order.get(name, len(order)), name))

    def _lacking(self, there: Mapping[str, list[Pseudopotential]], name: str | None) -> str:
        said = "; ".join(
            f"{element}: {', '.join(sorted({one.functional for one in files})) or 'none'}"
            for element, files in there.items()
        )
        wanted = name or "one functional"
        return f"the pseudopotentials here do not have {wanted} for all elements ({said})"


@lru_cache(maxsize=10_000)
def _read(path: Path, mtime_ns: int, size: int) -> Pseudopotential | None:  # noqa: ARG001
    """Return what the header of a file says; None where it is not understood."""
    with path.open("rb") as stream:
        head = stream.read(_HEAD_BYTES).decode(errors="replace")
    found = _HEADER.search(head)
    if found is None:
        return None
    given = dict(_ATTRIBUTE.findall(found[1])) or _of_version_1(found[1])
    element, kind = given.get("element", "").strip().capitalize(), given.get("pseudo_type", "")
    if element not in ELEMENTS or kind not in _KINDS or not given.get("functional"):
        return None
    is_full = "Fully-Relativistic" in head[: found.start()]
    return Pseudopotential(
        path=path,
        element=element,
        functional=functional_name(given["functional"]),
        kind=_KINDS[kind],
        relativistic="full" if is_full else given.get("relativistic", "scalar"),
        n_valence=_number(given.get("z_valence")) or 0.0,
        cutoff_ev=_energy_ev(given.get("wfc_cutoff")),
        density_cutoff_ev=_energy_ev(given.get("rho_cutoff")),
    )


def _of_version_1(header: str) -> dict[str, str]:
    """Return the lines of a header of version 1 by the names that version 2 has for them."""
    given = {}
    for line in header.splitlines():
        words = line.split()
        if line.rstrip().endswith("Element"):
            given["element"] = words[0]
        elif line.rstrip().endswith("pseudopotential"):
            given["pseudo_type"] = words[0]
        elif "Exchange-Correlation" in line:
            given["functional"] = " ".join(words[:4])
        elif "Z valence" in line:
            given["z_valence"] = words[0]
        elif "Suggested cutoff" in line:
            given["wfc_cutoff"], given["rho_cutoff"] = words[:2]
    return given


def _number(text: str | None) -> float | None:
    try:
        return float((text or "").lower().replace("d", "e"))
    except ValueError:
        return None


def _energy_ev(text: str | None) -> float | None:
    """Return an energy in eV of one in Ry; None where it is nought: nothing is suggested."""
    value = _number(text)
    return value * RYDBERG_EV if value and value > 0 else None
