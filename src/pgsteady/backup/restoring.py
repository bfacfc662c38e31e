"""pg_restore at work: a backup's files into a database."""

from __future__ import annotations

import os
import re
import subprocess
import tempfile
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

import psutil
from psycopg2.extensions import make_dsn

from pgsteady.backup.dumping import ONE_FILE, Form
from pgsteady.backup.files import client_for, environment, tail
from pgsteady.backup.packing import SUFFIX, counter, unpack
from pgsteady.backup.store import Backup, unfinished
from pgsteady.catalog import quoted
from pgsteady.errors import RestoreFailed
from pgsteady.progress import SILENT, Progress
from pgsteady.url import DatabaseUrl

WITHOUT_OWNERS = ("--no-owner", "--no-privileges")
"""pg_restore's options by which all is to belong to the role that restores."""

_ITEM = re.compile(r"(?P<id>\d+); \d+ (?P<oid>\d+) (?P<what>.*)")
_OF_AN_EXTENSION = "COMMENT - EXTENSION "
"""Only an extension's owner may set it, and the extension came with it."""
_FINISHED = re.compile(r"pg_restore: finished item (\d+) ")
_BEGUN = re.compile(
    r"pg_restore: (?:processing data for table|creating INDEX|creating CONSTRAINT) "
)
_LONG = re.compile(r"(?:TABLE DATA|INDEX|CONSTRAINT) ")
"""Items that take their time."""
IN_ONE_TRANSACTION = "--single-transaction"

_COMPLAINT = re.compile(r"pg_restore: error: (?:could not execute query: ERROR: *)?(.*)")
_WORKER = "a worker process died unexpectedly"
"""Said after the cause."""
_MAINTENANCE_BYTES = 2**29
"""For each index that is built; an HNSW index that does not fit takes many times as long."""
_CURES = (
    (
        r'extension "(?P<name>[^"]+)" (is not available|has no installation script)',
        "An administrator installs the package of extension {name} on that server.",
    ),
    (
        r'permission denied to create extension "(?P<name>[^"]+)"',
        "An administrator runs once, in database template1: CREATE EXTENSION {name};  "
        "New databases then have it. Or makes an empty database with it, for --into its URL.",
    ),
    (
        r'role "(?P<name>[^"]+)" does not exist',
        'An administrator runs once: CREATE ROLE "{name}";  Or restore with --no-owner.',
    ),
    (
        r"must be (able to SET ROLE|member of role) \"(?P<name>[^\"]+)\"",
        'An administrator runs once: GRANT "{name}" TO {user};  Or restore with --no-owner.',
    ),
    (r"No space left on device", "Free some space where the server keeps its data."),
)


def workplaces() -> Path:
    """Return the folder in which backups are decompressed that go to servers in use."""
    return Path(tempfile.gettempdir(), f"pgsteady-restore-{os.geteuid()}")


@contextmanager
def workplace() -> Iterator[Path]:
    """Make a folder for what nobody else may read; the next run removes what a kill leaves.

    Raises:
        RestoreFailed: somebody else has the folder.
    """
    folder = workplaces()
    folder.mkdir(mode=0o700, exist_ok=True)
    status = folder.lstat()
    if folder.is_symlink() or status.st_uid != os.geteuid() or status.st_mode & 0o077:
        raise RestoreFailed(f"{folder} was made by somebody else.", hint="Have it removed.")
    with unfinished(folder, "restore") as (place, _):
        yield place


def unpacked(backup: Backup, into: Path, jobs: int, progress: Progress = SILENT) -> Path:
    """Decompress the backup's files into the folder ``into``, and return what pg_restore reads.

    Raises:
        BackupDamaged: a file cannot be decompressed.
        RestoreFailed: there is no room.
    """
    place = into / "dump"
    place.mkdir(mode=0o700)
    manifest = backup.manifest
    try:
        with (
            progress.step("Decompress", manifest.raw_bytes) as advance,
            ThreadPoolExecutor(max_workers=jobs) as threads,
        ):
            counted = counter(advance)

            def one(name: str) -> None:
                with (place / name.removesuffix(SUFFIX)).open("wb") as file:
                    unpack(backup.files / name, file, counted)

            list(threads.map(one, manifest.files))
    except OSError as error:
        raise RestoreFailed(
            f"The backup cannot be decompressed into {into}: {error.strerror}.",
            hint=f"It needs {manifest.raw_bytes} bytes there; TMPDIR names another folder.",
        ) from error
    return place if manifest.form == Form.DIRECTORY else place / ONE_FILE


