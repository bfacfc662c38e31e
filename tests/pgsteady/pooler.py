"""What stands between clients and a server as PgBouncer does."""

from __future__ import annotations

import select
import socket
import struct
import threading
from collections.abc import Iterator
from contextlib import contextmanager


@contextmanager
def pooler(port: int) -> Iterator[int]:
    """Relay connections to ``port``, giving clients a process id of its own as PgBouncer does."""
    listener = socket.create_server(("127.0.0.1", 0))

    def relay(client: socket.socket) -> None:
        with client, socket.create_connection(("127.0.0.1", port)) as server:
            while True:
                for ready in select.select([client, server], [], [])[0]:
                    data = ready.recv(65536)
                    if not data:
                        return
                    other = server if ready is client else client
                    other.sendall(data if ready is client else _new_backend_key(data))

    def accept() -> None:
        while True:
            try:
                client, _ = listener.accept()
            except OSError:
                return
            threading.Thread(target=relay, args=(client,), daemon=True).start()

    threading.Thread(target=accept, daemon=True).start()
    yield listener.getsockname()[1]
    listener.close()


def _new_backend_key(data: bytes) -> bytes:
    """Change the process id in BackendKeyData: 'K', length 12, process id, secret."""
    start = data.find(b"K" + struct.pack("!I", 12))
    if start < 0 or len(data) < start + 13:
        return data
    return data[: start + 5] + struct.pack("!I", 4_000_000) + data[start + 9 :]
