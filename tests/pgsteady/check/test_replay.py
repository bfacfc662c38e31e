"""The private server leaves nothing, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

import psutil
import pytest

STARTED = """
import sys, time
from pgsteady.server import private_server
with private_server(18) as cluster:
    print(cluster.folder.parent, (cluster.data / "postmaster.pid").read_text().split()[0])
    sys.stdout.flush()
    time.sleep(600)
"""


def test_a_killed_check_leaves_no_server() -> None:
    process = subprocess.Popen([sys.executable, "-c", STARTED], stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    folder, pid = process.stdout.readline().split()
    assert Path(folder).is_dir()
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until_gone(Path(folder))
    assert not Path(f"/proc/{pid}").exists()


@pytest.mark.parametrize("written", ["data.partial/base", "data.partial/pg_wal", "server.log"])
def test_a_check_killed_while_its_server_is_made_leaves_nothing(written: str) -> None:
    process = subprocess.Popen([sys.executable, "-c", STARTED], stdout=subprocess.DEVNULL)
    folder = guarded_by(process.pid)
    while not (folder / "server" / written).exists():
        time.sleep(0.001)
    process.send_signal(signal.SIGKILL)
    process.wait()
    wait_until_gone(folder)
    time.sleep(0.5)
    assert not folder.exists()


def guarded_by(pid: int) -> Path:
    """Return the folder of the private server that a process starts."""
    while True:
        for child in psutil.Process(pid).children():
            if "read _" in " ".join(words := child.cmdline()):
                return Path(words[-1])
        time.sleep(0.01)


def wait_until_gone(folder: Path) -> None:
    deadline = time.monotonic() + 30
    while folder.exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not folder.exists()
