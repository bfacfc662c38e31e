"""CP2K: the output, and the positions of later steps in ``PROJECT-pos-1.xyz`` beside it.

The output lists the atoms once. A frame of the positions belongs to the evaluation of its energy;
without that file a relaxation has its first step alone. ASE reads neither energies nor forces of
CP2K's files; units and the sign of stress are those of ``ase.calculators.cp2k``.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from datetime import datetime

from ase.units import Hartree

from nanoos.errors import NanoError, ParseError, StructureError
from nanoos.methods import Method, Potential
from nanoos.methods.method import Spin
from nanoos.parsers import Source
from nanoos.parsers.extxyz import ExtendedXyz
from nanoos.parsers.parser import Parsed
from nanoos.runs.cp2k_output import SIGN, Evaluation, Output
from nanoos.runs.k_points import grid_spacing_per_a
from nanoos.runs.run import End, Problem, Run, RunFolder, Step, Task
from nanoos.structures import Structure

_HEAD_BYTES = 16_384
_FRAME = re.compile(rb"\A\s*\d+\s*\n i = +\d+,.* E = +([-\d.]+)")
_FRAME_ENERGY = re.compile(r"E = +([-\d.]+)")
_SAME_GEOMETRY_EV = 1e-4 * Hartree  # of the last geometry, calculated anew at the end
_SAME_ENERGY_EV = 1e-8 * Hartree  # of ten printed decimals

_TASKS: dict[str, Task] = {
    "ENERGY": "single_point",
    "ENERGY_FORCE": "single_point",
    "GEO_OPT": "relax",
    "CELL_OPT": "relax",
    "MD": "molecular_dynamics",
}
_FURTHER = {
    "QS Method": ("GPW",),
    "DFT Charge": ("0",),
    "DFT Multiplicity": ("1", "2"),
    "DFT Self-interaction correction (SIC)": ("NO",),
    "DFT+U Method": (),
}
"""What the output says that changes energies → what is as by default."""
_EXCHANGE = (
    "fraction",
    "interaction potential",
    "omega",
    "cutoff_radius",
    "cutoff radius",
    "scale",
)
"""How lines on exact exchange begin that change energies."""


class Cp2k:
    """The reader of CP2K's runs."""

    name = "cp2k"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each output; where there is one alone, with the positions beside it."""
        outputs, positions = [], []
        for name, source in folder.files.items():
            try:
                head = source.head(_HEAD_BYTES)
            except ParseError:
                continue
            if SIGN.search(head):
                outputs.append(name)
            elif _FRAME.match(head):
                positions.append(name)
        if len(outputs) == 1:
            files = {name: folder.files[name] for name in (*outputs, *positions[:1])}
            return [RunFolder(folder.name, files)]
        return [folder.alone(name) for name in outputs]

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the steps, then the run. Raises ParseError when no atoms are listed."""
        (_, source), *positions = run.files.items()
        output = Output.of(source.lines(tolerant=True))
        if not output.symbols:
            raise ParseError("The output of CP2K ends before its atoms are listed.")
        found = output.evaluations
        try:
            first = _step(output, output.positions_a, found[0] if found else None, 1)
        except StructureError as error:
            raise ParseError(f"The atoms listed make no structure: {error}") from error
        yield first
        notes: list[str] = []
        last, n_steps = first, 1
        for _, frames in positions:
            for step in _later(output, frames, notes):
                last, n_steps = step, n_steps + 1
                yield replace(step, place=n_steps)
        is_last = _is_last(output, last, n_steps)
        if not is_last and not notes:
            notes.append(
                f"The output has {len(found)} energies, but the positions of {n_steps} are there: "
                "PROJECT-pos-1.xyz is missing or cut short."
            )
        yield _run(run, output, first.structure, notes, is_last=is_last)


def _is_last(output: Output, last: Step, n_steps: int) -> bool:
    """Tell whether a step is the last that was calculated, or what a relaxation ended with."""
    found = output.evaluations
    if n_steps == 1 or last.energy_ev is None:
        return len(found) < 2
    is_relaxed = any("OPTIMIZATION COMPLETED" in line for line in output.said)
    return not is_relaxed or abs(found[-1].energy_ev - last.energy_ev) < _SAME_GEOMETRY_EV


def _step(
    output: Output, positions_a: object, found: Evaluation | None, place: int | None = None
) -> Step:
    structure = Structure.of(
        found.lattice_a if found else None,
        positions_a,  # type: ignore[arg-type]
        output.symbols,
    )
    if found is None:
        return Step(structure=structure, place=place)
    return Step(
        structure=structure,
        energy_ev=found.energy_ev,
        free_energy_ev=found.energy_ev,
        forces_ev_per_a=found.forces_ev_per_a,
        stress_gpa=found.stress_gpa,
        electronic_steps=found.electronic_steps,
        is_electronically_converged=found.is_converged,
        place=place,
    )


def _later(output: Output, frames: Source, notes: list[str]) -> Iterator[Step]:
    """Yield the frames that follow the first geometry, each with the evaluation of its energy."""
    left = iter(output.evaluations[1:])
    try:
        for parsed in ExtendedXyz().parse(frames):
            said = parsed.extra.get("comment", "") if isinstance(parsed, Parsed) else ""
            energy = _FRAME_ENERGY.search(str(said))
            if energy is None or not isinstance(parsed, Parsed):
                continue
            energy_ev = float(energy[1]) * Hartree
            for one in left:
                if abs(one.energy_ev - energy_ev) < _SAME_ENERGY_EV:
                    yield _step(output, parsed.structure.positions_a, one)
                    break
    except (NanoError, ValueError) as error:
        notes.append(str(error))


