"""Ctrl-C ends a statement that runs, not only what comes after it.

Python obeys a signal between its own instructions, and a driver that waits for the server
has none. So a thread is woken, which tells the server to give up.
"""

from __future__ import annotations

import signal
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from typing import Any

import psycopg2
from sqlalchemy import Pool, event


@contextmanager
def interruptible() -> Iterator[None]:
    """Let Ctrl-C cancel the statements of every connection that is opened in the block."""
    if threading.current_thread() is not threading.main_thread():
        yield  # signals are the main thread's business
        return
    opened: list[Any] = []

    def remember(connection: Any, _record: Any) -> None:
        opened[:] = [one for one in opened if not one.closed]
        if isinstance(connection, psycopg2.extensions.connection):
            opened.append(connection)

    woken, wakes = socket.socketpair()
    wakes.setblocking(False)
    listener = threading.Thread(target=_listen, args=(woken, opened), daemon=True)
    event.listen(Pool, "connect", remember)
    before = signal.set_wakeup_fd(wakes.fileno(), warn_on_full_buffer=False)
    listener.start()
    try:
        yield
    finally:
        signal.set_wakeup_fd(before)
        event.remove(Pool, "connect", remember)
        wakes.close()
        listener.join()
        woken.close()


def _listen(woken: socket.socket, opened: list[Any]) -> None:
    """Wait for signals, whose numbers arrive as bytes, until the other end is closed."""
    while numbers := woken.recv(1):
        if numbers[0] == signal.SIGINT:
            for connection in list(opened):
                with suppress(psycopg2.Error):  # it is closed
                    connection.cancel()
