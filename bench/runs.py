"""Claim: energies, forces and stress of runs are those that ASE and pymatgen read, to 1e-6.

Every folder below those given is read by every reader of runs, and each step compared with what
ASE and pymatgen read of the same file: the energy, the free energy, every force and the stress,
in value and sign. Where a peer reads fewer steps, those it has are compared.

What is known to differ: pymatgen leaves the energy of a step in vasprun.xml as the enthalpy that
VASP writes there under external pressure; such runs are compared with ASE alone. Of a hybrid
functional in Quantum ESPRESSO ASE reads an energy without all of the exact exchange, so these are
not compared. ASE reads a restart file of GPAW (.gpw) only when it is not compressed.

What it does not show: that all are right; and what neither peer reads: CP2K, and LAMMPS's log.

pymatgen is no dependency of the project; run it in an environment with both:

    python3 -m venv /tmp/peers && /tmp/peers/bin/pip install -e . pymatgen
    /tmp/peers/bin/python bench/runs.py FOLDER …
"""

from __future__ import annotations

import argparse
import sys
import time
import warnings
from collections import defaultdict
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NamedTuple

import numpy as np

from nanoos import plugins
from nanoos.errors import NanoError
from nanoos.parsers import Source
from nanoos.runs import RunFolder, Step

TOLERANCE = 1e-6
MOST_SHOWN = 10


class Numbers(NamedTuple):
    """What is compared of one step; None where it is not said."""

    energy_ev: float | None
    free_energy_ev: float | None
    forces_ev_per_a: np.ndarray | None
    stress_gpa: np.ndarray | None


@dataclass
class Tally:
    """What was found of one program against one peer."""

    runs: int = 0
    steps: int = 0
    unread: int = 0
    greatest: dict[str, float] = field(default_factory=lambda: dict.fromkeys(Numbers._fields, 0.0))
    differing: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def compare(self, name: str, ours: list[Numbers], theirs: list[Numbers]) -> None:
        """Add the steps of one run."""
        self.runs += 1
        if len(theirs) > len(ours):
            self.differing.append(f"{name}: {len(ours)} steps, theirs {len(theirs)}")
        for place, (own, other) in enumerate(zip(ours, theirs, strict=False), 1):
            self.steps += 1
            for what in Numbers._fields:
                one, two = getattr(own, what), getattr(other, what)
                if two is None:
                    continue
                if what == "stress_gpa" and one is not None:  # of which ASE keeps one half
                    one, two = np.triu(one), np.triu(two)
                difference = np.inf if one is None else float(np.abs(one - two).max())
                self.greatest[what] = max(self.greatest[what], difference)
                if not difference <= TOLERANCE:
                    self.differing.append(f"{name}, step {place}: {what} by {difference:g}")


def of_atoms(frames: Any) -> list[Numbers]:
    """Return the numbers of ASE's Atoms."""
    from ase.units import GPa

    found = []
    for atoms in frames:
        if atoms.calc is None:  # the geometry of a run without one whole step
            continue
        results = atoms.calc.results
        stress = atoms.get_stress(voigt=False) / GPa if results.get("stress") is not None else None
        energies = results.get("energy"), results.get("free_energy")
        found.append(Numbers(*energies, results.get("forces"), stress))
    return found


def ase_reading(format_: str | None) -> Callable[[Path], list[Numbers]]:
    """Return what reads a file by ASE; without a format ASE tells it by the file."""

    def read(path: Path) -> list[Numbers]:
        import ase.io

        return of_atoms(ase.io.read(path, ":", format=format_))

    return read


def pymatgen_vasprun(path: Path) -> list[Numbers]:
    """Return what pymatgen reads of a vasprun.xml, its correction of energies included."""
    from pymatgen.io.vasp.outputs import Vasprun

    run = Vasprun(
        path,
        parse_dos=False,
        parse_eigen=False,
        parse_potcar_file=False,
        exception_on_bad_xml=False,
    )
    if run.parameters.get("PSTRESS"):
        return []
    found = []
    for step in run.ionic_steps:
        free, last = step.get("e_fr_energy"), (step.get("electronic_steps") or [None])[-1]
        if free is None:  # GW
            continue
        energy = None if last is None else free + last["e_0_energy"] - last["e_fr_energy"]
        forces, stress = step.get("forces"), step.get("stress")
        found.append(
            Numbers(
                energy,
                free,
                None if forces is None else np.array(forces),
                None if stress is None else -0.1 * np.array(stress),
            )
        )
    return found


def ase_pw(path: Path) -> list[Numbers]:
    """Return what ASE reads of the output of pw.x."""
    found = ase_reading("espresso-out")(path)
    is_hybrid = any("EXX-fraction" in line for line in Source(path.name, path).lines())
    return [] if is_hybrid else found


def pymatgen_entries(path: Path) -> list[Numbers]:
    """Return the energies, without corrections, of pymatgen's computed entries."""
    from monty.serialization import loadfn

    found = loadfn(path)
    entries = found if isinstance(found, list) else [found]
    energies = (one.uncorrected_energy for one in entries if hasattr(one, "structure"))
    return [Numbers(float(energy), None, None, None) for energy in energies]


