"""One evaluation by pw.x in a folder of its own, corrected where it fails, resumed if stopped.

The folder holds the last input and output, ``pw.in``, ``pw.out`` and ``pw.xml``, those before as
``pw-1.in``, ``pw-1.out`` …, and what was changed between them in ``corrections.json``. An output
is read as that of any run that is imported.
"""

from __future__ import annotations

import json
import shutil
import signal
import time
from collections.abc import Iterator, Sequence, Set
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import numpy as np

from nanoos.engines.espresso_cures import TOP_BAND, cure_for
from nanoos.engines.espresso_input import PREFIX, PwInput
from nanoos.engines.program import run_program
from nanoos.errors import (
    EngineCrashed,
    EngineError,
    EngineUnavailable,
    Interrupted,
    ParseError,
)
from nanoos.parsers import Source
from nanoos.runs.espresso import Espresso as Reader
from nanoos.runs.run import Run, RunFolder, Step

Found = tuple[Step, Run]

STOPPED_BEFORE, STOPPED_BEFORE_AT_MOST_S = 0.1, 60.0
"""The share of a job's time that is spared for pw.x to write its state and end, and its limit."""
BANNER = "Program PWSCF v."
"""What pw.x says first, before its version."""
EMPTY = 1e-3
"""The occupation of a state below which it counts as empty."""

_INPUT, _OUTPUT, _XML = f"{PREFIX}.in", f"{PREFIX}.out", f"{PREFIX}.xml"
_SAVED_XML, _RESTART = f"{PREFIX}.save/data-file-schema.xml", f"{PREFIX}.restart_scf"
_ERRORS, _CRASH, _CORRECTIONS = f"{PREFIX}.err", "CRASH", "corrections.json"
_KEPT = {_INPUT, _OUTPUT, _ERRORS}
_TAIL_CHARACTERS = 300


