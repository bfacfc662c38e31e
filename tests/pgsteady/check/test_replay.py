"""The private server leaves nothing, whatever happens."""

from __future__ import annotations

import signal
import subprocess
import sys
import time
from pathlib import Path

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
    deadline = time.monotonic() + 30
    while Path(folder).exists() and time.monotonic() < deadline:
        time.sleep(0.05)
    assert not Path(folder).exists()
    assert not Path(f"/proc/{pid}").exists()