def restore(
    backup: Backup,
    archive: Path,
    database: DatabaseUrl,
    *options: str,
    private: bool = False,
    progress: Progress = SILENT,
) -> None:
    """Let pg_restore load ``archive`` into an empty database.

    ``private`` says that the server is ours alone, and its memory this computer's.

    Raises:
        RestoreFailed: it failed; the message says at what.
    """
    program = str(client_for("pg_restore", database))
    contents = archive.with_name("contents")
    heard = _Heard(
        _listed(program, archive, contents),
        backup.manifest.sizes,
        each_end=IN_ONE_TRANSACTION not in options,
    )
    name = make_dsn(dbname=database.url.database)  # for a bare name may be taken for one of these
    command = [program, f"--use-list={contents}", "--exit-on-error", "--verbose", "--no-password"]
    variables = environment(database) | {"LC_ALL": "C"}  # for we read what it says
    if private:
        variables["PGOPTIONS"] = f"-c maintenance_work_mem={_maintenance_bytes() // 1024}kB"
    with (
        progress.step("Restore", heard.total) as advance,
        subprocess.Popen(
            [*command, *options, f"--dbname={name}", archive],
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            env=variables,
            text=True,
            errors="replace",
        ) as run,
    ):
        try:
            for line in run.stderr or ():
                heard.take_in(line)
                advance(heard.done)
        except BaseException:
            run.terminate()
            raise
    if run.returncode != 0:
        raise _refused("; ".join(heard.complaints) or f"it ended with {run.returncode}", database)


class _Heard:
    """What pg_restore says while it works: how far it is, and what it complains of.

    With several jobs it says of each item that it has finished (``each_end``); with one,
    of the long ones that they begin, in the order of the list.
    """

    def __init__(
        self, items: list[re.Match[str]], sizes: Mapping[str, int], *, each_end: bool
    ) -> None:
        long = [item for item in items if _LONG.match(item["what"])]
        self._sizes = {item["id"]: sizes.get(item["oid"], 0) for item in long}
        self._begins = iter(() if each_end else self._sizes.values())
        self._begun = 0
        self.total = sum(self._sizes.values()) or 1
        self.done = 0
        self.complaints: list[str] = []

    def take_in(self, line: str) -> None:
        if finished := _FINISHED.match(line):
            self.done += self._sizes.get(finished[1], 0)
        elif _BEGUN.match(line):
            self.done += self._begun
            self._begun = next(self._begins, 0)
        elif (complaint := _COMPLAINT.match(line)) and complaint[1] != _WORKER:
            self.complaints.append(complaint[1])


def _listed(program: str, archive: Path, contents: Path) -> list[re.Match[str]]:
    """Write the list of what is to be restored, and return its items."""
    listing = subprocess.run(
        [program, "--list", archive], check=False, capture_output=True, text=True, errors="replace"
    )
    if listing.returncode != 0:
        raise RestoreFailed(f"pg_restore cannot read the backup: {tail(listing.stderr)}")
    items = (_ITEM.match(line) for line in listing.stdout.splitlines())
    wanted = [item for item in items if item and not item["what"].startswith(_OF_AN_EXTENSION)]
    contents.write_text("".join(f"{item[0]}\n" for item in wanted), encoding="utf-8")
    return wanted


def _maintenance_bytes() -> int:
    return min(_MAINTENANCE_BYTES, psutil.virtual_memory().available // 8)


def _refused(complaint: str, database: DatabaseUrl) -> RestoreFailed:
    """Return the error for what pg_restore complained of, with the next step."""
    user = quoted(str(database.url.username))
    found = ((re.search(cause, complaint), cure) for cause, cure in _CURES)
    cures = (cure.format(**cause.groupdict(), user=user) for cause, cure in found if cause)
    return RestoreFailed(f"The backup was not restored: {complaint}.", hint=next(cures, None))
