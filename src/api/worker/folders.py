"""The folders of a worker's attempts, and what outlives an attempt.

==============================  ====================================================
``worker-…/JOB-ATTEMPT``        of an attempt; gone with it, or after its worker died
``left/JOB``                    what an attempt leaves to the next one of its job
``failed/JOB-ATTEMPT``          of failed jobs, where they are kept
==============================  ====================================================
"""

from __future__ import annotations

import shutil
import time
from contextlib import suppress
from pathlib import Path
from uuid import UUID

from api.worker.folder import JobFolder
from nanoos.scratch import Scratch

LEFT_S = 7 * 24 * 3600.0
"""What was left to an attempt that never came is removed after this."""


class Folders:
    """Folders below ``scratch``, which is made; those of workers that died are taken over.

    With ``keep_failed``, those of failed jobs stay. Raises OSError where nothing can be written.
    """

    def __init__(self, scratch: Path, *, keep_failed: bool) -> None:
        self._scratch = scratch
        self._keep_failed = keep_failed
        self._left.mkdir(mode=0o700, parents=True, exist_ok=True)
        for path in self._left.iterdir():
            with suppress(FileNotFoundError):  # another worker begins, too
                if time.time() - path.stat().st_mtime > LEFT_S:
                    shutil.rmtree(path, ignore_errors=True)
        self._own = Scratch(scratch, "worker-", self._salvage)

    @property
    def _left(self) -> Path:
        return self._scratch / "left"

    def of(self, job_id: UUID, attempt: int) -> JobFolder:
        """Return the folder of an attempt, which `begin` makes."""
        return JobFolder(self._own.path / f"{job_id}-{attempt}")

    def begin(self, folder: JobFolder, job_id: UUID) -> None:
        """Make the folder, with what an earlier attempt left. Raises OSError."""
        folder.make()
        with suppress(FileNotFoundError):
            (self._left / str(job_id)).rename(folder.work)

    def leave(self, folder: JobFolder, job_id: UUID) -> None:
        """Leave to the next attempt what there is; the rest goes."""
        self._hand_on(folder.work, str(job_id))
        folder.remove()

    def fail(self, folder: JobFolder) -> None:
        """Keep the folder of a job that failed, if those are kept."""
        if self._keep_failed:
            kept = self._scratch / "failed"
            kept.mkdir(mode=0o700, exist_ok=True)
            with suppress(OSError):  # a full disk: what is kept is a courtesy
                folder.path.rename(kept / folder.path.name)
        folder.remove()

    def close(self) -> None:
        """Remove what is left of this worker's own."""
        self._salvage(self._own.path)
        self._own.remove()

    def _salvage(self, own: Path) -> None:
        """Leave to later attempts what the jobs of a worker that is no more had."""
        for work in own.glob("*/work"):
            self._hand_on(work, work.parent.name.rpartition("-")[0])

    def _hand_on(self, work: Path, job: str) -> None:
        with suppress(OSError):  # another attempt left more, or the disk is full
            if any(work.iterdir()):
                work.rename(self._left / job)
