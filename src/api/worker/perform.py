"""What happens in an engine's process: one job, from its input to its outcome.

Nothing here touches the database; a task goes in and a Run comes out, both
picklable, so that any ``concurrent.futures.Executor`` can carry it.
"""

from __future__ import annotations

import logging
import platform
import shutil
import subprocess
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field, replace
from datetime import UTC, datetime
from functools import cache
from importlib.metadata import PackageNotFoundError, version
from mimetypes import guess_type
from pathlib import Path
from typing import Any, Self
from uuid import UUID

from api.services.queue import Claim
from api.services.results import Run
from api.settings import PROJECT_ROOT
from api.worker.files import DISK_FULL
from nanoos import plugins
from nanoos.engines import Engine, ProgramEngine, make
from nanoos.errors import (
    DiskFull,
    EngineError,
    EngineUnavailable,
    NanoError,
    WorkflowError,
)
from nanoos.parameters import read_parameters
from nanoos.structures import Structure
from nanoos.workflows.workflow import OutputFile, Progress

_log = logging.getLogger(__name__)

PACKAGES = (
    *("nano-os", "ase", "numpy", "scipy", "moyopy", "phonopy", "lammps", "torch", "chgnet"),
    "sevenn",
)
"""Those of them that are installed are noted with each result."""


@dataclass(frozen=True, slots=True)
class Task:
    """What one attempt needs to run."""

    job_id: UUID
    workflow: str
    workflow_version: int
    engine: str
    parameters: dict[str, Any]
    engine_parameters: dict[str, Any]
    structure: Structure
    wall_time_s: float | None = None
    """What is left to it, in s."""
    resources: dict[str, Any] = field(default_factory=dict)
    launcher: tuple[str, ...] = ()
    """What stands before the command of a parallel program, as its executor starts one."""

    @classmethod
    def of(cls, claim: Claim) -> Self:
        """Return what the claimed job needs to run."""
        return cls(
            job_id=claim.job_id,
            workflow=claim.workflow,
            workflow_version=claim.workflow_version,
            engine=claim.engine,
            parameters=claim.parameters,
            engine_parameters=claim.engine_parameters,
            structure=claim.structure,
            wall_time_s=claim.wall_time_limit_s,
            resources=claim.resources,
        )


def perform(task: Task, folder: Path, progress: Progress) -> Run:
    """Run the task's workflow with its engine, in ``folder``, telling ``progress``.

    Raises a NanoError where that fails, whatever the plug-ins raise: DiskFull where the disk of
    ``folder`` is, WorkflowError also where another version of the workflow is installed than the
    task asks for, or a file of the outcome is not there.
    """
    workflow = plugins.get("nanoos.workflows", task.workflow)()
    if int(workflow.version) != task.workflow_version:
        raise WorkflowError(
            f"The job asks for version {task.workflow_version} of {workflow.name}; version"
            f" {workflow.version} is installed here. Submit it again."
        )
    engine = make(task.engine, task.engine_parameters)
    if reason := engine.probe():
        raise EngineUnavailable(reason)
    parameters = read_parameters(workflow.name, workflow.parameters, task.parameters)

    if not isinstance(engine, ProgramEngine):
        _empty(folder)
    started_at, started = datetime.now(UTC), time.perf_counter()
    try:
        if isinstance(engine, ProgramEngine):
            engine.begin(
                task.structure, folder, wall_time_s=task.wall_time_s, launcher=task.launcher
            )
        outcome = workflow.run(task.structure, parameters, engine, progress, folder)
    except NanoError:
        raise
    except OSError as error:
        if error.errno in DISK_FULL:
            raise DiskFull(f"The disk that the job works on is full: {error}.") from error
        raise _foreign(error) from error
    except Exception as error:  # plug-ins may raise anything, even what cannot be pickled
        _log.exception("Job %s: %s with %s failed", task.job_id, workflow.name, engine.name)
        raise _foreign(error) from error
    outcome = replace(outcome, files=(*outcome.files, *_files_of(engine, folder)))
    _require(outcome.files)
    return Run(
        outcome=outcome,
        method=engine.method(task.structure),
        provenance={
            "workflow": workflow.name,
            "workflow_version": workflow.version,
            "engine": engine.name,
            "engine_version": engine.version,
            "parameters": task.parameters,
            "engine_parameters": task.engine_parameters,
            "corrections": engine.corrections if isinstance(engine, ProgramEngine) else [],
            "packages": dict(_versions()),
            "resources": task.resources,
            "python": platform.python_version(),
            "platform": platform.platform(),
            "host": platform.node(),
            "code_revision": _code_revision(),
            "started_at": started_at.isoformat(),
            "finished_at": datetime.now(UTC).isoformat(),
        },
        wall_time_s=time.perf_counter() - started,
    )


def _files_of(engine: Engine, folder: Path) -> Iterator[OutputFile]:
    """Yield what the program of an engine left, as files of the outcome."""
    for path in engine.files if isinstance(engine, ProgramEngine) else ():
        media_type = guess_type(path.name)[0] or "text/plain"
        yield OutputFile(str(path.relative_to(folder)), media_type, path)


def _foreign(error: Exception) -> EngineError:
    return EngineError(f"{type(error).__name__}: {error}")


def _empty(folder: Path) -> None:
    """Remove what an earlier attempt left, which only programs know how to go on with."""
    for path in folder.iterdir():
        if path.is_dir() and not path.is_symlink():
            shutil.rmtree(path)
        else:
            path.unlink()


def _require(files: Iterable[OutputFile]) -> None:
    for file in files:
        if not file.path.is_file():
            raise WorkflowError(f"The outcome names a file that is not there: {file.name}.")


@cache
def _versions() -> dict[str, str]:
    found = {}
    for package in PACKAGES:
        try:
            found[package] = version(package)
        except PackageNotFoundError:
            continue
    return found


@cache
def _code_revision() -> str | None:
    """Return the commit of the checkout we run from; None outside one, or without git."""
    if not (PROJECT_ROOT / ".git").exists():
        return None
    command = ["git", "-C", str(PROJECT_ROOT), "describe", "--always", "--dirty", "--abbrev=40"]
    try:
        answer = subprocess.run(command, capture_output=True, text=True, check=False)
    except FileNotFoundError:
        return None
    return answer.stdout.strip() or None
