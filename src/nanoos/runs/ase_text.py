"""Outputs of programs that ASE reads: its reader gives the steps, a scan of the text the rest.

ASE reads a text as a whole, so it may be `MAX_BYTES` long. Where it fails on a text that is cut off
or damaged, what stands before the last steps is read, up to `MAX_RETRIES` of them given up.
"""

from __future__ import annotations

import re
import warnings
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass, replace
from io import StringIO
from typing import Any

from nanoos.errors import ParseError, StructureError
from nanoos.parsers import Source
from nanoos.runs.ase_results import has_results, is_falling, largest_force, number, step, told
from nanoos.runs.run import Run, RunFolder, Step
from nanoos.structures import Structure

MAX_BYTES = 64 * 1024**2
"""Longer outputs are refused: ASE needs many times their size in memory."""
MAX_RETRIES = 3

Scan = Callable[[str, Structure], Run]
"""Makes the run of a text and its last geometry; `read` adds name, files and damage."""

Reader = Callable[[StringIO], Iterable[Any]]
"""A reader of ASE, that returns all images of a text."""

_HEAD_BYTES = 16_384


@dataclass(frozen=True, slots=True)
class Format:
    """How outputs of a program are read with ASE.

    ``begin`` matches where a step begins, ``whole`` what a step has when it is complete, or what
    ends a text. ``ending`` is put behind a text for ASE.
    """

    with_ase: Reader
    begin: re.Pattern[str]
    whole: re.Pattern[str]
    ending: str = ""


def outputs(folder: RunFolder, sign: re.Pattern[bytes]) -> list[RunFolder]:
    """Return the files that have a sign near their beginning, each as a run."""
    return folder.each(lambda source: sign.search(source.head(_HEAD_BYTES)))


def read(run: RunFolder, form: Format, scan: Scan) -> Iterator[Step | Run]:
    """Yield the steps of each output and its run. Raises ParseError when there is no step."""
    for name, source in run.files.items():
        text = whole_lines(source)
        images, cause = _images(text, form)
        notes = [cause] if cause else []
        last: Structure | None = None
        course: list[tuple[float | None, float | None]] = []
        for place, atoms in enumerate(images, 1):
            try:
                structure = Structure.from_ase(atoms)
            except StructureError as error:
                notes.append(f"Step {place}: {error}")
                continue
            last = structure
            results = atoms.calc.results if atoms.calc else {}
            if has_results(results) or len(images) == 1:
                found = _with_entropy(step(results, structure, place), atoms.calc)
                course.append((found.energy_ev, largest_force(found)))
                yield found
        if last is None:
            raise ParseError(notes[0] if notes else "The output has no geometry.")
        done = replace(scan(text, last), name=run.name, files={name: source.sha256})
        if done.task == "other" and is_falling(course):
            done = replace(done, task="relax")
        if notes:
            said = " ".join(filter(None, (done.message, told(notes))))
            done = replace(done, problems=(*done.problems, "truncated"), message=said)
        yield done


def _with_entropy(found: Step, calculator: Any) -> Step:
    """Return the step with the energies that GPAW's reader keeps beside the results."""
    parts = getattr(calculator, "energy_contributions", {})
    free_ev, entropy_ev = number(parts.get("free energy")), number(parts.get("entropy (-st)"))
    if free_ev is None or entropy_ev is None or "uncorrected_energy" in calculator.parameters:
        return found
    return replace(found, free_energy_ev=free_ev, energy_without_entropy_ev=free_ev - entropy_ev)


def whole_lines(source: Source) -> str:
    """Return the text but for a last line without its end; what is not UTF-8 is replaced.

    Raises ParseError where it is too long.
    """
    data = source.head(MAX_BYTES + 1)
    if len(data) > MAX_BYTES:
        raise ParseError(
            f"The output is larger than {MAX_BYTES // 1024**2} MB, more than ASE can read at once."
        )
    return data[: data.rfind(b"\n") + 1].decode(errors="replace").replace("\r\n", "\n")


def _images(text: str, form: Format) -> tuple[list[Any], str | None]:
    """Return ASE's images, and what was wrong with those that had to be given up."""
    begins = [match.start() for match in form.begin.finditer(text)] or [0]
    if not form.whole.search(text, begins[-1]):
        return _without_last(text, begins[-1], form), None
    images, cause = images_of(text + form.ending, form.with_ase)
    for end in reversed(begins[1:][-MAX_RETRIES:] if cause else []):
        images, _ = images_of(text[:end] + form.ending, form.with_ase)
        if images:
            break
    if not images:
        raise ParseError(f"The output cannot be read: {cause}")
    return images, cause


def _without_last(text: str, begin: int, form: Format) -> list[Any]:
    """Return the images before a step that is not whole: its energy may be one on the way.

    Where there is none before it, its geometry alone.
    """
    images, _ = images_of(text[:begin] + form.ending, form.with_ase)
    if images and form.whole.search(text, 0, begin):
        return images
    images, cause = images_of(text + form.ending, form.with_ase)
    if not images:
        raise ParseError(f"The output cannot be read: {cause}")
    images[0].calc = None
    return images[:1]


def images_of(text: str, with_ase: Reader) -> tuple[list[Any], str | None]:
    """Return the images that ASE reads, or none and why."""
    stream = StringIO(text)
    stream.name = "output"  # some readers mention it
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            return list(with_ase(stream)), None
    except Exception as error:  # noqa: BLE001 - ASE's readers raise anything on damaged files
        return [], f"ASE's reader fails: {error!r}."


def first(pattern: re.Pattern[str], text: str) -> str | None:
    """Return what the first group of the first match holds."""
    found = pattern.search(text)
    return found[1].strip() if found else None


def last(pattern: re.Pattern[str], text: str) -> str | None:
    """Return what the first group of the last match holds."""
    found = last_match(pattern, text)
    return found[1].strip() if found else None


def last_match(pattern: re.Pattern[str], text: str) -> re.Match[str] | None:
    """Return the last match."""
    return max(pattern.finditer(text), key=re.Match.start, default=None)


def value(written: str | None) -> float | None:
    """Return the number that is written, if one is."""
    try:
        return None if written is None else float(written)
    except ValueError:
        return None
