"""A provider of OPTIMADE on this machine: real HTTP, with answers recorded from the reference
server (tests/fixtures/formats/make_optimade.py), and whatever else a test makes it say."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from threading import Thread
from typing import Any, NamedTuple
from urllib.parse import parse_qs, urlsplit

RECORDED = Path(__file__).parent / "fixtures" / "optimade_server"


class Answer(NamedTuple):
    """What the provider says to one request."""

    body: bytes = b""
    status: int = 200
    headers: tuple[tuple[str, str], ...] = ()


Says = Callable[[str], Answer | None]
"""What a test makes the provider say to a path; None for what was recorded."""


class Provider:
    """A running provider, and the requests that it was asked."""

    def __init__(self, says: Says) -> None:
        self.says = says
        self.asked: list[str] = []
        provider = self

        class Handler(BaseHTTPRequestHandler):
            def do_GET(self) -> None:
                provider.asked.append(self.path)
                answer = provider.says(self.path) or provider.recorded(self.path)
                self.send_response(answer.status)
                for name, value in answer.headers:
                    self.send_header(name, value)
                self.send_header("Content-Length", str(len(answer.body)))
                self.end_headers()
                self.wfile.write(answer.body)

            def log_message(self, *_: Any) -> None:
                pass

        self.server = ThreadingHTTPServer(("127.0.0.1", 0), Handler)

    @property
    def url(self) -> str:
        return f"http://127.0.0.1:{self.server.server_port}"

    def recorded(self, path: str) -> Answer:
        """Return the recorded answer, its links leading here."""
        asked = urlsplit(path)
        page = int(parse_qs(asked.query).get("page_offset", ["0"])[0]) // 3 + 1
        files = {
            "/v1/info": "info.json",
            "/v1/info/structures": "info_structures.json",
            "/v1/structures": f"page_{page}.json",
        }
        if asked.path not in files:
            return Answer(b"<html>Not found</html>", 404)
        text = (RECORDED / files[asked.path]).read_text()
        return Answer(text.replace("http://example.org", self.url).encode())

    def changed(self, path: str, change: Callable[[Any], Any]) -> Answer:
        """Return the recorded answer with a change made to it."""
        document = json.loads(self.recorded(path).body)
        change(document)
        return Answer(json.dumps(document).encode())


@contextmanager
def provider(says: Says = lambda _: None) -> Iterator[Provider]:
    """Run a provider while the context lasts."""
    running = Provider(says)
    thread = Thread(target=running.server.serve_forever, kwargs={"poll_interval": 0.02})
    thread.start()
    try:
        yield running
    finally:
        running.server.shutdown()
        running.server.server_close()
        thread.join()
