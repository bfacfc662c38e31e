"""pg_dump at work: one snapshot's data into compressed files."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import Future, ThreadPoolExecutor
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from pgsteady.backup.files import client_for, environment
from pgsteady.backup.packing import SUFFIX, Counted, Packed, counter, pack
from pgsteady.backup.refusal import MORE_SPACE, refused
from pgsteady.errors import BackupFailed
from pgsteady.progress import Advance
from pgsteady.url import DatabaseUrl


class Form(StrEnum):
    """pg_dump's formats: a file for each table, or one file."""

    DIRECTORY = "directory"
    CUSTOM = "custom"


ONE_FILE = "dump"
"""How the file of the custom form is called, uncompressed."""
_FINISHED = re.compile(r"pg_dump: finished item (\d+) TABLE DATA ")
_COMPLAINT = re.compile(r"error|fatal|detail|hint|query was", re.IGNORECASE)


def dump(
    database: DatabaseUrl,
    snapshot: str,
    folder: Path,
    *,
    form: str,
    jobs: int,
    lock: int,
    advance: Advance,
) -> dict[str, Packed]:
    """Write what ``snapshot`` shows of the database into ``folder``, compressed.

    ``advance`` is told how many bytes were dumped. ``lock`` is inherited by pg_dump.

    Raises:
        BackupFailed: pg_dump failed, or the disk is full.
    """
    command = [
        str(client_for("pg_dump", database)),
        f"--format={form}",
        f"--snapshot={snapshot}",
        "--compress=0",
        "--lock-wait-timeout=10s",
        "--no-password",
    ]
    folder.mkdir(mode=0o700)
    counted = counter(advance)
    try:
        if form == Form.CUSTOM:
            return _into_one_file(command, database, folder, lock, counted)
        return _into_directory(command, database, folder, jobs, lock, counted)
    except OSError as error:
        raise BackupFailed(
            f"The backup cannot be written: {error.strerror}.", hint=MORE_SPACE
        ) from error


def _into_one_file(
    command: list[str], database: DatabaseUrl, folder: Path, lock: int, counted: Counted
) -> dict[str, Packed]:
    name = f"{ONE_FILE}{SUFFIX}"
    with (
        tempfile.TemporaryFile() as complaints,
        _running(command, database, lock, subprocess.PIPE, complaints.fileno()) as program,
    ):
        assert program.stdout is not None  # noqa: S101 - a pipe, as asked for
        packed = pack(program.stdout, folder / name, counted)
        program.wait()
        complaints.seek(0)
        _judge(program.returncode, _lines(complaints), database)
    return {name: packed}


def _into_directory(
    command: list[str],
    database: DatabaseUrl,
    folder: Path,
    jobs: int,
    lock: int,
    counted: Counted,
) -> dict[str, Packed]:
    """Compress each file as soon as pg_dump is done with it, so that none lies there twice."""
    raw = folder.with_name("raw")
    parallel = [f"--jobs={jobs}", f"--file={raw}", "--verbose"]
    said: list[str] = []
    packed: dict[str, Future[Packed]] = {}

    def compress(file: Path) -> Packed:
        with file.open("rb") as source:
            done = pack(source, folder / f"{file.name}{SUFFIX}", counted)
        file.unlink()
        return done

    with ThreadPoolExecutor(max_workers=jobs) as threads:
        with _running([*command, *parallel], database, lock) as program:
            for line in _lines(program.stderr or ()):
                said.append(line)
                finished = _FINISHED.match(line)
                file = raw / f"{finished[1]}.dat" if finished else None
                if file is not None and file.exists():
                    packed[file.name] = threads.submit(compress, file)
                    _raise_failure(packed)
        _judge(program.returncode, said, database)
        for file in raw.iterdir():
            if file.name not in packed:
                packed[file.name] = threads.submit(compress, file)
    found = {f"{name}{SUFFIX}": done.result() for name, done in sorted(packed.items())}
    shutil.rmtree(raw)
    return found


def _raise_failure(packed: Mapping[str, Future[Packed]]) -> None:
    for done in packed.values():
        if done.done():
            done.result()


def _lines(said: Iterable[bytes]) -> Iterator[str]:
    for line in said:
        yield line.decode(errors="replace").rstrip()


@contextmanager
def _running(
    command: list[str],
    database: DatabaseUrl,
    lock: int,
    stdout: int = subprocess.DEVNULL,
    stderr: int = subprocess.PIPE,
) -> Iterator[subprocess.Popen[bytes]]:
    """Run pg_dump until it ends by itself, or the block fails."""
    program = subprocess.Popen(
        command,
        stdin=subprocess.DEVNULL,
        stdout=stdout,
        stderr=stderr,
        env=environment(database) | {"LC_ALL": "C"},  # for we read what it says
        pass_fds=[lock],
    )
    with program:
        try:
            yield program
        except BaseException:
            program.terminate()  # it ends its workers and their queries
            raise


def _judge(code: int, said: Iterable[str], database: DatabaseUrl) -> None:
    if code != 0:
        complaint = "\n".join(line for line in said if _COMPLAINT.search(line))
        raise refused(complaint or f"it ended with code {code}", database)
