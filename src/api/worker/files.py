"""Files of an outcome on their way into artifacts."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from typing import Any

from api.artifacts import Artifacts
from nanoos.errors import DiskFull, NanoError, NotWritten
from nanoos.workflows.workflow import OutputFile

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def keep(artifacts: Artifacts, files: Iterable[OutputFile]) -> list[dict[str, Any]]:
    """Store files as artifacts; return what the result says of each.

    Raises DiskFull, and NotWritten where they cannot be read or stored for another reason.
    """
    kept = []
    for file in files:
        try:
            with file.path.open("rb") as stream, artifacts.adding() as incoming:
                shutil.copyfileobj(stream, incoming)
        except OSError as error:
            raise disk_error(error, f"{file.name} of the result") from error
        assert incoming.artifact is not None  # noqa: S101 - it ended without an error
        kept.append(
            {"name": file.name, "media_type": file.media_type, **incoming.artifact._asdict()}
        )
    return kept


def disk_error(error: OSError, what: str) -> NanoError:
    """Return what the failure to write ``what`` means."""
    if error.errno in DISK_FULL:
        return DiskFull(f"There is no room for {what}: {error}. Free some of the disk.")
    return NotWritten(f"There was no way to keep {what}: {error}.")
