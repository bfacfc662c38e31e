"""The steps of a run on their way into an artifact; made where they are read, in any process.

Nothing here imports SQLAlchemy: the processes that read files start the faster.
"""

from __future__ import annotations

import gzip
from contextlib import ExitStack
from typing import Any, cast

from api.artifacts import Artifacts, Incoming
from nanoos.runs import Step
from nanoos.runs.steps import frame

COMPRESSION = 1
"""Of the steps: digits shrink by half, and hardly more at a higher level."""


class Steps:
    """The steps of one run: the first and the last are kept, all go to an artifact if many."""

    def __init__(self, artifacts: Artifacts, open_: ExitStack) -> None:
        self.artifacts = artifacts
        self._open = open_
        self._writing: ExitStack | None = None
        self.number = 0
        self.first: Step | None = None
        self.last: Step | None = None

    def add(self, step: Step) -> None:
        """Take the next step; from the second on, all are written."""
        self.number += 1
        if self.first is None:
            self.first = self.last = step
            return
        if self._writing is None:
            self._begin(self.first)
        self._file.write(frame(step).encode())
        self.last = step

    def _begin(self, first: Step) -> None:
        self._writing = self._open.enter_context(ExitStack())
        self._incoming: Incoming = self._writing.enter_context(self.artifacts.adding())
        stream = gzip.GzipFile(
            "", "wb", COMPRESSION, cast(Any, self._incoming), mtime=0
        )  # neither name nor time: equal steps are one artifact
        self._file = self._writing.enter_context(stream)
        self._file.write(frame(first).encode())

    def stored(self) -> list[dict[str, Any]]:
        """Store what came as an artifact; return what is said of it: of a single step nothing."""
        if self._writing is None:
            return []
        self._writing.close()
        artifact = self._incoming.artifact
        assert artifact is not None  # noqa: S101 - it was closed without an error
        return [
            {
                "name": "steps.extxyz.gz",
                "media_type": "application/gzip",
                "sha256": artifact.sha256,
                "size_bytes": artifact.size_bytes,
                "steps": self.number,
            }
        ]
