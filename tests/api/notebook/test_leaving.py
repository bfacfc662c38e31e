"""A session on the embedded database leaves it tidily, closed or not."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from ase.build import bulk

from api.embedded.home import Home

ROOT = Path(__file__).parents[3]
SCRIPT = """
import api
from ase.build import bulk
db = api.session()
db.import_(bulk("Cu"))
walking = iter(db.search())
print(next(walking)["reduced_formula"], flush=True)
"""


@pytest.mark.parametrize("ending", ["", "del db, walking"])
def test_server_stops_with_its_last_user(migrated_home: Path, ending: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT + ending],
        env=environment(migrated_home),
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert (done.stdout, done.stderr) == ("Cu\n", "")
    assert done.returncode == 0
    cluster = Home(migrated_home).current()
    assert cluster is not None
    assert not cluster.running


INTERRUPTED = """
import signal, threading
import api
with api.session() as db:
    threading.Timer(1.5, signal.raise_signal, [signal.SIGINT]).start()
    db.import_("many")
"""


@pytest.mark.slow
def test_ctrl_c_in_an_import_of_many_leaves_nothing_behind(
    migrated_home: Path, tmp_path: Path
) -> None:
    (tmp_path / "many").mkdir()
    for n in range(1000):
        bulk("Cu", a=3.5 + n / 1000).repeat(2).write(tmp_path / "many" / f"{n:04}.extxyz")
    done = subprocess.run(
        [sys.executable, "-c", INTERRUPTED],
        env=environment(migrated_home),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.stderr.rstrip().endswith("KeyboardInterrupt")
    assert "ignored" not in done.stderr
    assert "destroyed" not in done.stderr
    cluster = Home(migrated_home).current()
    assert cluster is not None
    assert not cluster.running


def environment(home: Path) -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name != "DATABASE_URL"}
    return kept | {"NANO_OS_HOME": str(home)}


@pytest.fixture(scope="module")
def migrated_home() -> Iterator[Path]:
    from servers import open_folder  # a plug-in, which pytest imports itself

    folder = open_folder()
    subprocess.run(
        [Path(sys.executable).with_name("alembic"), "upgrade", "head"],
        cwd=ROOT,
        env=environment(folder),
        check=True,
        capture_output=True,
    )
    yield folder
    cluster = Home(folder).current()
    assert cluster is not None
    shutil.rmtree(cluster.folder)
    shutil.rmtree(folder, ignore_errors=True)
