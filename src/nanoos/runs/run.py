"""What a finished calculation is, and what reads one.

A reader yields the steps of a run one by one, so that an output of gigabytes needs no memory, and
after them what holds for the whole, a `Run`. Then the next run of the folder may follow.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from datetime import datetime
from typing import TYPE_CHECKING, Any, Literal, Protocol

import numpy as np
from numpy.typing import NDArray

from nanoos.errors import ParseError
from nanoos.methods import Method
from nanoos.parsers import Source, Unfound
from nanoos.structures import Structure

if TYPE_CHECKING:
    from nanoos.runs.exported_result import ExportedLine

Array = NDArray[np.float64]
Task = Literal["single_point", "relax", "molecular_dynamics", "other"]
End = Literal["finished", "unfinished", "crashed", "time_limit"]
Problem = Literal[
    "electronic_steps_exhausted",
    "ionic_steps_exhausted",
    "not_converged",
    "truncated",
    "files_disagree",
    "error",
]


@dataclass(frozen=True, slots=True, kw_only=True)
class Step:
    """One ionic step: a geometry and what was calculated for it. None is what a file lacks.

    Parameters
    ----------
    structure
        The geometry. Sites are in the order of the file, for arrays too.
    energy_ev
        The total energy in eV, extrapolated to zero smearing where the code does that: the number
        that ASE's ``get_potential_energy`` gives.
    free_energy_ev
        Of Mermin, the energy minus TS; forces and stress are its derivatives.
    energy_without_entropy_ev
        The internal energy, free energy plus TS.
    forces_ev_per_a
        (n, 3), in eV/Å.
    stress_gpa
        (3, 3), in GPa, positive under tension (as ASE; VASP and Quantum ESPRESSO print pressure).
    magnetic_moments_mu_b
        (n,) or, noncollinear, (n, 3) local moments in Bohr magnetons.
    electronic_steps, is_electronically_converged
        Of this step's self-consistency.
    place
        Line or frame at which the step begins in its file, from 1.
    """

    structure: Structure
    energy_ev: float | None = None
    free_energy_ev: float | None = None
    energy_without_entropy_ev: float | None = None
    forces_ev_per_a: Array | None = None
    stress_gpa: Array | None = None
    magnetic_moments_mu_b: Array | None = None
    electronic_steps: int | None = None
    is_electronically_converged: bool | None = None
    place: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Run:
    """What is known of a run as a whole; its steps came before.

    Parameters
    ----------
    name
        The folder or file it was read from, as people know it.
    method
        What decides its numbers.
    task
        What was asked for.
    initial
        The geometry it began with where files say so (POSCAR); else the first step's.
    next_structure
        The geometry that a further run begins with, where it was not calculated any more: a
        relaxation whose steps or time ran out leaves one after its last step.
    parameters
        The input as the code understood it, by its own names, JSON-able.
    end, problems, message
        How it ended, what is wrong with it, and the code's or reader's words for that.
    is_electronically_converged, is_ionically_converged
        Of the last step, and of the relaxation; None where that was not asked or is not known.
    band_gap_ev, is_gap_direct, fermi_energy_ev, total_magnetization_mu_b
        Of the last step.
    wall_time_s, n_cores, started_at, host
        What it cost, where and when it ran.
    extra
        What else the source says, JSON-able: its id elsewhere, corrections that its database
        adds to the energy. Energies of steps are always as the code gave them.
    exported
        What NANO-OS said of a result when it exported it, which is kept as it stands.
    files
        Every file that was read: name within the folder → sha256 of its content.
    steps_in
        That of them in which the last step's place is; None where there is one alone.
    """

    name: str
    method: Method
    task: Task
    end: End
    initial: Structure | None = None
    next_structure: Structure | None = None
    parameters: Mapping[str, Any] = field(default_factory=dict)
    problems: tuple[Problem, ...] = ()
    message: str | None = None
    is_electronically_converged: bool | None = None
    is_ionically_converged: bool | None = None
    band_gap_ev: float | None = None
    is_gap_direct: bool | None = None
    fermi_energy_ev: float | None = None
    total_magnetization_mu_b: float | None = None
    wall_time_s: float | None = None
    n_cores: int | None = None
    started_at: datetime | None = None
    host: str | None = None
    extra: Mapping[str, Any] = field(default_factory=dict)
    exported: ExportedLine | None = None
    files: Mapping[str, str] = field(default_factory=dict)
    steps_in: str | None = None


@dataclass(frozen=True, slots=True)
class RunFolder:
    """The files of one folder, or of one folder in an archive, by their names in it.

    ``name`` is what a person knows it by. Files of subfolders that belong to a run, such as
    ``prefix.save/data-file-schema.xml``, are named with the subfolder. ``outputs`` are those of a
    run that hold its numbers, by which it is known again; none named: all. ``root`` is where on
    this machine that name begins. ``lost`` is what of an archive is damaged that may be of it.
    """

    name: str
    files: Mapping[str, Source]
    outputs: tuple[str, ...] = ()
    root: str | None = None
    lost: tuple[Unfound, ...] = ()

    def alone(self, name: str) -> RunFolder:
        """Return one of the files as a run by itself, called after it."""
        return RunFolder(f"{self.name}/{name}", {name: self.files[name]})

    def each(self, holds_a_run: Callable[[Source], object]) -> list[RunFolder]:
        """Return each file that holds a run by itself; what cannot be read holds none."""
        found = []
        for name, source in self.files.items():
            with suppress(ParseError):
                if holds_a_run(source):
                    found.append(self.alone(name))
        return found


class RunReader(Protocol):
    """Reads the finished calculations of one program."""

    name: str
    """``vasp``, ``espresso`` …, as in the entry point."""

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return the runs of this program in a folder, each with the files that belong to it.

        Files are known by content rather than by name. A folder with relaxation after relaxation
        (``OUTCAR.relax1``, ``OUTCAR.relax2``) holds several, in the order they ran. Empty when
        there is none.
        """
        ...

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the steps in order, then the `Run`, without keeping them all in memory.

        Results that do not follow from each other, such as the rows of a database, are runs of
        one step: a `Step`, its `Run`, the next `Step`, its `Run` …

        Files that are cut off or damaged give what is whole in them, with ``end`` and
        ``problems`` saying so. Raises ParseError when not one geometry can be read.
        """
        ...
