"""One thing found wrong, by whichever command."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import StrEnum
from pathlib import Path
from typing import Any


class Severity(StrEnum):
    """How bad it is."""

    ERROR = "error"
    """Data is lost or refused, a program fails, or others are blocked."""
    WARNING = "warning"
    """It works, though not as it should: slower, weaker, or not for long."""
    INFO = "info"
    """Worth knowing."""


@dataclass(frozen=True, kw_only=True)
class Finding:
    """One thing found wrong: what, where, and what mends it.

    ``code`` names the rule, in lower case with ``-`` between words. ``sql`` mends the
    database as it stands; ``cure`` says in words, or as a command, what to do.
    """

    severity: Severity
    code: str
    object: str
    message: str
    cure: str = ""
    sql: str = ""
    file: Path | None = None
    line: int | None = None

    def as_json(self) -> dict[str, Any]:
        """Return what it says, without what it leaves out."""
        said = {name: value for name, value in asdict(self).items() if value not in ("", None)}
        return said | ({"file": str(self.file)} if self.file else {})
