"""The parent of an engine's process, with which the whole tree of processes ends.

It imports nothing heavy, forks, and waits: for the end of the engine's process, or of whoever
started it, even by SIGKILL. Then it kills what is left below it. On Linux orphans become its
children, so programs that an engine's programs started (the ranks of ``mpirun``) do not escape
by the death of their parents.
"""

from __future__ import annotations

import ctypes
import os
import resource
import select
import signal
import sys
from contextlib import suppress
from multiprocessing.connection import Connection

_PR_SET_PDEATHSIG, _PR_SET_CHILD_SUBREAPER = 1, 36  # linux/prctl.h


def main(channel_fd: int) -> None:
    """Serve tasks from ``channel_fd`` in a child until stdin ends; say on stdout how it ended."""
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))
    _prctl(_PR_SET_CHILD_SUBREAPER, 1)
    woken, wake = os.pipe()
    for end in (woken, wake):
        os.set_blocking(end, False)
    signal.set_wakeup_fd(wake)
    signal.signal(signal.SIGCHLD, lambda *_: None)
    engine = os.fork()
    if engine == 0:
        _serve(channel_fd)
    os.close(channel_fd)
    how = _watch(engine, woken)
    _kill_below()
    sys.stdout.write(how)


def _serve(channel_fd: int) -> None:
    """Be the engine's process."""
    _prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    signal.set_wakeup_fd(-1)
    signal.signal(signal.SIGCHLD, signal.SIG_DFL)
    null = os.open(os.devnull, os.O_RDWR)
    os.dup2(null, 0)
    os.dup2(2, 1)
    os.set_inheritable(channel_fd, False)
    from api.worker.runner import serve

    serve(Connection(channel_fd))
    os._exit(0)


def _watch(engine: int, woken: int) -> str:
    """Wait for the end of the engine's process or of stdin; return how the former ended."""
    while True:
        ready, _, _ = select.select([0, woken], [], [])
        if woken in ready:
            os.read(woken, 1024)
            if (how := _reaped(engine)) is not None:
                return how
        if 0 in ready and not os.read(0, 1):
            return ""


def _reaped(engine: int) -> str | None:
    """Reap whoever died; return how the engine's process did, if it was among them."""
    found = None
    with suppress(ChildProcessError):
        while True:
            pid, status = os.waitpid(-1, os.WNOHANG)
            if pid == 0:
                break
            if pid == engine:
                code = os.waitstatus_to_exitcode(status)
                found = signal.Signals(-code).name if code < 0 else f"exit code {code}"
    return found


def _kill_below() -> None:
    """Kill all processes below this one; those whose parents die come up here."""
    import psutil

    ourselves = psutil.Process()
    while below := ourselves.children(recursive=True):
        for process in below:
            with suppress(psutil.Error):
                process.kill()
        with suppress(ChildProcessError):
            os.waitpid(-1, 0)
            _reaped(0)


def _prctl(option: int, value: int) -> None:
    if sys.platform == "linux":
        ctypes.CDLL(None).prctl(option, value, 0, 0, 0)
