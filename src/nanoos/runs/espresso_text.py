"""The text of pw.x's runs; geometries are read as `nanoos.parsers` reads them.

A file may hold several runs, one appended to the other. What is damaged is left out: stars that
Fortran prints for numbers too large, and whatever follows the point at which a file is cut.
"""

from __future__ import annotations

from collections.abc import Iterator
from itertools import groupby

import numpy as np

from nanoos.errors import ParseError, StructureError
from nanoos.parsers import Source
from nanoos.parsers.espresso_cards import Line
from nanoos.parsers.espresso_out import OutputStep
from nanoos.runs.espresso_output import RunOutput
from nanoos.runs.run import Step
from nanoos.structures import Structure
from nanoos.structures.sameness import is_same_geometry

SIGN = b"Program PWSCF"
"""What such a file has near its beginning."""


class EspressoText:
    """One run of an output: its steps, and, after them, its facts."""

    def __init__(self, lines: Iterator[Line]) -> None:
        self._output = RunOutput(lines)
        self.facts = self._output.facts
        self.next_structure: Structure | None = None

    @property
    def n_sites(self) -> int:
        """The number of atoms in the cell; 0 as long as it is not known."""
        return self._output.n_atoms

    @property
    def alat_a(self) -> float:
        """The unit of length; 0 as long as it is not known."""
        return self._output.alat_a

    @property
    def is_moved(self) -> bool:
        """Whether the first step is of another geometry than is printed: pw.x was restarted."""
        return self._output.is_moved

    def steps(self) -> Iterator[Step]:
        """Yield every step with results; one without, if there is no other."""
        output = self._output
        n_given = 0
        calculated: Structure | None = None
        try:
            for found in output.finished_steps():
                if _has_results(found) and (step := _step(found)) is not None:
                    n_given += 1
                    output.calculated = found
                    calculated = step.structure
                    yield step
        except ParseError as error:
            output.note("truncated", str(error))
        last = output.step
        if last is not None and (_has_results(last) or not n_given):
            output.calculated = last
            if (step := _step(last)) is not None:
                yield step
        elif last is not None and calculated is not None:
            step = _step(last)
            if step is not None and not is_same_geometry(calculated, step.structure):
                self.next_structure = step.structure
        output.conclude()


def runs_of(source: Source) -> Iterator[EspressoText]:
    """Yield the runs that an output holds, one after the other; read each before the next."""
    lines = enumerate(source.lines(tolerant=True), 1)
    n_started = 0

    def run_of(line: Line) -> int:
        nonlocal n_started
        n_started += SIGN.decode() in line[1]
        return n_started

    for number_, part in groupby(lines, run_of):
        if number_:  # before the first, a launcher may have said something
            yield EspressoText(part)


def _has_results(step: OutputStep) -> bool:
    return step.energy_ev is not None or step.forces_ev_per_a is not None


def _step(found: OutputStep) -> Step | None:
    """Return the step; None where its geometry makes none."""
    try:
        structure = Structure.of(found.cell_a, found.positions_a, found.elements)
    except StructureError:
        return None
    energy, internal = found.energy_ev, found.internal_energy_ev
    if internal is None and energy is not None:
        internal = energy - (found.entropy_term_ev or 0.0)
    moments = np.array(found.moments_mu_b) if len(found.moments_mu_b) == structure.n_sites else None
    return Step(
        structure=structure,
        energy_ev=energy,
        free_energy_ev=energy,
        energy_without_entropy_ev=internal,
        forces_ev_per_a=found.forces_ev_per_a,
        stress_gpa=found.stress_gpa,
        magnetic_moments_mu_b=(
            moments[:, 0] if moments is not None and moments.shape[1] == 1 else moments
        ),
        electronic_steps=found.electronic_steps,
        is_electronically_converged=found.is_converged,
        place=found.line,
    )
