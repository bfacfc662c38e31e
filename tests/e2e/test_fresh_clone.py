"""A stranger with a fresh clone types what README says, makes mistakes, and types it again."""

from __future__ import annotations

import os
import runpy
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = runpy.run_path(str(ROOT / "tests" / "docs" / "pages.py"))
NOT_TYPED = {"make test", "make check"}
"""CI runs them, this test included."""

pytestmark = [pytest.mark.slow, pytest.mark.timeout(1200)]

Type = Callable[..., subprocess.CompletedProcess[str]]


@pytest.fixture
def clone(tmp_path: Path) -> Path:
    folder = tmp_path / "a fresh clone"
    subprocess.run(["git", "clone", "--quiet", ROOT, folder], check=True)
    return folder


@pytest.fixture
def environment(server_folder: Path) -> dict[str, str]:
    """A machine with Python, git and make, and no database."""
    foreign = {"DATABASE_URL", "PYTHONPATH", "VIRTUAL_ENV", "MAKEFLAGS", "MAKELEVEL"}
    python = Path(sys.base_prefix) / "bin"
    return {name: value for name, value in os.environ.items() if name not in foreign} | {
        "PATH": f"{python}:/usr/local/bin:/usr/bin:/bin",
        "NANO_OS_HOME": str(server_folder),
    }


@pytest.fixture
def type_(clone: Path, environment: dict[str, str]) -> Type:
    def run(command: str, exits: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            ["/bin/bash", "-c", command],
            cwd=clone,
            env=environment,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout[-3000:] + done.stderr[-3000:]
        assert "Traceback" not in done.stderr
        return done

    return run


def kill_while_installing(clone: Path, environment: dict[str, str]) -> None:
    """Start `make demo` and kill all of it when some packages lie there and others do not."""
    with subprocess.Popen(
        ["make", "demo"],
        cwd=clone,
        env=environment,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
        start_new_session=True,
    ) as make:
        while not list(clone.glob(".venv/lib/python*/site-packages/numpy")):
            assert make.poll() is None
            time.sleep(0.02)
        os.killpg(make.pid, signal.SIGKILL)


def test_readme_on_a_fresh_clone(clone: Path, environment: dict[str, str], type_: Type) -> None:
    old = type_("make demo PYTHON=false", exits=2)
    assert "Python 3.11 or newer" in old.stderr
    kill_while_installing(clone, environment)
    assert (clone / ".venv" / "unfinished").exists()

    type_(PAGES["script"](clone / "README.md", NOT_TYPED))
    assert "<svg" in (clone / "demo" / "report.html").read_text()
    assert not list(clone.glob(".venv/lib/python*/site-packages/torch"))

    again = type_("make demo")
    assert "0 imported" in again.stdout
    assert "0 submitted" in again.stdout
    assert "pip" not in again.stdout

    assert "Say what it does" in type_("make migration", exits=2).stderr
    missing = type_(".venv/bin/nano-os structures import nowhere", exits=2)
    assert "nowhere" in missing.stderr
    type_(".venv/bin/nano-os db stop")