def _run(
    run: RunFolder, output: Output, structure: Structure, notes: list[str], *, is_last: bool
) -> Run:
    """Return the run; ``is_last`` says whether the last geometry is known, so that it relaxed."""
    ended = " ".join(output.said)
    task = _TASKS.get(output.facts.get("GLOBAL Run type", ""), "other")
    last = output.evaluations[-1] if output.evaluations else None
    is_exhausted = "MAXIMUM NUMBER OF OPTIMIZATION" in ended
    is_relaxed = None
    if task == "relax" and is_last and (is_exhausted or "OPTIMIZATION COMPLETED" in ended):
        is_relaxed = not is_exhausted
    problems: list[Problem] = []
    if last is not None and last.is_converged is False:
        problems.append("electronic_steps_exhausted")
    if is_exhausted:
        problems.append("ionic_steps_exhausted")
    if "[ABORT]" in ended:
        problems.append("error")
    if notes:
        problems.append("truncated")
    return Run(
        name=run.name,
        method=_method(output, structure),
        task=task,
        end=_end(ended),
        problems=tuple(problems),
        message=" ".join(notes) or None,
        is_electronically_converged=last.is_converged if last else None,
        is_ionically_converged=is_relaxed,
        wall_time_s=output.wall_time_s,
        n_cores=_n_cores(output),
        started_at=_date(output.started),
        host=output.host,
        files={name: source.sha256 for name, source in run.files.items()},
    )


def _end(ended: str) -> End:
    if "[ABORT]" in ended:
        return "crashed"
    if "exceeded requested execution time" in ended:
        return "time_limit"
    return "finished" if "PROGRAM ENDED AT" in ended else "unfinished"


def _method(output: Output, structure: Structure) -> Method:
    facts = output.facts
    cutoff = _number(facts.get("QS Density cutoff [a.u.]"))
    d3 = next((line for line in output.said if "DFT-D3" in line), None)
    found = {
        Potential(_element(kind), " ".join(titles)) for kind, titles in output.potentials.items()
    }
    temperature = _number(facts.get("Electronic temperature [a.u.]"))
    smearing = facts.get("Smear method", "").casefold().replace("_", "-")
    spins: dict[str, Spin] = {"1": "none", "2": "collinear"}
    return Method(
        code="CP2K",
        code_version=facts.get("CP2K version string", "").removeprefix("CP2K version ") or None,
        functional=_functional(output),
        dispersion=None if d3 is None else "D3(BJ)" if "BJ" in d3 else "D3",
        hubbard_ev=_hubbard(output),
        potentials=tuple(sorted(found, key=lambda one: (one.element, one.title))),
        density_cutoff_ev=None if cutoff is None else cutoff * Hartree,
        k_spacing_per_a=_spacing(facts.get("BRILLOUIN K-Point grid"), structure),
        smearing=smearing or None,
        smearing_width_ev=None if temperature is None else temperature * Hartree,
        spin=spins.get(facts.get("DFT Number of spin states", "")),
        further=dict(_further(facts)),
    )


def _functional(output: Output) -> str | None:
    """Return what is printed, with the exact exchange that a hybrid has beside it."""
    names = dict.fromkeys(output.functionals)
    if any(name.startswith("HFX_INFO ") for name in output.facts):
        names["HFX"] = None
    return "+".join(names) or None


def _hubbard(output: Output) -> dict[str, float]:
    """Return site → U; a kind whose U is not that of its element is named."""
    found: dict[str, float] = {}
    for kind, shells in output.hubbard_ev.items():
        for shell, u in shells.items():
            site = f"{_element(kind)} {shell}".strip()
            found[site if found.get(site, u) == u else f"{site} ({kind})"] = u
    return found


def _element(kind: str) -> str:
    return re.sub(r"[^A-Za-z].*", "", kind)


def _further(facts: Mapping[str, str]) -> Iterator[tuple[str, str]]:
    """Yield other settings that change energies, where they are not as by default.

    Multiplicities of 1 and 2 are: the lowest that the number of electrons allows.
    """
    for name, defaults in _FURTHER.items():
        if (said := facts.get(name)) is not None and said not in defaults:
            yield name, said
    for name, said in facts.items():
        key = name.removeprefix("HFX_INFO ").casefold()
        if key != name.casefold() and key.startswith(_EXCHANGE):
            yield f"HFX {key}", said


def _spacing(grid: str | None, structure: Structure) -> float | None:
    if structure.lattice_a is None:
        return None
    numbers = grid.split() if grid else ["1", "1", "1"]
    divisions = [int(word) for word in numbers if word.isdecimal()]
    return grid_spacing_per_a(structure.lattice_a, divisions)


def _number(written: str | None) -> float | None:
    try:
        return float(written) if written else None
    except ValueError:
        return None


def _n_cores(output: Output) -> int | None:
    names = ("Total number of message passing processes", "Number of threads for this process")
    counts = [output.facts.get(f"GLOBAL {name}", "") for name in names]
    return int(counts[0]) * int(counts[1]) if all(n.isdecimal() for n in counts) else None


def _date(written: str | None) -> datetime | None:
    try:
        return datetime.fromisoformat(written).astimezone() if written else None
    except ValueError:
        return None
