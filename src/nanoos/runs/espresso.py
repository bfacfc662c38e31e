"""Quantum ESPRESSO: runs of pw.x, from their text, their XML, or both.

The text says what happened, step by step; the XML has more digits, the grid of k-points and all
of the input. They are put together when they tell of one calculation: the same number of atoms,
the same unit of length, and the XML's energy among those of the text.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from contextlib import suppress
from dataclasses import dataclass, field, replace
from pathlib import PurePosixPath
from typing import Any

import numpy as np

from nanoos.errors import ParseError, StructureError
from nanoos.parsers import Source
from nanoos.parsers.espresso_cell import BOHR_A
from nanoos.parsers.espresso_in import EspressoInput, Input
from nanoos.parsers.plain import plain
from nanoos.runs import espresso_text, espresso_xml
from nanoos.runs.espresso_facts import Facts
from nanoos.runs.espresso_text import EspressoText, runs_of
from nanoos.runs.espresso_xml import EspressoXml
from nanoos.runs.run import Run, RunFolder, Step
from nanoos.structures import Structure

_HEAD_BYTES = 20_000
_BLOCK_BYTES = 4 * 1024**2
_SAME_ENERGY_RY = 2e-8  # two of eight printed decimals
_SAME_LENGTH_A = 1e-5  # of six decimals in bohr
_SAME_GEOMETRY_A = 1e-4  # of six decimals in units of alat, times a coordinate
_PSEUDOPOTENTIAL = re.compile(rb"<UPF |<PP_(?:INFO|HEADER)")
_ENERGY = re.compile(rb"total energy\s*=\s*([-\d.]+)\s*Ry|<etot>\s*([-\d.eE+]+)\s*</etot>")
_N_SITES = re.compile(rb'number of atoms/cell\s*=\s*(\d+)|<atomic_structure nat="(\d+)"')
_ALAT = re.compile(rb'celldm\(1\)=\s*([\d.]+)|<atomic_structure nat="\d+" alat="([\d.eE+]+)"')
_BANDS = re.compile(rb"Band Structure Calculation|<calculation>(?:nscf|bands)<")
_CRASH = re.compile(r"%{4,}\s*(.*?)\s*%{4,}", re.DOTALL)
_SAID_BY_TEXT = (
    *("end", "problems", "message", "n_cores"),
    *("is_electronically_converged", "is_ionically_converged"),
)


class Espresso:
    """The reader of pw.x's runs."""

    name = "espresso"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each output with what belongs to it, then each XML that belongs to none."""
        found = _Found.of(folder)
        partners = _partners(folder, found) if found.texts and found.xmls else {}
        groups = [[one, *partners.get(one, ())] for one in found.texts]
        groups += _of_no_text(found.xmls, partners)
        runs = []
        for group in groups:
            names = group + _inputs_of(folder, group[0], found, is_only=len(groups) == 1)
            names += found.pseudopotentials + found.crashes
            name = folder.name if len(groups) == 1 else f"{folder.name}/{group[0]}"
            runs.append(RunFolder(name, {one: folder.files[one] for one in names}))
        return runs

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the steps of the text, or else of the XML, then the run.

        Raises ParseError when no geometry can be read.
        """
        found = _Found.of(run)
        if not found.texts:
            yield from _read_xml(run, found)
            return
        n_runs = 0
        failure = None
        for text in runs_of(run.files[found.texts[0]]):
            try:
                for one in _read_text(run, found, text):
                    yield one
                    n_runs += isinstance(one, Run)
            except ParseError as error:
                failure = error
        if not n_runs:
            raise failure or ParseError("The output of pw.x holds no run.")


