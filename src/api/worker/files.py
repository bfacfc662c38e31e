"""Files and large arrays of an outcome on their way into artifacts."""

from __future__ import annotations

import errno
import shutil
from collections.abc import Iterable
from dataclasses import replace
from typing import Any

from api.artifacts import Artifacts
from api.services.arrays import has_arrays, set_aside
from api.services.results import Run
from nanoos.errors import DiskFull, NanoError, NotWritten
from nanoos.workflows.workflow import OutputFile

DISK_FULL = {errno.ENOSPC, errno.EDQUOT}


def keep(artifacts: Artifacts, run: Run) -> tuple[Run, list[dict[str, Any]]]:
    """Store the files and large arrays of a run as artifacts.

    Returns the run with what is left for the row of its result, and what it says of each artifact.
    Raises DiskFull, and NotWritten where they cannot be read or stored for another reason.
    """
    kept = _keep_files(artifacts, run.outcome.files)
    try:
        data, arrays = set_aside(run.outcome.data, artifacts)
    except OSError as error:
        raise disk_error(error, "the arrays of the result") from error
    return replace(run, outcome=replace(run.outcome, data=data)), kept + arrays


def needs_keeping(run: Run) -> bool:
    """Return whether a run has files, or arrays that may be large."""
    return bool(run.outcome.files) or has_arrays(run.outcome.data)


def _keep_files(artifacts: Artifacts, files: Iterable[OutputFile]) -> list[dict[str, Any]]:
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
