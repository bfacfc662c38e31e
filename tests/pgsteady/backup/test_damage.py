"""What is damaged, half made or killed never counts as a backup."""

from __future__ import annotations

import json
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from orders import EVERYTHING, Command, Sql

from pgsteady.backup import Backup, back_up, backup_folder, backups, restored
from pgsteady.backup.databases import UNFINISHED
from pgsteady.errors import BackupDamaged
from pgsteady.project import Project
from servers import ExternalServer
from toy import Project as Toy


def files_of(backup: Backup) -> list[Path]:
    return sorted(path for path in backup.folder.rglob("*") if path.is_file())


def refused(backup: Backup, project: Project) -> str:
    """Return why the backup is not restored."""
    with pytest.raises(BackupDamaged) as failure, restored(Backup(backup.folder), project):
        pass
    return str(failure.value)


@given(position=st.floats(0, 1, exclude_max=True), bit=st.integers(0, 7), data=st.data())
@settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)
def test_a_flipped_bit_anywhere(
    position: float, bit: int, data: st.DataObject, backup: Backup, project: Project
) -> None:
    file = data.draw(st.sampled_from(files_of(backup)))
    whole = file.read_bytes()
    changed = bytearray(whole)
    changed[int(position * len(whole))] ^= 1 << bit
    file.write_bytes(changed)
    try:
        assert str(file) in refused(backup, project)
    finally:
        file.write_bytes(whole)


def test_a_file_cut_short_missing_or_added(backup: Backup, project: Project) -> None:
    for file in files_of(backup):
        whole = file.read_bytes()
        for damaged in (whole.rstrip(b"\n")[:-1], b""):
            file.write_bytes(damaged)
            assert str(file) in refused(backup, project)
        file.unlink()
        assert file.name in refused(backup, project)
        file.write_bytes(whole)
    (backup.files / "more.dat.zst").write_bytes(b"")
    assert "more.dat.zst is not of this backup" in refused(backup, project)


def test_an_edited_manifest(backup: Backup, project: Project) -> None:
    file = backup.folder / "manifest.json"
    document = json.loads(file.read_text())
    document["evidence"]["tables"]["public.orders"]["rows"] -= 1
    file.write_text(json.dumps(document, indent=1))
    assert "changed after it was written" in refused(backup, project)
    assert backups(backup.folder.parent) == []


@pytest.mark.slow
def test_files_of_another_backup(backup: Backup, project: Project, sql: Sql) -> None:
    """Each whole by itself: only the content tells."""
    sql("UPDATE orders SET paid = 0 WHERE id = 1000")
    other = back_up(project)
    manifest = other.manifest
    shutil.rmtree(other.files)
    shutil.copytree(backup.files, other.files)
    other.write(type(manifest)(**vars(manifest) | {"files": backup.manifest.files}))
    assert "public.orders.paid" in refused(other, project)


@pytest.mark.parametrize("form", ["directory", "custom"])
def test_disk_full(run: Command, sql: Sql, form: str, small_disk: Path) -> None:
    sql("INSERT INTO customers (name) SELECT md5(g::text) FROM generate_series(1, 100000) g")
    said = run("backup", "--format", form, "--folder", small_disk, exits=1).err
    assert "No space left on device" in said
    assert "Traceback" not in said
    assert list(small_disk.iterdir()) == []


@pytest.mark.slow
def test_a_backup_on_a_disk_that_cannot_be_written_to(
    run: Command, project: Project, small_disk: Path
) -> None:
    backup = back_up(project, folder=small_disk, prove=False)
    remount = ["mount", "-o", "remount,ro", small_disk]
    subprocess.run(remount, check=True)
    checked = run("restore", backup.folder, "--check")
    assert "cannot be marked as proved" in checked.err
    assert "is what was backed up" in checked.out
    assert "Read-only file system" in run("backup", "--folder", small_disk, exits=1).err


