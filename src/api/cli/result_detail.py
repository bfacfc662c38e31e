"""What ``nano-os results show`` prints of a result for a person."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from typing import Any

from api.cli.output import err, show_fields, show_table

_MOST_NUMBERS = 36
"""Of an array that is printed: as many as a tensor of elasticity has."""
_MOST_CHARACTERS = 400
_SAID_APART = frozenset(
    {"quantities", "data", "artifacts", "attempts", "provenance", "method", "method_sha256"}
    | {"parameters", "engine_parameters", "convergence", "is_converged"}
    | {"structure_name", "reduced_formula", "source_sha256", "source_place", "source_is_last"}
)
"""Of the fields of a result, those that are not printed as they are."""


def show_result(detail: dict[str, Any]) -> None:
    """Print the numbers of a result, its method, how it converged, and what belongs to it."""
    from api.services import methods
    from nanoos.methods import of_document

    show_table(
        f"{detail['workflow'] or detail['engine']} of {detail['reduced_formula']}"
        f" {detail['structure_name'] or ''}",
        ["quantity", "value"],
        [(name, value) for name, value in detail["quantities"].items() if value is not None],
    )
    rows = [(name, *_entry(entry)) for name, entry in detail["data"].items()]
    if rows:
        show_table(None, ["further", "value", "unit"], rows)
    known = {name: value for name, value in detail.items() if value not in (None, [], {})}
    named = f"{methods.name(of_document(detail['method']))} ({detail['method_sha256'][:12]})"
    show_fields(
        {name: value for name, value in known.items() if name not in _SAID_APART}
        | {"method": named, "converged": _converged(detail)}
    )
    _show_artifacts(detail["artifacts"])
    err.print("Where it comes from: --provenance; all of it, with the parameters: --json")


def _entry(entry: Any) -> tuple[str, str]:
    """Return what an entry of the data says, as text, and its unit: of what is long, its shape."""
    from api.services.arrays import shape

    if not isinstance(entry, Mapping) or not entry.keys() & {"values", "artifact"}:
        return _text(entry), ""
    values, unit = entry.get("values"), str(entry.get("unit") or "")
    lengths = entry["shape"] if "artifact" in entry else shape(values)
    if math.prod(lengths) > _MOST_NUMBERS or values is None:
        said = " × ".join(map(str, lengths)) + " values"
    else:
        said = ", ".join(values) if isinstance(values, Mapping) else _text(values)
    return said, "" if unit == "1" else unit


def _text(value: Any) -> str:
    """Return a value as JSON, numbers in lists with the digits that people read."""
    text = json.dumps(_rounded(value), ensure_ascii=False, default=str).strip('"')
    return text if len(text) <= _MOST_CHARACTERS else f"{len(text)} characters"


def _rounded(value: Any) -> Any:
    if isinstance(value, list):
        return [_rounded(one) for one in value]
    return float(f"{value:.6g}") if isinstance(value, float) else value


def _converged(detail: Mapping[str, Any]) -> str:
    """Return whether it converged, and what is said of that."""
    parts = ["yes" if detail["is_converged"] else "no"]
    for name, value in detail["convergence"].items():
        if name != "converged" and value not in (None, [], {}):
            shown = ", ".join(map(str, value)) if isinstance(value, list) else _text(value)
            parts.append(f"{name}: {shown}")
    return "; ".join(parts)


def _show_artifacts(artifacts: list[dict[str, Any]]) -> None:
    if artifacts:
        columns = ["artifact", "steps", "bytes", "sha256"]
        keys = ("name", "steps", "size_bytes", "sha256")
        rows = [[one.get(key) for key in keys] for one in artifacts]
        show_table("Beside it", columns, rows)


def provenance_of(detail: dict[str, Any]) -> dict[str, Any]:
    """Return what says where a result comes from: of an imported one, its files."""
    names = (
        "id job_id workflow engine origin project source_name structure_id output_structure_id"
        " continues_id method method_sha256 attempts artifacts created_at"
    )
    known = {name: detail[name] for name in names.split() if detail[name] not in (None, [])}
    return {**known, **detail["provenance"]}


def show_provenance(document: dict[str, Any]) -> None:
    """Print where a result comes from, as `provenance_of` says it."""
    files = document.pop("files", None)
    artifacts = document.pop("artifacts", [])
    place = document.pop("place", None)
    if place is not None:
        file = document.pop("place_in", None)
        document["last_step_at"] = f"line or frame {place}" + (f" of {file}" if file else "")
    attempts = document.pop("attempts", [])
    show_fields(document)
    if files:
        show_table("Read from", ["file", "sha256"], sorted(files.items()))
    if attempts:
        columns = ["attempt", "worker", "started", "ended", "outcome", "error"]
        show_table("Tried", columns, [list(one.values()) for one in attempts])
    _show_artifacts(artifacts)
