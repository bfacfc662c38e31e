"""What processes that were killed left goes; what a living one has stays."""

import signal
import subprocess
import sys
from pathlib import Path

from nanoos.scratch import Scratch, sweep

MAKE = """
import sys
from pathlib import Path
from nanoos.scratch import Scratch

path = Scratch(Path(sys.argv[1]), ".unfinished-").path
(path / "file").write_text("half")
print(path, flush=True)
sys.stdin.read()
"""
FIND = "from nanoos.parsers import find; list(find([]))"
SPOOL = """
import os, signal
from io import BytesIO
from nanoos.parsers import Source

print(Source.of_stream(BytesIO(b"long" * 1024**2), "long").path, flush=True)
os.kill(os.getpid(), signal.SIGKILL)
"""


def test_what_a_killed_process_left_goes_and_what_a_living_one_has_stays(tmp_path):
    started = [
        subprocess.Popen(
            [sys.executable, "-c", MAKE, tmp_path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        for _ in range(2)
    ]
    killed, living = (Path(process.stdout.readline().strip()) for process in started)
    started[0].send_signal(signal.SIGKILL)
    started[0].wait()
    assert (killed / "file").exists()
    own = Scratch(tmp_path, ".unfinished-")
    assert not killed.exists()
    assert (living / "file").exists()
    started[1].communicate("")
    sweep(tmp_path, ".unfinished-")
    assert list(tmp_path.iterdir()) == [own.path]
    own.remove()
    own.remove()
    assert not list(tmp_path.iterdir())


def test_what_others_call_alike_stays(tmp_path):
    elsewhere = tmp_path / "elsewhere"
    (elsewhere / "precious").mkdir(parents=True)
    (tmp_path / ".unfinished-link").symlink_to(elsewhere)
    (tmp_path / ".unfinished-file").write_text("a file")
    sweep(tmp_path, ".unfinished-")
    assert (elsewhere / "precious").exists()
    assert (tmp_path / ".unfinished-file").exists()


def test_temporary_files_of_a_killed_import_go_at_the_next(tmp_path, monkeypatch):
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    command = [sys.executable, "-c", SPOOL]
    first, second = (
        subprocess.run(command, stdout=subprocess.PIPE, text=True, check=False) for _ in range(2)
    )
    assert first.returncode == second.returncode == -signal.SIGKILL
    assert Path(second.stdout.strip()).exists()
    assert len(list(tmp_path.iterdir())) == 1
    subprocess.run([sys.executable, "-c", FIND], check=True)
    assert not list(tmp_path.iterdir())
