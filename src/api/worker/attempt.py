"""A claimed job on its way through the worker."""

from __future__ import annotations

import time
from concurrent.futures import Future
from dataclasses import dataclass, field
from typing import Literal

from api.services.queue import Claim
from api.services.results import Run
from api.worker.folder import Heard, JobFolder

Event = Literal[
    "claimed", "succeeded", "failed", "cancelled", "lost", "handed back", "tried again later"
]


@dataclass(slots=True)
class Attempt:
    """A claimed job on its way through the worker; ``ends_as`` is why it has to end, if so."""

    claim: Claim
    folder: JobFolder
    future: Future[Run] | None = None
    heard: Heard = field(default_factory=Heard)
    beaten_at: float = field(default_factory=time.monotonic)
    ends_as: Event | None = None