@dataclass
class Calculation:
    """``given`` in ``folder``, by ``command``; until ``deadline`` of the monotonic clock.

    Of that, ``spare_s`` are for pw.x to end in; it is not started for less than twice as long.
    """

    given: PwInput
    folder: Path
    command: Sequence[str]
    deadline: float | None = None
    spare_s: float = 0.0
    corrections: list[dict[str, Any]] = field(default_factory=list)

    def finish(self) -> Found:
        """Return the step and the run that came of it; what is there already is not repeated.

        Raises
        ------
        Interrupted
            If the deadline comes first.
        EngineCrashed, EngineUnavailable, NotConverged, MemoryExceeded, EngineError
            If it cannot be calculated, with any cure.
        """
        self.folder.mkdir(parents=True, exist_ok=True)
        current = self._as_left()
        found = self._read()
        end = found and found[1].end
        code = 0 if end == "finished" else self._start(current, resume=end == "time_limit")
        while True:
            found, said = self._read(), self._said()
            if found and found[1].end == "time_limit":
                raise Interrupted("pw.x was stopped before the job's time was up; it can go on.")
            if found and _is_short_of_bands(self._xml()):
                said = f"{said}\n{TOP_BAND}"
            if cure_for(said) is None:
                break
            current = self._corrected(current, said)
            code = self._start(current)
        if found is None or code or found[1].end != "finished":
            raise self._failure(found, code, said)
        self._remove_scratch({_XML})
        return found

    @property
    def files(self) -> list[Path]:
        """The inputs and outputs there are, and the record of corrections."""
        kept = [*self.folder.glob(f"{PREFIX}*.in"), *self.folder.glob(f"{PREFIX}*.out")]
        kept += [self.folder / _XML, self.folder / _CORRECTIONS]
        return sorted(path for path in kept if path.is_file())

    def _as_left(self) -> PwInput:
        """Return the input as corrected by an earlier attempt, if there was one."""
        with suppress(FileNotFoundError, ValueError):
            self.corrections = json.loads((self.folder / _CORRECTIONS).read_text())
        current = self.given
        for correction in self.corrections:
            current = current.changed(correction["change"])
        return current

    def _start(self, current: PwInput, *, resume: bool = False) -> int:
        """Run pw.x, from where it was stopped in time or else anew; return its exit code.

        What a killed run left is not gone on from: it may be half written.
        """
        passing: dict[str, Any] = {}
        if resume and (self.folder / _RESTART).exists():
            passing["restart_mode"] = "restart"
        else:
            self._remove_scratch()
        if self.deadline is not None:
            left_s = self.deadline - time.monotonic()
            if left_s <= 2 * self.spare_s:
                raise Interrupted("Too little time was left for pw.x; the next attempt goes on.")
            passing["max_seconds"] = round(left_s - self.spare_s, 3)
        (self.folder / _INPUT).write_text(current.changed(passing).text)
        output, errors = self.folder / _OUTPUT, self.folder / _ERRORS
        with self._pseudopotentials(current):
            code = run_program([*self.command, "-in", _INPUT], self.folder, output, errors)
        if output.read_text(errors="replace").count(BANNER) > 1:
            raise EngineUnavailable(
                f"{' '.join(self.command)} starts programs that know nothing of each other: the"
                " launcher is not of the MPI that pw.x was built with. Install that one's, first"
                " on the PATH."
            )
        return code

    @contextmanager
    def _pseudopotentials(self, current: PwInput) -> Iterator[None]:
        """Have the files in the folder by links, which would lead astray what reads it later."""
        links = {self.folder / one.path.name: one.path for one in current.potentials.values()}
        for link, path in links.items():
            link.unlink(missing_ok=True)
            link.symlink_to(path.absolute())
        try:
            yield
        finally:
            for link in links:
                link.unlink(missing_ok=True)

    def _read(self) -> Found | None:
        """Return what the output tells; None where there is none, or no geometry in it."""
        names = [_INPUT, _OUTPUT, *([xml.name] if (xml := self._xml()) else [])]
        if not (self.folder / _OUTPUT).is_file():
            return None
        sources = {
            name: Source(name, path=xml if xml and name == xml.name else self.folder / name)
            for name in names
        }
        step: Step | None = None
        with suppress(ParseError):
            for one in Reader().read(RunFolder(self.folder.name, sources)):
                if isinstance(one, Step):
                    step = one
                elif step is not None:
                    return step, one
        return None

    def _xml(self) -> Path | None:
        places = (self.folder / _XML, self.folder / _SAVED_XML)
        return next((path for path in places if path.is_file()), None)

    def _said(self) -> str:
        """Return all that pw.x said."""
        paths = (self.folder / name for name in (_OUTPUT, _ERRORS, _CRASH))
        return "\n".join(path.read_text(errors="replace") for path in paths if path.is_file())

    def _corrected(self, current: PwInput, said: str) -> PwInput:
        """Return the next input for what was said, with both and the change kept."""
        cure = cure_for(said)
        assert cure is not None  # noqa: S101 - asked before
        tried = sum(one["cause"] == cure.cause for one in self.corrections)
        if tried == len(cure.changes):
            raise cure.error(
                f"pw.x failed for {cure.cause}, and {tried} corrections did not help: "
                f"{_line_with(cure.signs.search(said), said)}"
            )
        change = dict(cure.changes[tried](current.variables, said))
        after = current.changed(change)
        place = len(self.corrections) + 1
        for name in (_INPUT, _OUTPUT):
            kept = Path(name)
            (self.folder / name).replace(self.folder / f"{kept.stem}-{place}{kept.suffix}")
        self.corrections.append(
            {
                "cause": cure.cause,
                "said": _line_with(cure.signs.search(said), said),
                "change": change,
                "input_sha256_before": current.sha256,
                "input_sha256_after": after.sha256,
                "folder": self.folder.name,
            }
        )
        (self.folder / _CORRECTIONS).write_text(json.dumps(self.corrections, indent=1))
        self._remove_scratch()
        return after

    def _failure(self, found: Found | None, code: int, said: str) -> EngineError:
        """Return the error of a run that no cure is for."""
        message = found[1].message if found else None
        if framed := "Error in routine" in said:
            frame = said[said.index("Error in routine") :]
            message = " ".join(frame.partition("%%%%")[0].split())
        if code >= 0 and (framed or (found and found[1].end == "crashed")):
            return EngineError(f"pw.x: {message}")
        cause = f"signal {signal.Signals(-code).name}" if code < 0 else f"exit code {code}"
        tail = " ".join(said.split())[-_TAIL_CHARACTERS:]
        return EngineCrashed(f"pw.x ended with {cause} before it was done: {tail}")

    def _remove_scratch(self, kept: Set[str] = frozenset()) -> None:
        """Remove densities, wave functions and the like, so that the next start is a new one."""
        for path in self.folder.glob(f"{PREFIX}.*"):
            if path.is_dir():
                shutil.rmtree(path)
            elif path.name not in _KEPT | kept:
                path.unlink()
        (self.folder / _CRASH).unlink(missing_ok=True)


def _is_short_of_bands(xml: Path | None) -> bool:
    """Tell whether the last band of smeared occupations holds electrons at any k-point."""
    if xml is None:
        return False
    try:
        bands = ElementTree.parse(xml).find("output/band_structure")  # noqa: S314 - pw.x wrote it
    except ElementTree.ParseError:
        return False
    if bands is None or bands.findtext("occupations_kind") != "smearing":
        return False
    n_spins = 2 if bands.findtext("lsda") == "true" else 1
    for written in bands.iterfind("ks_energies/occupations"):
        occupations = np.array((written.text or "").split(), dtype=float).reshape(n_spins, -1)
        if np.abs(occupations[:, -1]).max() > EMPTY:
            return True
    return False


def _line_with(found: Any, said: str) -> str:
    """Return the line in which a sign was found."""
    start = said.rfind("\n", 0, found.start()) + 1
    return said[start:].partition("\n")[0].strip()
