"""The folder of one attempt: where its engine works, and what both sides tell each other.

Nothing else passes between worker and task while it runs, so a task may run on any machine
that shares the disk.

==========  ==============================================================
``work``    the engine's current folder, which nobody else uses
``log``     what the engine and its programs print
``heard``   the last the task said of itself, as JSON
``wanted``  is there as long as the task may go on; taking it away needs no room on the disk
==========  ==============================================================
"""

from __future__ import annotations

import json
import shutil
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path

TAIL_BYTES = 10_000
_FATAL = "Fatal Python error"
"""After this line comes what only a programmer reads: stacks, and the modules that are loaded."""


def storable(text: str) -> str:
    """Return the text as the database takes it: no zero characters, no halves of pairs."""
    return text.encode(errors="replace").decode().replace("\0", "\ufffd")


@dataclass(frozen=True, slots=True)
class Heard:
    """The last a task said of itself: how much is done (0..1), in words, and its numbers."""

    done: float = 0.0
    message: str = ""
    numbers: Mapping[str, float] = field(default_factory=dict)


@dataclass(frozen=True, slots=True)
class JobFolder:
    """The folder at ``path``, as both sides see it."""

    path: Path

    def make(self) -> None:
        """Make it, empty. Raises OSError where that cannot be done."""
        self.path.mkdir(mode=0o700)
        self.work.mkdir(mode=0o700)
        (self.path / "wanted").touch()

    @property
    def work(self) -> Path:
        """Where the engine works."""
        return self.path / "work"

    @property
    def log(self) -> Path:
        """What the engine and its programs print."""
        return self.path / "log"

    def tell(self, heard: Heard) -> None:
        """Let the worker hear this; it never reads half of it. Raises OSError."""
        new = self.path / "heard.new"
        new.write_text(json.dumps(asdict(heard)))
        new.replace(self.path / "heard")

    def heard(self) -> Heard:
        """Return the last that was told."""
        try:
            return Heard(**json.loads((self.path / "heard").read_text()))
        except FileNotFoundError:
            return Heard()

    def cancel(self) -> None:
        """Tell the task to end; may be called again."""
        (self.path / "wanted").unlink(missing_ok=True)

    @property
    def is_cancelled(self) -> bool:
        """Whether the task has to end: it was told so, or the folder is gone with its worker."""
        return not (self.path / "wanted").exists()

    def last_words(self) -> str:
        """Return the end of the log on one line, printable; empty where there is none."""
        try:
            with self.log.open("rb") as stream:
                stream.seek(max(0, stream.seek(0, 2) - TAIL_BYTES))
                lines = stream.read().decode(errors="replace").split("\n")
        except FileNotFoundError:
            return ""
        fatal = next((i for i, line in enumerate(lines) if line.startswith(_FATAL)), len(lines))
        words = " ".join(" ".join(lines[: fatal + 1][-6:]).split())[-400:]
        return "".join(c if c.isprintable() else "\ufffd" for c in words)

    def remove(self) -> None:
        """Remove it with all that is in it; may be called again."""
        shutil.rmtree(self.path, ignore_errors=True)
