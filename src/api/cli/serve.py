"""``nano-os serve``: the HTTP server."""

from __future__ import annotations

import gc
import socket
from typing import Annotated

import typer


def serve(
    host: Annotated[str, typer.Option(help="Address to listen on.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535)] = 8000,
) -> None:
    """Serve HTTP until Ctrl-C. /optimade (public structures), /health, /docs."""
    _check_free(host, port)
    import uvicorn

    from api.app import create_app

    app = create_app()
    gc.freeze()  # what lives as long as the server is not gone through again and again
    uvicorn.run(app, host=host, port=port, log_level="info")


def _check_free(host: str, port: int) -> None:
    """Raise NotListening where the address cannot be listened on."""
    from api.errors import NotListening

    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    try:
        socket.create_server((host, port), family=family).close()
    except OSError as error:
        cause = str(error.strerror).lower().partition(" (")[0]  # Python adds the address
        raise NotListening(
            f"{host}, port {port}, cannot be listened on: {cause}. Choose another port with "
            "--port, or another address with --host."
        ) from error
