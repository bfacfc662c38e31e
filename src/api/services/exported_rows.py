"""Results that an export wrote, on their way in again: their jobs and results as they were.

Nothing here imports SQLAlchemy: the processes that read files start the faster.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from typing import Any
from uuid import UUID

from api.artifacts import Artifacts
from api.services.arrays import OF_RECORDS, geometry, left_behind, set_aside
from nanoos.canonical import sha256
from nanoos.runs import Run
from nanoos.runs.exported_result import ExportedLine, ExportedResult
from nanoos.structures import Structure

FIRST_ID = "result_id"
"""In the provenance of a result that was calculated elsewhere: its id there."""


def first_id(said: ExportedResult) -> UUID:
    """Return the id that the result had where it was first stored."""
    try:
        return UUID(said.provenance[FIRST_ID])
    except (KeyError, TypeError, ValueError, AttributeError):
        return said.id


def job(said: ExportedResult, name: str) -> dict[str, Any]:
    """Return values of the job, without its id.

    An imported run is known again by its files. One that was submitted is by its result's id, and
    is called by the ``name`` of the export.
    """
    parameters = said.parameters
    if said.origin == "submitted":
        parameters = {"task": said.workflow, "input": parameters}
    ended = {name: getattr(said, name) for name in ("error_type", "error", "started_at")}
    return ended | {
        "engine": said.engine,
        "project": said.project,
        "parameters": parameters,
        "parameters_sha256": sha256(parameters),
        "engine_parameters": said.engine_parameters,
        "status": said.status,
        "progress": 1.0 if said.status == "succeeded" else 0.0,
        "finished_at": said.finished_at,
        "source_name": said.source_name or name,
        "source_sha256": said.source_sha256
        or hashlib.sha256(f"result {first_id(said)}".encode()).hexdigest(),
        "source_place": said.source_place or 1,
        "source_is_last": said.source_is_last,
    }


def source(line: ExportedLine, extra: Mapping[str, Any]) -> dict[str, Any]:
    """Return what structures are said to come from."""
    known = {"source_format": line.source_format, "source_name": line.source_name}
    return known | {"extra": dict(extra)}


def result(
    run: Run, structure: Structure, artifacts: Artifacts, place: str | None
) -> dict[str, Any]:
    """Return values of the result, without its id and the hash of its method.

    ``place`` is where on this machine the export lay. Arrays are set aside anew. Other files
    beside it do not come with the line, whoever has them: its provenance names them.
    """
    assert run.exported is not None  # noqa: S101 - of other runs nobody asks
    said = run.exported.result
    whole = _data(said, structure) | left_behind(run.next_structure)
    data, arrays = set_aside(whole, artifacts)
    made = {f"{name}.json.zst" for name in [*said.data, *OF_RECORDS]}
    left = [one for one in said.artifacts if one.get("name") not in made]
    provenance = said.provenance | {"found": {"host": platform.node(), "path": place}}
    if left:
        provenance["artifacts_elsewhere"] = left
    if said.source_sha256 is None:
        provenance[FIRST_ID] = str(first_id(said))
    return said.quantities | {
        "data": data,
        "is_converged": said.is_converged,
        "convergence": said.convergence,
        "provenance": provenance,
        "artifacts": arrays,
        "wall_time_s": said.wall_time_s,
        "n_cores": said.n_cores,
    }


def _data(said: ExportedResult, structure: Structure) -> dict[str, Any]:
    """Return the data with the arrays, and the geometry in whose order they are."""
    there = {
        name: {"values": getattr(said, field), "unit": unit}
        for name, (field, unit) in OF_RECORDS.items()
        if getattr(said, field) is not None
    }
    return said.data | there | (geometry(structure) if there else {})
