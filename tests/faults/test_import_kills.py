"""kill -9 of an import at any moment: done again, it leaves what an undisturbed one would.

Nothing is lost and nothing is there twice, no process stays behind, and what was stored is
recognised. CI takes a sample of moments; ``FAULTS=full`` takes many.
"""

from __future__ import annotations

import io
import os
import random
import signal
import subprocess
import sys
import tarfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psutil
import psycopg2
import pytest
from ase.build import bulk

from nanoos.structures import Structure
from nanoos.writers import write

pytestmark = pytest.mark.slow

FULL = os.environ.get("FAULTS") == "full"
SEEDS = range(20) if FULL else range(1)
KILLS = 2
"""In a row, before the import is left alone."""

CONTENT = {
    "structures": """
        SELECT s.fingerprint, s.name, s.source_name, s.source_sha256, s.reduced_formula,
               s.protostructure, s.extra::text, s.positions_a::text, m.hill_formula,
               m.space_group_number, c.digest
        FROM structures s JOIN materials m ON m.id = s.material_id
        LEFT JOIN citations c ON c.id = s.citation_id ORDER BY 1
    """,
    "files": """
        SELECT f.sha256, f.place, f.name, f.format, f.is_last, s.fingerprint
        FROM structure_sources f JOIN structures s ON s.id = f.structure_id ORDER BY 1, 2, 3
    """,
    "materials": "SELECT hill_formula, space_group_number FROM materials ORDER BY 1, 2",
    "citations": "SELECT digest FROM citations ORDER BY 1",
}
EXAMPLES = Path(__file__).parents[2] / "examples" / "crystals"
SAID = ("--json", "--workers", "8")
"""So that two sessions store."""
Content = dict[str, list[tuple[object, ...]]]


def crystal(number: int) -> Structure:
    symbol = ("Cu", "Al", "Ni", "Ag", "Au")[number % 5]
    return Structure.from_ase(bulk(symbol, a=3.5 + number / 1000))


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Files of one structure and of many, an archive, and one file that is wrong."""
    folder = tmp_path_factory.mktemp("files")
    for example in sorted(EXAMPLES.glob("*.cif"))[:20]:
        (folder / example.name).write_bytes(example.read_bytes())
    for number in range(100):
        (folder / f"one-{number:03}.extxyz").write_text(write([crystal(number)], "extxyz"))
    frames = [crystal(number) for number in range(100, 400)]
    (folder / "trajectory.extxyz").write_text(write(frames, "extxyz"))
    with tarfile.open(folder / "runs.tar.gz", "w:gz") as archive:
        for number in range(900, 960):
            content = write([crystal(number)], "extxyz").encode()
            member = tarfile.TarInfo(f"run-{number}/relaxed.extxyz")
            member.size = len(content)
            archive.addfile(member, io.BytesIO(content))
    (folder / "wrong.cif").write_text("data_wrong\n_cell_length_a 1\n")
    return folder


def start(url: str, files: Path) -> psutil.Popen:
    return psutil.Popen(
        [sys.executable, "-m", "api.cli", "structures", "import", str(files), *SAID],
        env=os.environ | {"DATABASE_URL": url},
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        text=True,
    )


def finish(url: str, files: Path) -> None:
    command = start(url, files)
    _, said = command.communicate(timeout=120)
    assert command.returncode == 1, said  # one file is wrong
    assert "Traceback" not in said


def content(url: str) -> Content:
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        found = {}
        for name, query in CONTENT.items():
            cursor.execute(query)
            found[name] = cursor.fetchall()
        return found


@pytest.fixture(scope="module")
def undisturbed(migrated: Callable[[str], str], files: Path) -> tuple[Content, float]:
    """What an import leaves that nobody disturbs, and how long it takes, in seconds."""
    url = migrated("undisturbed")
    began = time.monotonic()
    finish(url, files)
    return content(url), time.monotonic() - began


@pytest.mark.parametrize("seed", SEEDS)
def test_what_is_killed_and_done_again_is_as_if_never_killed(
    migrated: Callable[[str], str], files: Path, undisturbed: tuple[Content, float], seed: int
) -> None:
    expected, took_s = undisturbed
    assert len(expected["structures"]) > 400
    url = migrated("killed")
    chance = random.Random(seed)
    for _ in range(KILLS):
        command = start(url, files)
        time.sleep(chance.uniform(0.3, 1.0) * took_s)
        family = command.children(recursive=True)
        command.send_signal(signal.SIGKILL)
        command.communicate()
        _, left = psutil.wait_procs(family, timeout=20)
        assert not left
    finish(url, files)
    assert content(url) == expected
    finish(url, files)
    assert content(url) == expected