@dataclass
class _Found:
    """The names of the files that matter, by what they are."""

    texts: list[str] = field(default_factory=list)
    xmls: list[str] = field(default_factory=list)
    inputs: list[str] = field(default_factory=list)
    pseudopotentials: list[str] = field(default_factory=list)
    crashes: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: RunFolder) -> _Found:
        """Tell the files of a folder by their content."""
        found = cls()
        for name, source in folder.files.items():
            with suppress(ParseError):  # what cannot be read is no output
                kind = found._kind(name, source.head(_HEAD_BYTES))
                if kind is not None:
                    kind.append(name)
        return found

    def _kind(self, name: str, head: bytes) -> list[str] | None:
        if espresso_text.SIGN in head:
            return self.texts
        if espresso_xml.SIGN in head:
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
    alat_a: float
    is_bands: bool
    energies_ry: frozenset[float]
    last_energy_ry: float

    @classmethod
    def of(cls, source: Source) -> _Signature:
        """Read what tells a run, without reading the rest of it."""
        n_sites, alat_a, is_bands = 0, 0.0, False
        energies: set[float] = set()
        last = 0.0
        with source.open() as stream:
            tail = b""
            while block := stream.read(_BLOCK_BYTES):
                content = tail + block
                for printed, hartree in _ENERGY.findall(content):
                    with suppress(ValueError):
                        last = float(printed) if printed else 2 * float(hartree)
                        energies.add(last)
                n_sites = n_sites or int(_first(_N_SITES, content))
                alat_a = alat_a or _first(_ALAT, content) * BOHR_A
                is_bands = is_bands or _BANDS.search(content) is not None
                tail = content[-200:]
        return cls(n_sites, alat_a, is_bands, frozenset(energies), last)

    def is_run_of(self, text: _Signature) -> bool:
        """Tell whether an XML with this signature is of the run of a text."""
        is_alike = (self.n_sites, self.is_bands) == (text.n_sites, text.is_bands)
        if not is_alike or abs(self.alat_a - text.alat_a) > _SAME_LENGTH_A:
            return False
        if self.is_bands or not self.last_energy_ry:
            return True
        return any(abs(one - self.last_energy_ry) < _SAME_ENERGY_RY for one in text.energies_ry)


def _first(pattern: re.Pattern[bytes], content: bytes) -> float:
    found = pattern.search(content)
    try:
        return float(found[found.lastindex or 0]) if found else 0.0
    except ValueError:
        return 0.0


def _partners(folder: RunFolder, found: _Found) -> dict[str, list[str]]:
    """Return the XML files that are of the run of each text; each file belongs to one at most."""
    partners: dict[str, list[str]] = {}
    texts: dict[str, _Signature] = {}
    for name in found.texts:
        with suppress(ParseError):
            texts[name] = _Signature.of(folder.files[name])
    for xml in found.xmls:
        with suppress(ParseError):
            signature = _Signature.of(folder.files[xml])
            fitting = (text for text, of in texts.items() if signature.is_run_of(of))
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


def _inputs_of(folder: RunFolder, output: str, found: _Found, *, is_only: bool) -> list[str]:
    """Return the input that is named as the output is, or that is the only one there."""

    def stem(name: str) -> str:
        return PurePosixPath(folder.files[name].filename).stem

    named = [one for one in found.inputs if stem(one) == stem(output)]
    return named[:1] or (found.inputs if is_only and len(found.inputs) == 1 else [])


@dataclass
class _Given:
    """What the files beside text or XML tell of a run, and which were read."""

    initial: Structure | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)

    def take_input(self, run: RunFolder, found: _Found, n_sites: int) -> None:
        """Take the input, if it is of as many atoms."""
        for name in found.inputs[:1]:
            with suppress(ParseError, StructureError):
                source = run.files[name]
                variables = Input.of(source.text).variables
                parsed = next(iter(EspressoInput().parse(source)))
                if n_sites in (0, parsed.structure.n_sites):
                    self.initial = self.initial or parsed.structure
                    self.parameters = _parameters(variables)
                    self.read.append(name)

    def take_pseudopotentials(self, run: RunFolder, found: _Found, facts: Facts) -> None:
        """Take the files that the run names, and the MD5 of each where no text printed it."""
        files = {PurePosixPath(one).name: one for one in reversed(found.pseudopotentials)}
        for label, named in facts.pseudopotentials.items():
            name = files.get(PurePosixPath(named).name)
            if name is not None:
                with suppress(ParseError), run.files[name].open() as stream:
                    md5 = hashlib.file_digest(stream, "md5").hexdigest()  # type: ignore[arg-type]
                    if facts.md5.setdefault(label, md5) == md5:
                        self.read.append(name)

    def digests(self, run: RunFolder) -> dict[str, str]:
        """Return name → SHA-256 of the files that were read."""
        return {name: run.files[name].sha256 for name in dict.fromkeys(self.read)}


def _parameters(variables: dict[tuple[str, int], tuple[str, int]]) -> dict[str, Any]:
    """Return the variables of the namelists; those with an index as ``celldm(1)``."""
    several = {key for key, index in variables if index > 1}
    return {
        f"{key}({index})" if key in several else key: plain(value)
        for (key, index), (value, _) in variables.items()
    }


