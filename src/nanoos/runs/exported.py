"""Results as our own exports write them: JSON Lines, see `nanoos.writers.jsonl`.

A line is a run of one step, with its whole document in `Run.exported`.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import PurePosixPath
from typing import Any, get_args

import numpy as np
from pydantic import TypeAdapter, ValidationError

from nanoos.errors import MethodError, ParseError, StructureError
from nanoos.methods import Method, of_document
from nanoos.parsers import Source
from nanoos.parsers.json_text import documents
from nanoos.parsers.plain import plain
from nanoos.parsers.record_lines import RecordLines, parsed
from nanoos.runs.ase_results import told
from nanoos.runs.exported_result import ExportedLine, ExportedResult
from nanoos.runs.run import Run, RunFolder, Step, Task
from nanoos.structures import Structure

_HEAD_BYTES = 20_000
_BLOCK_BYTES = 1024**2
_METHOD = TypeAdapter(Method)
_RESULT = re.compile(rb'"result": ?\{ ?"id"')


class Exported:
    """The reader of exported results."""

    name = "exported"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return each file of exported structures that has results."""
        return folder.each(
            lambda source: (
                RecordLines().recognises(source.head(_HEAD_BYTES), "") and _has_results(source)
            )
        )

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield a step and a run for each line that has a result.

        Raises ParseError at the end when lines were left out, or when there was none.
        """
        ((name, source),) = run.files.items()
        notes, n_lines = [], 0
        for line, document in documents(source):
            n_lines += 1
            try:
                found = _run(run.name, document, line, {name: source.sha256})
            except (ParseError, StructureError, MethodError) as error:
                notes.append(f"Line {line or 1}: {error}")
            else:
                yield from found
        if notes or not n_lines:
            raise ParseError(told(notes) or "It has no line.")


def _has_results(source: Source) -> bool:
    """Tell whether the first line says a result."""
    with source.open() as stream:
        tail = b""
        while block := stream.readline(_BLOCK_BYTES):
            if _RESULT.search(tail + block):
                return True
            if block.endswith(b"\n"):
                break
            tail = block[-100:]
    return False


def _run(
    name: str, document: Any, line: int | None, files: dict[str, str]
) -> tuple[Step, Run] | tuple[()]:
    """Return step and run of a line; nothing of one that is a structure alone."""
    found = parsed(document)
    if "result" not in document:
        return ()
    exported = _checked(document)
    said = exported.result
    given = said.input_structure
    initial = found.structure if given is None else parsed({**document, **given}).structure
    for per_site in (said.forces_ev_per_a, said.magnetic_moments_mu_b):
        if per_site is not None and len(per_site) != found.structure.n_sites:
            sites = f"{found.structure.n_sites} sites"
            raise ParseError(f"{len(per_site)} forces or magnetic moments are said of {sites}.")
    step = Step(
        structure=found.structure,
        energy_ev=said.quantities.get("energy_ev"),
        free_energy_ev=said.quantities.get("free_energy_ev"),
        energy_without_entropy_ev=said.quantities.get("energy_without_entropy_ev"),
        forces_ev_per_a=_array(said.forces_ev_per_a),
        stress_gpa=_array(said.stress_gpa),
        magnetic_moments_mu_b=_array(said.magnetic_moments_mu_b),
        place=line,
    )
    run = Run(
        name=str((given or document).get("name") or PurePosixPath(name).name),
        method=_method(said.method),
        task=_task(said, exported.origin),
        end="finished" if said.status == "succeeded" else "crashed",
        initial=initial,
        next_structure=_next(said.data),
        parameters=said.parameters,
        message=said.error,
        wall_time_s=said.wall_time_s,
        n_cores=said.n_cores,
        started_at=said.started_at,
        extra=found.extra,
        exported=exported,
        files=files,
    )
    return step, run


def _checked(document: dict[str, Any]) -> ExportedLine:
    try:
        return ExportedLine.model_validate(plain(document))
    except ValidationError as error:
        raise ParseError(_first(error)) from None


def _first(error: ValidationError) -> str:
    first = error.errors()[0]
    return f"{'.'.join(map(str, first['loc']))}: {first['msg']}."


def _next(data: dict[str, Any]) -> Structure | None:
    """Take the geometry that was left for the next run. Raises ParseError, or StructureError."""
    data.pop("next_volume", None)
    if (entry := data.pop("next_geometry", None)) is None:
        return None
    try:
        given = entry["values"]
        return Structure.of(given["lattice"], given["positions"], given["symbols"])
    except (KeyError, TypeError, ValueError):
        raise ParseError("result.data.next_geometry is no geometry.") from None


def _method(stated: dict[str, Any]) -> Method:
    """Return the method. Raises MethodError: no such field, or a value of another type."""
    try:
        _METHOD.validate_python(stated)
    except ValidationError as error:
        raise MethodError(f"No document of a method: {_first(error)}") from None
    return of_document(stated)


def _task(said: ExportedResult, origin: str) -> Task:
    """Return what was asked for, in the words of runs; of other workflows, what came of it."""
    asked = said.parameters.get("task") if said.origin == "imported" else said.workflow
    if asked in get_args(Task):
        return asked  # type: ignore[return-value] # it is one of them
    return "relax" if origin == "relaxed" else "other"


def _array(values: Any) -> Any:
    return None if values is None else np.array(values, dtype=np.float64)
