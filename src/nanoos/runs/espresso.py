"""Quantum ESPRESSO: runs of pw.x, from their text, their XML, or both.

The text says what happened, step by step; the XML has more digits, the grid of k-points and all
of the input.
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
from nanoos.parsers.espresso_in import EspressoInput, Input
from nanoos.parsers.plain import plain
from nanoos.runs.ase_results import told
from nanoos.runs.espresso_facts import Facts
from nanoos.runs.espresso_files import Found
from nanoos.runs.espresso_text import EspressoText, runs_of
from nanoos.runs.espresso_xml import EspressoXml
from nanoos.runs.run import Run, RunFolder, Step
from nanoos.structures import Structure

_SAME_GEOMETRY_A = 1e-4  # of six decimals in units of alat, times a coordinate
_SAME_ENERGY_EV = 1e-6  # of eight decimals in Ry
_MOVED = (
    "pw.x was restarted at a geometry that its text does not print: the first step is left out."
)
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
        found = Found.of(folder)
        groups = found.groups(folder)
        inputs = {_stem(folder, one): one for one in reversed(found.inputs)}
        runs = []
        for output, *others in groups:
            given = inputs.get(_stem(folder, output))
            names = [output, *others, *([given] if given else [])]
            if len(groups) == 1:
                names += ([] if given or len(found.inputs) > 1 else found.inputs) + found.crashes
            names += found.pseudopotentials
            name = folder.name if len(groups) == 1 else f"{folder.name}/{output}"
            files = {one: folder.files[one] for one in names}
            runs.append(RunFolder(name, files, outputs=(output, *others)))
        return runs

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the steps of the text, or else of the XML, then the run.

        Raises ParseError when no geometry can be read, and at the end of a text with several runs
        of which one was left out.
        """
        found = Found.of(run)
        if not found.texts:
            yield from _read_xml(run, found)
            return
        failures = []
        number = 0
        for number, text in enumerate(runs_of(run.files[found.texts[0]]), 1):
            try:
                yield from _read_text(run, found, text)
            except ParseError as error:
                failures.append(f"Run {number} of the output: {error}")
        if failures or not number:
            raise ParseError(told(failures) or "The output of pw.x holds no run.")


def _stem(folder: RunFolder, name: str) -> str:
    return PurePosixPath(folder.files[name].filename).stem


@dataclass
class _Given:
    """What the files beside text or XML tell of a run, and which were read."""

    initial: Structure | None = None
    next_structure: Structure | None = None
    parameters: dict[str, Any] = field(default_factory=dict)
    further: dict[str, Any] = field(default_factory=dict)
    read: list[str] = field(default_factory=list)
    steps_in: str | None = None

    def take_input(self, run: RunFolder, found: Found, n_sites: int) -> None:
        """Take the input, if it is of as many atoms."""
        for name in found.inputs[:1]:
            with suppress(ParseError, StructureError):
                source = run.files[name]
                written = Input.of(source.text)
                further = _further(written)
                parsed = next(iter(EspressoInput().parse(source)))
                if n_sites in (0, parsed.structure.n_sites):
                    self.initial = self.initial or parsed.structure
                    self.parameters = _parameters(written.variables)
                    self.further = further
                    self.read.append(name)

    def take_pseudopotentials(self, run: RunFolder, found: Found, facts: Facts) -> None:
        """Take the files that the run names, and the MD5 of each where no text printed it."""
        files = {PurePosixPath(one).name: one for one in reversed(found.pseudopotentials)}
        for label, named in facts.pseudopotentials.items():
            name = files.get(PurePosixPath(named).name)
            if name is not None:
                with suppress(ParseError), run.files[name].open() as stream:
                    md5 = hashlib.file_digest(stream, "md5").hexdigest()
                    if facts.md5.setdefault(label, md5) == md5:
                        self.read.append(name)

    def digests(self, run: RunFolder) -> dict[str, str]:
        """Return name → SHA-256 of the files that were read."""
        return {name: run.files[name].sha256 for name in dict.fromkeys(self.read)}


def _further(written: Input) -> dict[str, Any]:
    """Return settings that change energies and that only the XML repeats, by its names."""
    said = {
        "tot_charge": written.number("tot_charge"),
        "assume_isolated": written.text("assume_isolated"),
    }
    return {name: value for name, value in said.items() if value and value != "none"}


