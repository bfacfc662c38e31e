"""VASP: vasprun.xml and OUTCAR, either alone or both, with the input beside them.

Where both are there, the XML, which has more digits, gives the numbers, and OUTCAR what the XML
lacks: magnetic moments, cost, and how the run ended.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import zip_longest
from typing import Any

import numpy as np

from nanoos.errors import ParseError, StructureError
from nanoos.parsers import Source
from nanoos.parsers.plain import plain
from nanoos.parsers.poscar import Poscar
from nanoos.runs import vasp_files, vasp_input, vasp_outcome
from nanoos.runs.run import Problem, Run, RunFolder, Step
from nanoos.runs.vasp_files import Kind
from nanoos.runs.vasp_messages import read_log
from nanoos.runs.vasp_method import method
from nanoos.runs.vasp_outcar import Outcar
from nanoos.runs.vasp_outcome import Course
from nanoos.runs.vasp_output import IonicStep, Output, together
from nanoos.runs.vasp_xml import Vasprun
from nanoos.structures import Structure
from nanoos.structures.structure import Array

SAME_ENERGY_EV = 1e-5
"""By which the two outputs of one step may differ: they are printed with eight decimals."""
MAX_NOTES = 3
"""Steps left out that are told one by one."""

_GEOMETRIES: tuple[Kind, ...] = ("poscar", "contcar")
_RESULTS = (
    "energy_ev",
    "free_energy_ev",
    "energy_without_entropy_ev",
    "forces_ev_per_a",
    "stress_gpa",
    "magnetic_moments_mu_b",
    "electronic_steps",
    "is_electronically_converged",
    "place",
)


class Vasp:
    """The reader of VASP's runs."""

    name = "vasp"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return the runs of VASP in a folder, each with its files, in the order they ran."""
        return vasp_files.runs(folder)

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the steps in order, then the run; see `nanoos.runs.RunReader`."""
        reading = _Reading(run)
        yield from reading.steps()
        yield reading.run()