@pytest.mark.slow
def test_no_room_to_decompress(
    run: Command, sql: Sql, template: None, small_disk: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sql("INSERT INTO customers (name) SELECT md5(g::text) FROM generate_series(1, 100000) g")
    run("backup", "--no-proof")
    names = "SELECT datname FROM pg_database ORDER BY 1"
    before = sql(names)
    monkeypatch.setenv("TMPDIR", str(small_disk))
    said = run("restore", "latest", exits=1).err
    assert "No space left on device" in said
    assert "TMPDIR" in said
    assert "Traceback" not in said
    assert sql(names) == before
    assert [path for path in small_disk.rglob("*") if path.is_file()] == []


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A disk of one megabyte."""
    folder = tmp_path / "disk"
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=1m,mode=0700", "tmpfs", folder]
    if subprocess.run(mount, capture_output=True, check=False).returncode != 0:
        pytest.skip("needs the right to mount")
    yield folder
    subprocess.run(["umount", folder], check=True)


DRIVER = """
import os, signal, sys
from contextlib import contextmanager
from pathlib import Path
from pgsteady.backup import back_up, backup_folder, backups, recover
from pgsteady.progress import Silent
from pgsteady.project import Project

what, title, moment, number = sys.argv[1:]

def interrupt(_done=0):
    # as a terminal does: the whole group
    os.killpg(0, int(number)) if int(number) == signal.SIGINT else os.kill(os.getpid(), int(number))

class Interrupting(Silent):
    @contextmanager
    def step(self, name, total=None):
        yield interrupt if (name, moment) == (title, "during") else (lambda done: None)
        if (name, moment) == (title, "after"):
            interrupt()

project = Project.load(Path("alembic.ini"))
if what == "backup":
    back_up(project, progress=Interrupting())
else:
    (latest,) = backups(backup_folder(project.ini))
    recover(latest, project, into="second", switch=True, progress=Interrupting())
"""


def interrupted(toy: Toy, what: str, step: str, moment: str, how: signal.Signals) -> None:
    """Run a command that is ended at that moment."""
    run = subprocess.run(
        [sys.executable, "-c", DRIVER, what, step, moment, str(int(how))],
        cwd=toy.folder,
        capture_output=True,
        text=True,
        check=False,
        start_new_session=True,
    )
    assert run.returncode in {-how, 1}, run.stderr
    assert run.returncode == -how or "KeyboardInterrupt" in run.stderr


def moments(steps: list[str]) -> list[object]:
    """Return moments to interrupt at: killed in each step, and some other ones always."""
    killed = [pytest.param(s, "during", signal.SIGKILL, marks=pytest.mark.slow) for s in steps]
    return [
        *killed,
        pytest.param(steps[1], "during", signal.SIGINT, marks=pytest.mark.slow),
        (steps[2], "after", signal.SIGINT),
        (steps[2], "after", signal.SIGKILL),
    ]


OF_BACKUP = ["Reading the tables", "Dump", "Decompress", "Restore", "Check the files"]
OF_RESTORE = ["Check the files", "Decompress", "Restore", "Reading the tables"]


@pytest.mark.slow
@pytest.mark.parametrize(("step", "moment", "how"), moments(OF_BACKUP))
def test_an_interrupted_backup_is_none_and_the_next_run_cleans_up(
    toy: Toy, run: Command, step: str, moment: str, how: signal.Signals
) -> None:
    interrupted(toy, "backup", step, moment, how)
    folder = backup_folder(toy.ini)
    assert backups(folder) == []
    if how == signal.SIGINT:
        assert list(folder.glob("*")) == []
    made = Path(run("backup", "--json").json["backup"]["folder"])
    assert list(folder.iterdir()) == [made]


@pytest.mark.slow
@pytest.mark.parametrize(("step", "moment", "how"), moments(OF_RESTORE))
def test_an_interrupted_restore_touches_nothing_and_the_next_run_cleans_up(
    toy: Toy,
    run: Command,
    sql: Sql,
    backup: Backup,
    template: None,
    server: ExternalServer,
    step: str,
    moment: str,
    how: signal.Signals,
) -> None:
    names = "SELECT datname::text FROM pg_database ORDER BY 1"
    before, databases = sql(EVERYTHING), set(sql(names))
    interrupted(toy, "restore", step, moment, how)
    assert sql(EVERYTHING) == before
    left = {name for (name,) in set(sql(names)) - databases}
    assert all(name.startswith(UNFINISHED) for name in left)
    assert how == signal.SIGKILL or not left
    run("restore", "latest", "--into", "second", "--switch", "--end-sessions")
    assert sql(EVERYTHING) == before
    ((kept,),) = set(sql(names)) - databases
    assert "_before_" in kept
    server.drop(kept)
