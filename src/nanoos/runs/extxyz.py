"""Extended XYZ whose frames state energies or forces, as training sets and trajectories do.

Results are named as ASE names them (``energy``, ``free_energy``, ``forces``, ``stress``), or with
``DFT_``, ``REF_`` … before it; of several such kinds the first of `PREFIXES` that has an energy or
forces is taken, and all results are of that kind. A ``virial`` (eV) is turned into stress:
stress = -virial / volume.

Each frame is a run of one step, but for one kind of file: three or more frames of the same atoms
whose energy falls from each to the next are the steps of one relaxation.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import replace
from itertools import islice
from typing import Any

import numpy as np

from nanoos.errors import NanoError, ParseError
from nanoos.methods import Method
from nanoos.parsers import Source, extxyz
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.runs.ase_method import method, stated_method, stated_problems
from nanoos.runs.ase_results import each_alone, has_results, number, step, told, until_damage
from nanoos.runs.run import Run, RunFolder, Step
from nanoos.structures import Structure

PREFIXES = ("", "DFT_", "dft_", "REF_", "ref_", "QM_", "qm_", "MACE_", "mace_")
"""What may stand before the names of results, the first choice first."""

_ALIASES = {"force": "forces", "virials": "virial", "Energy": "energy", "E": "energy"}
_HEAD_BYTES = 65_536
_COUNT_BYTES = 24
_COUNT = re.compile(r"\ufeff?\s*(\d+)\s*")
_RESULT = re.compile(
    rf"(?:^|[\s:\"'])(?:{'|'.join(PREFIXES)})(?:energy|Energy|free_energy|forces?)\s*[=:]"
)
_ENERGY = re.compile(rf"(?:^|\s)(?:{'|'.join(PREFIXES)})(?:energy|Energy)\s*=\s*\"?([-+.\deE]+)")
_FEWEST = 3  # frames that tell a relaxation


class ExtendedXyz:
    """The reader of extended XYZ with results."""

    name = "extxyz"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each file whose first frame states an energy or forces."""
        return [
            folder.alone(name) for name, source in folder.files.items() if _states_results(source)
        ]

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield each frame and its run, or the steps of a relaxation and their run.

        Raises ParseError when no frame can be read.
        """
        for name, source in run.files.items():
            frames = _frames(run.name, name, source)
            if _is_relaxation(source):
                yield from _relaxation(frames, run.name)
            else:
                yield from each_alone(frames)


def _states_results(source: Source) -> bool:
    try:
        if _COUNT.match(source.head(_COUNT_BYTES).decode(errors="replace")) is None:
            return False  # as of most files in a folder of runs
        head = source.head(_HEAD_BYTES)
    except ParseError:
        return False
    if not extxyz.ExtendedXyz().recognises(head, ""):
        return False
    return _RESULT.search(head.decode(errors="replace").splitlines()[1]) is not None


def _is_relaxation(source: Source) -> bool:
    """Tell whether the frames are of the same atoms and their energy falls to the end."""
    previous: tuple[list[str], float] | None = None
    n_frames = 0
    lines = source.lines(tolerant=True)
    try:
        for first in lines:
            comment = next(lines, "")
            if "nano_os_method=" in comment:  # of an export, where each is a result
                return False
            count, energy = _COUNT.fullmatch(first), _ENERGY.search(comment)
            if count is None or energy is None:
                break
            atoms = [line.split(maxsplit=1)[0] for line in islice(lines, int(count[1]))]
            if len(atoms) < int(count[1]):  # the file is cut short
                break
            frame = atoms, float(energy[1])
            if previous and (previous[0] != atoms or previous[1] <= frame[1]):
                return False
            previous = frame
            n_frames += 1
    except (ParseError, ValueError, IndexError):
        return False
    return n_frames >= _FEWEST


def _relaxation(found: Iterator[tuple[Step, Run] | NanoError], name: str) -> Iterator[Step | Run]:
    last: Run | None = None
    notes = []
    for one in until_damage(found):
        if isinstance(one, NanoError):
            notes.append(str(one))
        else:
            yield one[0]
            last = one[1]
    if last is None:
        raise ParseError(notes[0] if notes else "No energy or force is stated.")
    yield replace(
        last,
        name=name,
        task="relax",
        end="unfinished" if notes else "finished",
        problems=("truncated",) if notes else (),
        message=told(notes),
    )


def _frames(path: str, name: str, source: Source) -> Iterator[tuple[Step, Run] | NanoError]:
    for place, parsed in enumerate(extxyz.ExtendedXyz().parse(source), 1):
        if isinstance(parsed, Rejected):
            yield ParseError(f"Frame {place}: {parsed.error}")
            continue
        prefix, results = _results(parsed)
        if has_results(results):
            found = step(results, parsed.structure, place)
            ours = _of_ours(parsed.extra, found)
            yield (
                found,
                Run(
                    name=f"{path}#{place}",
                    method=stated_method(ours.get("nano_os_method"))
                    or _method(found, parsed, source, prefix),
                    task="single_point",
                    end="finished",
                    problems=stated_problems(ours),
                    total_magnetization_mu_b=number(parsed.extra.get("magmom")),
                    files={name: source.sha256},
                ),
            )


def _of_ours(extra: Mapping[str, Any], found: Step) -> Mapping[str, Any]:
    """Return what an export of ours says of the result; nothing of another result.

    ASE keeps it when somebody calculates the frame anew, with whatever energy.
    """
    is_ours = isinstance(extra.get("nano_os_method"), Mapping)
    return extra if is_ours and extra.get("nano_os_energy_ev") == found.energy_ev else {}


def _results(parsed: Parsed) -> tuple[str, dict[str, Any]]:
    """Return results by ASE's names, all of one kind, and the prefix that they had."""
    arrays = parsed.extra.get("arrays")
    said = {**parsed.extra, **(arrays if isinstance(arrays, Mapping) else {})}
    for prefix in PREFIXES:
        of_kind = {
            _ALIASES.get(name.removeprefix(prefix), name.removeprefix(prefix)): value
            for name, value in said.items()
            if name.startswith(prefix)
        }
        if has_results(of_kind):
            return prefix, {**of_kind, "stress": _stress(of_kind, parsed.structure)}
    return "", {}


def _stress(said: Mapping[str, Any], structure: Structure) -> Any:
    """Return the stress, or that of the virial, in eV/Å³."""
    if said.get("stress") is not None or said.get("virial") is None:
        return said.get("stress")
    if structure.volume_a3 is None:
        return None
    virial = np.array(said["virial"])
    return -virial / structure.volume_a3 if virial.dtype.kind in "if" else None


def _method(last: Step, parsed: Parsed, source: Source, prefix: str) -> Method:
    said = parsed.extra
    functional = next((said[key] for key in ("xc", "functional") if said.get(key)), None)
    return method(
        said.get("calculator"),
        None,
        last.structure,
        source.sha256,
        functional=functional,
        kind=prefix,
    )