def _parameters(variables: dict[tuple[str, int], tuple[str, int]]) -> dict[str, Any]:
    """Return the variables of the namelists; those with an index as ``celldm(1)``."""
    several = {key for key, index in variables if index > 1}
    return {
        f"{key}({index})" if key in several else key: plain(value)
        for (key, index), (value, _) in variables.items()
    }


def _read_text(run: RunFolder, found: Found, text: EspressoText) -> Iterator[Step | Run]:
    xml = EspressoXml(run.files[found.xmls[0]]) if found.xmls else None
    if xml is not None:
        xml.read()
    given = _Given(read=[found.texts[0]], steps_in=found.texts[0])
    energies = set()
    n_steps = 0
    for step in _steps(text, run, found):
        if not n_steps:
            given.take_input(run, found, text.n_sites)
            exact = (xml.initial if xml else None, given.initial)
            given.initial = next((one for one in exact if one and _is_close(one, step)), None)
            step = replace(step, structure=given.initial or step.structure)  # noqa: PLW2901
        n_steps += 1
        energies.add(step.energy_ev)
        yield step
    facts = text.facts
    given.next_structure = text.next_structure
    if not n_steps:
        given.take_input(run, found, text.n_sites)
        given.steps_in = None
        yield from _steps_elsewhere(xml, given, facts)
    if xml is not None and xml.is_of(energies):
        said = {one: getattr(facts, one) for one in _SAID_BY_TEXT}
        kept = {one: value for one, value in said.items() if value is not None}
        facts = replace(xml.facts.completed_by(facts), **kept)
        given.read.append(found.xmls[0])
        given.parameters = given.parameters or xml.parameters
    else:
        facts.further |= given.further
    facts.calculation = facts.calculation or given.parameters.get("calculation")
    _take_crash(run, found, facts, given)
    yield _run(run, facts, given, found)


def _steps(text: EspressoText, run: RunFolder, found: Found) -> Iterator[Step]:
    """Yield the steps of a text, each with the geometry that it was calculated at."""
    for number, step in enumerate(text.steps()):
        if number or not text.is_moved:
            yield step
        elif (moved := _where_it_was(step, run, found)) is not None:
            yield moved
        else:
            text.facts.message = _MOVED


def _where_it_was(step: Step, run: RunFolder, found: Found) -> Step | None:
    """Return a step with the geometry that the XML has for its energy; None where it has none."""
    for name in found.xmls[:1]:
        for other in EspressoXml(run.files[name]).steps():
            if step.energy_ev is None or other.energy_ev is None:
                continue
            if abs(step.energy_ev - other.energy_ev) <= _SAME_ENERGY_EV:
                return replace(step, structure=other.structure)
    return None


def _steps_elsewhere(xml: EspressoXml | None, given: _Given, facts: Facts) -> Iterator[Step]:
    """Yield what the text of a run lacks, in which no atoms are listed."""
    if xml is not None and xml.final is not None:
        yield from xml.steps()
    elif given.initial is not None:
        yield Step(structure=given.initial)
    else:
        cause = facts.message or "it ends before its atoms are listed"
        raise ParseError(f"The run of pw.x has no geometry: {cause}")


def _read_xml(run: RunFolder, found: Found) -> Iterator[Step | Run]:
    for name in found.xmls[:1]:
        xml = EspressoXml(run.files[name])
        given = _Given(read=[name], steps_in=name)
        n_steps = 0
        for step in xml.steps():
            if not n_steps and xml.initial and _is_close(xml.initial, step):
                given.initial = xml.initial
            n_steps += 1
            yield step
        if not n_steps:
            raise ParseError("The XML of pw.x ends before its atoms are listed.")
        given.parameters, given.next_structure = xml.parameters, xml.next_structure
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


def _take_crash(run: RunFolder, found: Found, facts: Facts, given: _Given) -> None:
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


def _run(run: RunFolder, facts: Facts, given: _Given, found: Found) -> Run:
    given.take_pseudopotentials(run, found, facts)
    return Run(
        name=run.name,
        method=facts.method(),
        task=facts.task,
        end=facts.end or "unfinished",
        initial=given.initial,
        next_structure=given.next_structure,
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
        steps_in=given.steps_in,
    )