PEERS: dict[str, dict[str, dict[str, Callable[[Path], list[Numbers]]]]] = {
    "vasp": {
        "vasprun": {"ASE": ase_reading("vasp-xml"), "pymatgen": pymatgen_vasprun},
        "outcar": {"ASE": ase_reading("vasp-out")},
    },
    "espresso": {"text": {"ASE": ase_pw}},
    "entries": {"json": {"pymatgen": pymatgen_entries}},
    "ase": {"file": {"ASE": ase_reading(None)}},
    "extxyz": {"file": {"ASE": ase_reading("extxyz")}},
    "gpaw": {"text": {"ASE": ase_reading("gpaw-out")}, "restart": {"ASE": ase_reading("gpw")}},
    "fhi_aims": {"text": {"ASE": ase_reading("aims-output")}},
    "castep": {"text": {"ASE": ase_reading("castep-castep")}},
}
"""Program → kind of file → peer → what reads it."""


def vasp_kind(run: RunFolder) -> tuple[str, str] | None:
    """Return kind and name of the file that gives the numbers of a run of VASP."""
    from nanoos.runs.vasp_files import known

    kinds = {one.kind: one.name for one in reversed(known(run.files))}
    return next(((kind, kinds[kind]) for kind in ("vasprun", "outcar") if kind in kinds), None)


def espresso_kind(run: RunFolder) -> tuple[str, str] | None:
    """Return the text of a run of pw.x."""
    texts = (name for name, one in run.files.items() if b"Program PWSCF" in one.head(20_000))
    return next((("text", name) for name in texts), None)


def only(kind: str) -> Callable[[RunFolder], tuple[str, str]]:
    """Return what gives the first file of a run, of one kind."""
    return lambda run: (kind, next(iter(run.files)))


def gpaw_kind(run: RunFolder) -> tuple[str, str]:
    """Return the text or the restart file of a run of GPAW."""
    name = next(iter(run.files))
    return ("restart" if Path(name.removesuffix(".xz")).suffix == ".gpw" else "text"), name


KIND_OF: dict[str, Callable[[RunFolder], tuple[str, str] | None]] = {
    "vasp": vasp_kind,
    "espresso": espresso_kind,
    "entries": only("json"),
    "ase": only("file"),
    "extxyz": only("file"),
    "gpaw": gpaw_kind,
    "fhi_aims": only("text"),
    "castep": only("text"),
}


def folders(roots: list[Path]) -> Iterator[RunFolder]:
    """Yield every folder with files."""
    for root in roots:
        for folder in sorted({path.parent for path in root.rglob("*") if path.is_file()}):
            files = {p.name: Source(p.name, p) for p in sorted(folder.iterdir()) if p.is_file()}
            yield RunFolder(str(folder), files)


def numbers_of(step: Step) -> Numbers:
    """Return what is compared of our step."""
    return Numbers(step.energy_ev, step.free_energy_ev, step.forces_ev_per_a, step.stress_gpa)


def main() -> int:
    """Compare, and print what was found."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("folders", nargs="+", type=Path)
    chosen = parser.parse_args()
    warnings.simplefilter("ignore")
    tallies: dict[tuple[str, str], Tally] = defaultdict(Tally)
    ours: dict[str, Tally] = defaultdict(Tally)
    for folder in folders(chosen.folders):
        for program, make in plugins.load("nanoos.runs").items():
            for run in found(ours[program], make(), folder):
                own = read(ours[program], make(), run)
                compare(tallies, program, run, own)
    report(ours, tallies)
    return int(any(tally.differing for tally in tallies.values()))


def found(tally: Tally, reader: Any, folder: RunFolder) -> list[RunFolder]:
    """Return the runs of a folder our way."""
    try:
        runs: list[RunFolder] = reader.runs(folder)
    except NanoError as error:
        tally.unread += 1
        tally.differing.append(f"{folder.name}: {error}")
        return []
    return runs


def read(tally: Tally, reader: Any, run: RunFolder) -> list[Numbers]:
    """Read a run our way."""
    tally.runs += 1
    began = time.process_time()
    found: list[Numbers] = []
    try:
        for one in reader.read(run):
            if isinstance(one, Step):
                found.append(numbers_of(one))
    except NanoError as error:
        tally.unread += 1
        tally.differing.append(f"{run.name}: {error}")
    tally.seconds += time.process_time() - began
    tally.steps += len(found)
    return found


def compare(
    tallies: dict[tuple[str, str], Tally], program: str, run: RunFolder, own: list[Numbers]
) -> None:
    """Read a run as each peer does, and compare."""
    found = KIND_OF[program](run) if program in KIND_OF else None
    if found is None:
        return
    kind, name = found
    path = run.files[name].path
    for peer, reading in PEERS[program][kind].items():
        tally = tallies[program, f"{peer}, {kind}"]
        began = time.process_time()
        try:
            theirs = reading(path)
        except Exception:  # noqa: BLE001 - whatever stops the peer is a result
            tally.unread += 1
            continue
        finally:
            tally.seconds += time.process_time() - began
        tally.compare(f"{run.name} ({name})", own, theirs)


def report(ours: dict[str, Tally], tallies: dict[tuple[str, str], Tally]) -> None:
    """Print the figures."""
    for program, own in ours.items():
        print(
            f"{program}: {own.runs} runs of {own.steps} steps, {own.unread} not read, "
            f"{own.seconds:.1f} s of processor time"
        )
        for line in own.differing[:MOST_SHOWN]:
            print(f"    {line}")
    for (program, peer), tally in tallies.items():
        greatest = ", ".join(f"{what} {value:.1e}" for what, value in tally.greatest.items())
        print(
            f"{program} against {peer}: {tally.runs} runs of {tally.steps} steps, "
            f"{tally.unread} that it does not read, {tally.seconds:.1f} s; greatest differences: "
            f"{greatest}"
        )
        for line in tally.differing[:MOST_SHOWN]:
            print(f"    {line}")


if __name__ == "__main__":
    sys.exit(main())
