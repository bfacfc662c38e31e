"""Which files of a folder belong to which run of VASP, known by what they contain."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import PurePosixPath
from typing import Literal

from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.parsers.compression import SUFFIXES
from nanoos.runs.run import RunFolder

Kind = Literal["vasprun", "outcar", "incar", "kpoints", "poscar", "contcar", "potcar", "log"]

SAME_BEGINNING = timedelta(minutes=1)
"""Both outputs of a run are begun within seconds."""

_HEAD_BYTES = 4096
_VASPRUN = re.compile(rb"\s*(?:<\?xml[^>]*>\s*)?<modeling>")
_OUTCAR = re.compile(rb"\s*vasp\.\d(?!.*^ *POSCAR found)", re.MULTILINE | re.DOTALL)
_POTCAR = re.compile(rb"^\s*(?:VRHFIN|TITEL)\s*=", re.MULTILINE)
_LOG = re.compile(
    rb"^\s*(?:running\D*\d+ (?:total cores|mpi-ranks)|distrk?:|POSCAR found|entering main loop)"
    rb"|slurmstepd|DUE TO TIME LIMIT|TERM_RUNLIMIT|job killed|forrtl:|MPI_ABORT|BAD TERMINATION",
    re.MULTILINE,
)
_XML_DATE = re.compile(
    rb'name="date"[^>]*>\s*(\d{4}) (\d\d) (\d\d)\s*<.*?name="time"[^>]*>\s*([\d:]+)', re.DOTALL
)
_DATE = re.compile(rb" date (\d{4})\.(\d\d)\.(\d\d)\s+([\d:]+)")
_NAME = re.compile(r"(vasprun|outcar|incar|kpoints|poscar|contcar|potcar)", re.IGNORECASE)
_LOG_NAME = re.compile(
    r".*(out|err|log|output|stdout|stderr)[^/]*|.*\.[oe]\d+|slurm.*|vasp[^/]*", re.IGNORECASE
)
_BY_NAME: Mapping[str, Kind] = {
    "incar": "incar",
    "kpoints": "kpoints",
    "poscar": "poscar",
    "contcar": "contcar",
    "potcar": "potcar",
}
_OUTPUTS: Mapping[str, Kind] = {"vasprun": "vasprun", "outcar": "outcar"}


@dataclass(frozen=True, slots=True)
class Known:
    """A file of VASP: its name in the folder, what it is, and when its run began."""

    name: str
    kind: Kind
    source: Source
    started: datetime | None

    @property
    def tag(self) -> str:
        """What tells files of one run from those of others: ``relax1`` of ``OUTCAR.relax1.gz``."""
        path = PurePosixPath(self.name)
        name = path.stem if path.suffix.lower() in SUFFIXES else path.name
        rest = _NAME.sub("", re.sub(r"\.xml$", "", name, flags=re.IGNORECASE))
        return str(path.parent / (re.sub(r"[._-]+", ".", rest).strip(".") or "."))


def known(files: Mapping[str, Source]) -> list[Known]:
    """Return the files that are VASP's, by name; one that cannot be opened is passed over."""
    found = []
    for name, source in sorted(files.items()):
        try:
            head = source.head(_HEAD_BYTES)
        except ParseError:
            head = b""
        if kind := _kind(name, head):
            found.append(Known(name, kind, source, _started(head)))
    return found


def runs(folder: RunFolder) -> list[RunFolder]:
    """Return the runs of a folder in the order in which they began, as `RunReader.runs` has it."""
    every = known(folder.files)
    outputs: dict[str, list[Known]] = defaultdict(list)
    for one in every:
        if one.kind in _OUTPUTS:
            outputs[one.tag].append(one)
    groups = [part for group in outputs.values() for part in _of_one_run(group)]
    if len(groups) == 2 and len(groups[0]) == len(groups[1]) == 1:
        pair = [*groups[0], *groups[1]]  # an XML and an OUTCAR, whose names do not tell
        two_kinds = pair[0].kind != pair[1].kind
        if two_kinds and all(one.started for one in pair) and len(_of_one_run(pair)) == 1:
            groups = [pair]
    groups.sort(key=_order)
    return [_run(folder, group, every, is_only=len(groups) == 1) for group in groups]


def _of_one_run(group: list[Known]) -> list[list[Known]]:
    """Return the first file of each kind; ``OUTCAR`` beside ``OUTCAR.gz`` is the same again.

    Two that began at different times are of two runs, of which each left one.
    """
    by_kind = {one.kind: one for one in reversed(group)}
    first = [by_kind[kind] for kind in sorted(by_kind)]
    times = [one.started for one in first if one.started]
    if len(times) == 2 and abs(times[0] - times[1]) > SAME_BEGINNING:
        return [[one] for one in first]
    return [first]


def _run(folder: RunFolder, group: list[Known], every: list[Known], *, is_only: bool) -> RunFolder:
    tags = {one.tag for one in group}
    parts = [
        one
        for one in every
        if one in group
        or (one.kind not in _OUTPUTS and (is_only or one.tag in tags or one.kind == "potcar"))
    ]
    name = folder.name if is_only else f"{folder.name}/{group[0].name}"
    files = {one.name: one.source for one in parts}
    return RunFolder(name, files, outputs=tuple(one.name for one in group))


def _order(group: list[Known]) -> tuple[datetime, bool, list[tuple[bool, int, str]]]:
    """By time; where that is not known by name, ``relax10`` after ``relax2``, the bare one last."""
    started = max((one.started for one in group if one.started), default=datetime.min)
    tag = group[0].tag
    parts = [
        (part.isdecimal(), int(part[:9]) if part.isdecimal() else 0, part)
        for part in re.split(r"(\d+)", tag)
    ]
    return started, tag == ".", parts


def _kind(name: str, head: bytes) -> Kind | None:
    if _VASPRUN.match(head):
        return "vasprun"
    if _OUTCAR.match(head):
        return "outcar"
    if _POTCAR.search(head):
        return "potcar"
    filename = PurePosixPath(name).name
    named = _NAME.search(filename)
    word = named[1].lower() if named else ""
    if word in _BY_NAME:
        return _BY_NAME[word]
    if word in _OUTPUTS and not head.strip():  # the run ended before a word was written
        return _OUTPUTS[word]
    return "log" if _LOG_NAME.fullmatch(filename) and _LOG.search(head) else None


def _started(head: bytes) -> datetime | None:
    found = _XML_DATE.search(head) or _DATE.search(head)
    if found:
        with suppress(ValueError):
            return datetime.strptime(b" ".join(found.groups()).decode(), "%Y %m %d %H:%M:%S")
    return None