def _read_text(run: RunFolder, found: _Found, text: EspressoText) -> Iterator[Step | Run]:
    xml = EspressoXml(run.files[found.xmls[0]]) if found.xmls else None
    if xml is not None:
        xml.read()
    given = _Given(read=[found.texts[0]])
    energies = set()
    n_steps = 0
    for step in text.steps():
        if not n_steps:
            given.take_input(run, found, text.n_sites)
            exact = (xml.initial if xml else None, given.initial)
            given.initial = next((one for one in exact if one and _is_close(one, step)), None)
            step = replace(step, structure=given.initial or step.structure)  # noqa: PLW2901
        n_steps += 1
        energies.add(step.energy_ev)
        yield step
    facts = text.facts
    if not n_steps:
        given.take_input(run, found, text.n_sites)
        yield from _steps_elsewhere(xml, given, facts)
    if xml is not None and xml.is_of(energies):
        said = {one: getattr(facts, one) for one in _SAID_BY_TEXT}
        kept = {one: value for one, value in said.items() if value is not None}
        facts = replace(xml.facts.completed_by(facts), **kept)
        given.read.append(found.xmls[0])
        given.parameters = given.parameters or xml.parameters
    facts.calculation = facts.calculation or given.parameters.get("calculation")
    _take_crash(run, found, facts, given)
    yield _run(run, facts, given, found)


def _steps_elsewhere(xml: EspressoXml | None, given: _Given, facts: Facts) -> Iterator[Step]:
    """Yield what the text of a run lacks, in which no atoms are listed."""
    if xml is not None and xml.final is not None:
        yield from xml.steps()
    elif given.initial is not None:
        yield Step(structure=given.initial)
    else:
        cause = facts.message or "it ends before its atoms are listed"
        raise ParseError(f"The run of pw.x has no geometry: {cause}")


def _read_xml(run: RunFolder, found: _Found) -> Iterator[Step | Run]:
    for name in found.xmls[:1]:
        xml = EspressoXml(run.files[name])
        n_steps = 0
        for step in xml.steps():
            n_steps += 1
            yield step
        if not n_steps:
            raise ParseError("The XML of pw.x ends before its atoms are listed.")
        given = _Given(xml.initial, xml.parameters, [name])
        xml.facts.end = xml.facts.end or "unfinished"
        _take_crash(run, found, xml.facts, given)
        yield _run(run, xml.facts, given, found)


def _is_close(exact: Structure, step: Step) -> bool:
    """Tell whether a geometry is that of a step, which is printed with fewer digits."""
    printed = step.structure
    if exact.species_at_sites != printed.species_at_sites:
        return False
    pairs = (
        (exact.lattice_a, printed.lattice_a),
        (exact.positions_a, printed.positions_a),
    )
    return all(
        a is not None and b is not None and np.allclose(a, b, rtol=0, atol=_SAME_GEOMETRY_A)
        for a, b in pairs
    )


def _take_crash(run: RunFolder, found: _Found, facts: Facts, given: _Given) -> None:
    """Take the error that pw.x left in a file of its own, where the output just ends."""
    if facts.end != "unfinished":
        return
    for name in found.crashes[:1]:
        with suppress(ParseError):
            said = _CRASH.search(run.files[name].text)
            if said:
                facts.end, facts.problems = "crashed", (*facts.problems, "error")
                facts.message = " ".join(said[1].split())
                given.read.append(name)


def _run(run: RunFolder, facts: Facts, given: _Given, found: _Found) -> Run:
    given.take_pseudopotentials(run, found, facts)
    return Run(
        name=run.name,
        method=facts.method(),
        task=facts.task,
        end=facts.end or "unfinished",
        initial=given.initial,
        parameters=given.parameters,
        problems=facts.problems,
        message=facts.message,
        is_electronically_converged=facts.is_electronically_converged,
        is_ionically_converged=facts.is_ionically_converged,
        band_gap_ev=facts.band_gap_ev,
        is_gap_direct=facts.is_gap_direct,
        fermi_energy_ev=facts.fermi_energy_ev,
        total_magnetization_mu_b=facts.total_magnetization_mu_b,
        wall_time_s=facts.wall_time_s,
        n_cores=facts.n_cores,
        started_at=facts.started_at,
        files=given.digests(run),
    )
