"""Where backups lie: each in a folder, which appears when it is complete."""

from __future__ import annotations

import configparser
import fcntl
import os
import re
import shutil
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import cached_property
from itertools import count
from pathlib import Path

from pgsteady.backup.manifest import Manifest
from pgsteady.backup.packing import Counted, checksum, counter
from pgsteady.errors import BackupDamaged, BackupFailed, WrongDeclaration
from pgsteady.progress import SILENT, Progress

MANIFEST = "manifest.json"
PARTIAL = ".partial"
_NAME_LENGTH = 60


@dataclass(frozen=True)
class Backup:
    """A backup on disk."""

    folder: Path

    @cached_property
    def manifest(self) -> Manifest:
        """What it says of itself.

        Raises:
            BackupDamaged: there is no backup, or its manifest was changed.
        """
        file = self.folder / MANIFEST
        try:
            return Manifest.from_text(file.read_text(encoding="utf-8"))
        except (FileNotFoundError, NotADirectoryError):
            raise BackupDamaged(
                f"{self.folder} is no backup: it has no {MANIFEST}.",
                hint="`backup --list` names the backups.",
            ) from None
        except (BackupDamaged, WrongDeclaration, UnicodeDecodeError) as error:
            raise BackupDamaged(f"{file} cannot be trusted: {error}") from error
        except OSError as error:
            raise BackupDamaged(f"{file} cannot be read: {error.strerror}.") from error

    @property
    def files(self) -> Path:
        """Where its files lie, without the manifest."""
        return self.folder / "dump"

    def verify_files(self, progress: Progress = SILENT) -> None:
        """Read every file and compare it with its checksum.

        Raises:
            BackupDamaged: a file is missing, is there too much, or was changed.
        """
        expected = self.manifest.files
        there = {str(f.relative_to(self.files)) for f in self.files.rglob("*") if f.is_file()}
        if unlike := sorted(expected.keys() ^ there):
            state = "missing" if unlike[0] in expected else "not of this backup"
            raise BackupDamaged(f"{self.files / unlike[0]} is {state}.")
        with (
            progress.step("Check the files", self.manifest.bytes) as advance,
            ThreadPoolExecutor(max_workers=2) as threads,
        ):
            counted = counter(advance)
            sums = threads.map(lambda name: self._checksum(name, counted), expected)
            for (name, file), found in zip(expected.items(), sums, strict=True):
                if found != file.sha256:
                    raise BackupDamaged(f"{self.files / name} was changed or is cut short.")

    def _checksum(self, name: str, counted: Counted) -> str:
        try:
            return checksum(self.files / name, counted)
        except OSError as error:
            raise BackupDamaged(f"{self.files / name} cannot be read: {error.strerror}.") from error

    def write(self, manifest: Manifest) -> None:
        """Write the manifest, onto the disk; a reader finds the old one or the new.

        Raises:
            BackupFailed: the folder cannot be written to.
        """
        unfinished = self.folder / f".{MANIFEST}"
        try:
            file = os.open(unfinished, os.O_WRONLY | os.O_CREAT | os.O_TRUNC, 0o600)
            with os.fdopen(file, "w", encoding="utf-8") as opened:
                opened.write(manifest.as_text())
                opened.flush()
                os.fsync(opened.fileno())
            unfinished.replace(self.folder / MANIFEST)
            sync(self.folder)
        except OSError as error:
            raise BackupFailed(
                f"The manifest cannot be written to {self.folder}: {error.strerror}."
            ) from error
        vars(self).pop("manifest", None)  # to be read anew


def backup_folder(ini: Path) -> Path:
    """Return where the backups of the project with this ``alembic.ini`` lie.

    The environment's ``PGSTEADY_BACKUPS``, else ``backups`` in the section ``[pgsteady]``
    of the file, else ``backups`` beside it.
    """
    parser = configparser.ConfigParser(interpolation=None)
    parser.read(ini, encoding="utf-8")
    named = os.environ.get("PGSTEADY_BACKUPS") or parser.get("pgsteady", "backups", fallback="")
    return ini.absolute().parent / Path(named or "backups").expanduser()


def backups(folder: Path) -> list[Backup]:
    """Return the backups in ``folder``, the newest first; what has no readable manifest is none."""
    found = []
    for manifest in folder.glob(f"*/{MANIFEST}"):
        backup = Backup(manifest.parent)
        with suppress(BackupDamaged):
            if manifest.parent.suffix != PARTIAL and backup.manifest:
                found.append(backup)
    return sorted(found, key=lambda backup: backup.manifest.made_at, reverse=True)


def name_of(database: str, revisions: tuple[str, ...], made_at: datetime) -> str:
    """Return how a backup is called: database, time in UTC, revision."""
    revision = "+".join(revisions) or "no-revision"
    plain = [re.sub(r"[^\w.+-]", "_", part)[:_NAME_LENGTH] for part in (database, revision)]
    return f"{plain[0]}-{made_at.astimezone(UTC):%Y%m%dT%H%M%SZ}-{plain[1]}"


@contextmanager
def unfinished(folder: Path, name: str) -> Iterator[tuple[Path, int]]:
    """Make a folder in ``folder`` for a backup in the making; it is gone after the block.

    Yields it, and the lock by which others tell that it is worked on; child processes
    are to inherit that.

    Raises:
        BackupFailed: the folder cannot be written to.
    """
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        remove_unfinished(folder)
        place, lock = _begun(folder, name)
    except OSError as error:
        raise BackupFailed(
            f"{folder} cannot be written to: {error.strerror}.",
            hint="For backups, --folder or PGSTEADY_BACKUPS names another folder.",
        ) from error
    try:
        yield place, lock
    finally:
        os.close(lock)
        shutil.rmtree(place, ignore_errors=True)


def finish(place: Path) -> Path:
    """Give a finished backup its name, and return where it lies now."""
    final = place.rename(place.with_suffix(""))
    sync(final.parent)
    return final


def remove(backup: Backup) -> None:
    """Delete a backup; killed in between, it is none any more, and the next run goes on."""
    going = backup.folder.rename(f"{backup.folder}{PARTIAL}")
    shutil.rmtree(going, ignore_errors=True)


def remove_unfinished(folder: Path) -> list[Path]:
    """Remove what killed runs left in ``folder``, and return it."""
    removed = []
    with _locked(folder):
        for place in folder.glob(f"*{PARTIAL}"):
            with suppress(BlockingIOError, FileNotFoundError), _locked(place, fcntl.LOCK_NB):
                shutil.rmtree(place)
                removed.append(place)
    return removed


def _begun(folder: Path, name: str) -> tuple[Path, int]:
    """Make a folder whose name, with and without its suffix, is free, and lock it."""
    with _locked(folder):
        names = (name if n == 1 else f"{name}-{n}" for n in count(1))
        places = (folder / f"{free}{PARTIAL}" for free in names if not (folder / free).exists())
        place = next(place for place in places if not place.exists())
        place.mkdir(mode=0o700)
        lock = os.open(place, os.O_RDONLY)
        fcntl.flock(lock, fcntl.LOCK_EX)
    return place, lock


@contextmanager
def _locked(folder: Path, how: int = 0) -> Iterator[None]:
    """Hold the lock of a folder, which is that of nothing in it."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        fcntl.flock(opened, fcntl.LOCK_EX | how)
        yield
    finally:
        os.close(opened)


def sync(folder: Path) -> None:
    """Put what a folder lists onto the disk."""
    opened = os.open(folder, os.O_RDONLY)
    try:
        os.fsync(opened)
    finally:
        os.close(opened)