class _Reading:
    """One run while it is read."""

    def __init__(self, folder: RunFolder) -> None:
        self._folder = folder
        files = vasp_files.known(folder.files)
        self._files: dict[Kind, Source] = {one.kind: one.source for one in reversed(files)}
        self._logs = [one.source for one in files if one.kind == "log"]
        xml, outcar = self._files.get("vasprun"), self._files.get("outcar")
        self._xml = Vasprun(xml) if xml else None
        self._outcar = Outcar(outcar, with_bands=xml is None) if outcar else None
        self._course = Course()
        self._first: Structure | None = None
        self._notes: list[str] = []
        self._disagreement: str | None = None
        self._steps_in: Kind | None = None

    def steps(self) -> Iterator[Step]:
        """Yield the steps that are whole and have a valid geometry."""
        for ionic in self._ionic_steps():
            self._course.add(ionic)
            try:
                structure = Structure.of(ionic.lattice_a, ionic.positions_a, self._symbols())
            except StructureError as error:
                if len(self._notes) < MAX_NOTES:
                    self._notes.append(f"Step {self._course.n_steps} is left out: {error}")
                continue
            self._first = self._first or structure
            yield Step(structure=structure, **{name: getattr(ionic, name) for name in _RESULTS})

    def _ionic_steps(self) -> Iterator[IonicStep]:
        xml = self._xml.steps() if self._xml else iter(())
        outcar = self._outcar.steps() if self._outcar else iter(())
        for first, second in zip_longest(xml, outcar):
            if first is not None and second is not None:
                self._complete(first, second)
            self._steps_in = "vasprun" if first is not None else "outcar"
            yield first or second

    def _complete(self, xml: IonicStep, outcar: IonicStep) -> None:
        """Add to a step of the XML what OUTCAR alone has, if they are of one run."""
        energies = (xml.free_energy_ev, outcar.free_energy_ev)
        differ = None not in energies and abs(energies[0] - energies[1]) > SAME_ENERGY_EV  # type: ignore[operator]
        if differ or xml.positions_a.shape != outcar.positions_a.shape:
            self._disagreement = self._disagreement or (
                f"vasprun.xml and OUTCAR disagree on step {self._course.n_steps + 1}: its free "
                f"energy is {energies[0]} eV in one and {energies[1]} eV in the other. They may be "
                "of two runs."
            )
            return
        xml.magnetic_moments_mu_b = outcar.magnetic_moments_mu_b
        if outcar.is_electronically_converged is not None:
            xml.is_electronically_converged = outcar.is_electronically_converged

    def _symbols(self) -> list[str]:
        """Return the element of each atom. The header stands before the steps in both files."""
        xml = self._xml.output.symbols if self._xml else []
        return xml or (self._outcar.output.symbols if self._outcar else [])

    def run(self) -> Run:
        """Return the run. Raises ParseError where no geometry was read."""
        xml, outcar = (each.output if each else None for each in (self._xml, self._outcar))
        output = together(xml, outcar, self._incar())
        output.divisions = output.divisions or self._mesh()
        for log in self._logs:
            read_log(log, output)
        initial = self._initial(output)
        task = vasp_outcome.task(output.parameters)
        is_relaxed = None
        if task == "relax":
            is_relaxed = vasp_outcome.is_relaxed(output, xml, outcar, self._course)
        gap, is_direct = output.bands.gap()
        last = self._course.last
        return Run(
            name=self._folder.name,
            method=method(output, self._hashes()),
            task=task,
            end=vasp_outcome.end(output),
            initial=initial,
            parameters=plain(output.parameters),
            problems=tuple(self._problems(output, is_relaxed)),
            message=self._message(output),
            is_electronically_converged=last.is_electronically_converged if last else None,
            is_ionically_converged=is_relaxed,
            band_gap_ev=gap,
            is_gap_direct=is_direct,
            fermi_energy_ev=output.fermi_energy_ev,
            total_magnetization_mu_b=output.total_magnetization_mu_b,
            wall_time_s=output.wall_time_s,
            n_cores=output.n_cores,
            started_at=output.started_at,
            files=self._sha256(),
            steps_in=self._name_of(self._steps_in),
        )

    def _problems(self, output: Output, is_relaxed: bool | None) -> Iterator[Problem]:
        course, is_odd = self._course, bool(self._notes)
        yield from vasp_outcome.problems(output, course, is_relaxed=is_relaxed, is_odd=is_odd)
        if self._disagreement:
            yield "files_disagree"

    def _message(self, output: Output) -> str | None:
        said = [*output.fatal, *output.complaints, self._disagreement, output.damage, *self._notes]
        return " ".join(filter(None, said)) or None

    def _initial(self, output: Output) -> Structure:
        """Return the geometry that the run began with, as the outputs or a POSCAR have it."""
        if output.lattice_a is not None and output.positions_a is not None:
            first = self._first
            if first is not None and _is_at(first, output.lattice_a, output.positions_a):
                return first
            try:
                return Structure.of(output.lattice_a, output.positions_a, output.symbols)
            except StructureError as error:
                self._notes.append(f"The geometry it began with is left out: {error}")
        for kind in _GEOMETRIES:
            source = self._files.get(kind)
            if source is None:
                continue
            try:
                return next(iter(Poscar().parse(source))).structure
            except (ParseError, StructureError) as error:
                self._notes.append(f"{source.filename}: {error}")
        if self._first is not None:
            return self._first
        why = self._message(output) or "The files end before one is written."
        raise ParseError(f"The run of VASP has no geometry. {why}")

    def _incar(self) -> dict[str, Any]:
        source = self._files.get("incar")
        return vasp_input.incar(source) if source else {}

    def _mesh(self) -> tuple[int, ...]:
        source = self._files.get("kpoints")
        return vasp_input.mesh(source) if source else ()

    def _hashes(self) -> dict[str, str]:
        """Return the hashes of potentials by title; none where the POTCAR is damaged."""
        source = self._files.get("potcar")
        try:
            return {one.title: one.sha256 for one in vasp_input.datasets(source)} if source else {}
        except ParseError:
            return {}

    def _name_of(self, kind: Kind | None) -> str | None:
        files = self._folder.files.items()
        source = self._files.get(kind) if kind else None
        return next((name for name, one in files if one is source), None)

    def _sha256(self) -> dict[str, str]:
        """Return the hash of every file; one that is damaged has none."""
        found = {}
        for name, source in self._folder.files.items():
            try:
                found[name] = source.sha256
            except ParseError:
                continue
        return found


def _is_at(structure: Structure, lattice_a: Array, positions_a: Array) -> bool:
    own = structure.lattice_a
    same_cell = own is not None and np.array_equal(np.abs(own), np.abs(lattice_a))
    return same_cell and np.array_equal(structure.positions_a, positions_a)
