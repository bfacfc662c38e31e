"""Find runs: in folders, archives, and what is piped in; the files of one folder come together."""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from pathlib import Path, PurePosixPath

from nanoos import plugins
from nanoos.parsers import Source, Unfound
from nanoos.parsers import find as find_sources
from nanoos.runs.run import RunFolder, RunReader

HELD_BYTES = 64 * 1024**2
"""Members of archives in memory; what is more lies in temporary files."""

_COMPRESSED = r"(\.(gz|bz2|xz|zst|Z))?"
_UNREAD = re.compile(
    # VASP, also as custodian renames its files
    r"((WAVECAR|CHGCAR|CHG|AECCAR[0-2]|LOCPOT|ELFCAR|PARCHG|WAVEDERF?|TMPCAR|PROCAR)([._-].*)?"
    r"|vaspwave\.h5"
    # Quantum ESPRESSO
    r"|.+\.(wfc|hub|mix|igk|bar|recover|restart_[ks]|prd|dvscf)[\w]*|(wfc|evc)\w*\.(dat|hdf5)"
    r"|(charge-density|spin-polarization|ekin-density|paw)\.(dat|hdf5|txt|xml)|gvectors\.dat"
    # CP2K, CASTEP, Gaussian; volumes, pictures, dumps of memory
    r"|.+\.(wfn|kp|check|castep_bin|cst_esp|chk|rwf|cube|xsf|png|jpe?g|pdf|pyc|so|o|mod)"
    r"|core(\.\d+)?)" + _COMPRESSED
)
"""Names of what holds no energies and may be huge: neither opened nor unpacked."""


@dataclass(frozen=True, slots=True)
class FoundRun:
    """A run, the name of the reader that knows it, and where on this machine it lies."""

    reader: str
    folder: RunFolder
    place: str | None = None


def find(arguments: Iterable[str | Path]) -> Iterator[RunFolder | Unfound]:
    """Yield each folder that has files, with all that could be of use, and what is amiss.

    Folders are entered to any depth, each once whatever links lead to it, and archives looked
    into, those in archives too; ``-`` is standard input. A folder is named from the argument
    on. Files of ``prefix.save`` (Quantum ESPRESSO) belong to the folder around it, an AiiDA
    archive is one file. An archive whose members of one folder lie apart, with others between,
    gives that folder more than once; of one that is damaged `RunFolder.lost` says it. Memory
    holds the names of the folders from the argument down to the one at hand, and up to
    `HELD_BYTES` of archives.

    Members of archives may lie in temporary files: `Source.discard` them when they are read.
    """
    for argument in arguments:
        found = find_sources([argument], recursive=True, wanted=is_wanted, whole=_is_whole)
        yield from _by_folder(found, _Names(argument))


def is_wanted(name: str) -> bool:
    """Say whether a file of this name may belong to what is read of a run."""
    return _UNREAD.fullmatch(name.rpartition("/")[2]) is None


def _is_whole(name: str) -> bool:
    return name.endswith(".aiida")


class _Names:
    """Names as people know them: from the argument on, not where that lies on this machine."""

    def __init__(self, argument: str | Path) -> None:
        self._prefix = PurePosixPath(argument)
        path = Path(argument)
        parts = path.resolve().parts[-1 if path.is_dir() else -2 :]
        self._shown = PurePosixPath(*parts) if path.exists() else self._prefix
        above = path.resolve().parts[: -len(parts)]
        self.root = str(PurePosixPath(*above)) if path.exists() and above else None

    def home(self, name: str) -> tuple[PurePosixPath, str]:
        """Return the folder that a file belongs to, and its name there."""
        path = PurePosixPath(name)
        if path.is_relative_to(self._prefix):
            path = self._shown / path.relative_to(self._prefix)
        folder = path.parent
        if folder.suffix == ".save":
            return folder.parent, f"{folder.name}/{path.name}"
        return folder, path.name


@dataclass(slots=True)
class _Open:
    """A folder of which more files may come."""

    path: PurePosixPath
    files: dict[str, Source] = field(default_factory=dict)
    lost: list[Unfound] = field(default_factory=list)

    def closed(self, root: str | None) -> RunFolder:
        return RunFolder(str(self.path), self.files, root=root, lost=tuple(self.lost))


def _by_folder(found: Iterable[Source | Unfound], names: _Names) -> Iterator[RunFolder | Unfound]:
    """Yield folders when all their files have come: those of the folders within come between."""
    open_: list[_Open] = []  # each within the one before
    held_bytes = 0
    for one in found:
        folder, name = names.home(one.name)
        if isinstance(one, Unfound) and one.loss != "member":
            if one.loss:
                _lose(open_, folder / name, one)
            yield one
            continue
        while open_ and not folder.is_relative_to(open_[-1].path):
            closed = open_.pop().closed(names.root)
            held_bytes -= _held(closed)
            yield closed
        if not open_ or open_[-1].path != folder:
            open_.append(_Open(folder))
        if isinstance(one, Unfound):
            open_[-1].lost.append(one)
            continue
        held_bytes += len(one.data or b"")
        if held_bytes > HELD_BYTES and one.data is not None:
            held_bytes -= len(one.data)
            one = one.on_disk()  # noqa: PLW2901 - the same file
        open_[-1].files[name] = one
    for last in reversed(open_):
        yield last.closed(names.root)


def _lose(open_: Iterable[_Open], archive: PurePosixPath, rest: Unfound) -> None:
    """Note of the folders of an archive that lacks its rest that files of theirs may be there."""
    for folder in open_:
        if folder.path.is_relative_to(archive):
            folder.lost.append(rest)


def _held(folder: RunFolder) -> int:
    return sum(len(source.data or b"") for source in folder.files.values())


def runs_in(folder: RunFolder) -> list[FoundRun]:
    """Return the runs of a folder, of all readers; no two readers read the same files.

    Raises ParseError where files cannot be opened.
    """
    found: list[FoundRun] = []
    taken: set[str] = set()
    for name, make in plugins.load("nanoos.runs").items():
        reader: RunReader = make()
        runs = [run for run in reader.runs(folder) if not taken.issuperset(run.files)]
        taken.update(*(run.files for run in runs))
        found += [FoundRun(name, run, _place(folder, run)) for run in runs]
    return found


def _place(folder: RunFolder, run: RunFolder) -> str | None:
    return None if folder.root is None else f"{folder.root.rstrip('/')}/{run.name}"


def digest(run: RunFolder) -> str:
    """Return the hash by which a run is known again: over the contents of its outputs.

    Their names are left out, so a folder that was moved or renamed is the same run, and so is one
    whose input or logs were touched since. Raises ParseError where one cannot be read.
    """
    contents = sorted({run.files[name].sha256 for name in run.outputs or run.files})
    return hashlib.sha256("\n".join(contents).encode()).hexdigest()
