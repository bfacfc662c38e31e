"""Which files of a folder are of which run of pw.x.

Text and XML are put together when they tell of one calculation: the same number of atoms, the same
unit of length, and the XML's energy among those of the text.
"""

from __future__ import annotations

import math
import re
from collections.abc import Iterable, Iterator
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import chain
from pathlib import PurePosixPath

from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.parsers.espresso_cell import BOHR_A
from nanoos.parsers.espresso_in import EspressoInput
from nanoos.runs.espresso_text import SIGN as TEXT_SIGN
from nanoos.runs.espresso_xml import SIGN as XML_SIGN
from nanoos.runs.run import RunFolder

_HEAD_BYTES = 20_000
_BLOCK_BYTES = 4 * 1024**2
_ENERGY_STEP_RY = 1e-8  # eight decimals are printed
_SAME_LENGTH_A = 1e-5  # of six decimals in bohr
_PSEUDOPOTENTIAL = re.compile(rb"<UPF |<PP_(?:INFO|HEADER)")
_ENERGY = re.compile(rb"total energy\s*=\s*([-\d.]+)\s*Ry|<etot>\s*([-\d.eE+]+)\s*</etot>")
_N_SITES = re.compile(rb'number of atoms/cell\s*=\s*(\d{1,9})\s|<atomic_structure nat="(\d{1,9})"')
_ALAT = re.compile(
    rb'celldm\(1\)=\s*([\d.]+)|<atomic_structure nat="\d+"[^>]{0,200}? alat="([\d.eE+]+)"'
)
_BANDS = re.compile(rb"Band Structure Calculation|<calculation>(?:nscf|bands)<")


@dataclass
class Found:
    """The names of the files that matter, by what they are."""

    texts: list[str] = field(default_factory=list)
    xmls: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    pseudopotentials: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: RunFolder) -> Found:
        """Tell the files of a folder by their content."""
        found = cls()
        for name, source in folder.files.items():
            with suppress(ParseError):  # what cannot be read is no output
                kind = found._kind(name, source.head(_HEAD_BYTES))
                if kind is not None:
                    kind.append(name)
        return found

    def groups(self, folder: RunFolder) -> list[list[str]]:
        """Return the files of each run: a text with its XML, and XML that is of no text."""
        partners = _partners(folder, self) if self.texts and self.xmls else {}
        groups = [[one, *partners.get(one, ())] for one in self.texts]
        return groups + _of_no_text(self.xmls, partners)

    def _kind(self, name: str, head: bytes) -> list[str] | None:
        if TEXT_SIGN in head:
            return self.texts
        if XML_SIGN in head:
            return self.xmls
        if _PSEUDOPOTENTIAL.search(head):
            return self.pseudopotentials
        if PurePosixPath(name).name == "CRASH":
            return self.crashes
        return self.inputs if EspressoInput().recognises(head, "") else None


@dataclass(frozen=True)
class _Signature:
    """What tells whether a text and an XML are of one run."""

    n_sites: int
    alats_a: frozenset[float]
    """The units of length: of the input, an XML may have another than of the output."""
    is_bands: bool
    energies_ry: frozenset[float]
    last_energy_ry: float

    @classmethod
    def of(cls, source: Source) -> _Signature:
        """Read what tells a run, without reading the rest of it."""
        n_sites, is_bands = 0, False
        alats: set[float] = set()
        energies: set[float] = set()
        last = 0.0
        with source.open() as stream:
            tail = b""
            while block := stream.read(_BLOCK_BYTES):
                content = tail + block
                for printed, hartree in _ENERGY.findall(content):
                    with suppress(ValueError):
                        energy = float(printed) if printed else 2 * float(hartree)
                        if math.isfinite(energy):
                            last = energy
                            energies.add(energy)
                n_sites = n_sites or int(_first(_N_SITES, content))
                alats.update(value * BOHR_A for value in _lengths(content))
                is_bands = is_bands or _BANDS.search(content) is not None
                tail = content[-200:]
        return cls(n_sites, frozenset(alats or {0.0}), is_bands, frozenset(energies), last)

    def is_alike(self, other: _Signature) -> bool:
        """Tell whether the other is of the same kind, apart from its energies."""
        is_alike = (self.n_sites, self.is_bands) == (other.n_sites, other.is_bands)
        return is_alike and any(
            abs(one - two) <= _SAME_LENGTH_A for one in self.alats_a for two in other.alats_a
        )


def _lengths(content: bytes) -> Iterator[float]:
    """Yield the units of length that are stated, in bohr."""
    for printed, stated in _ALAT.findall(content):
        with suppress(ValueError):
            yield float(printed or stated)


def _first(pattern: re.Pattern[bytes], content: bytes) -> float:
    found = pattern.search(content)
    try:
        return float(found[found.lastindex or 0]) if found else 0.0
    except ValueError:
        return 0.0


def _partners(folder: RunFolder, found: Found) -> dict[str, list[str]]:
    """Return the XML files that are of the run of each text; each file belongs to one at most."""
    texts: dict[str, _Signature] = {}
    by_energy: dict[int, list[str]] = {}
    for name in found.texts:
        with suppress(ParseError):
            texts[name] = _Signature.of(folder.files[name])
            for energy in texts[name].energies_ry:
                by_energy.setdefault(round(energy / _ENERGY_STEP_RY), []).append(name)
    partners: dict[str, list[str]] = {}
    for xml in found.xmls:
        with suppress(ParseError):
            signature = _Signature.of(folder.files[xml])
            near: Iterable[str] = texts
            if signature.last_energy_ry and not signature.is_bands:
                place = round(signature.last_energy_ry / _ENERGY_STEP_RY)
                near = chain(*(by_energy.get(place + i, ()) for i in (0, -1, 1)))
            fitting = (text for text in near if signature.is_alike(texts[text]))
            if (text := next(fitting, None)) is not None:
                partners.setdefault(text, []).append(xml)
    return partners


def _of_no_text(xmls: list[str], partners: dict[str, list[str]]) -> list[list[str]]:
    """Return the XML files of no text; ``prefix.xml`` and the one in ``prefix.save`` are one."""
    paired = {xml for found in partners.values() for xml in found}
    groups: dict[str, list[str]] = {}
    for xml in xmls:
        if xml not in paired:
            path = PurePosixPath(xml)
            in_save = path.name == "data-file-schema.xml" and path.parent.suffix == ".save"
            run = path.parent.with_suffix("") if in_save else path.with_suffix("")
            groups.setdefault(str(run), []).append(xml)
    return list(groups.values())
