"""Arrays of results that are too large for their row: they are artifacts, and read back by name.

An entry of a result's ``data`` is ``{"values": …, "unit": …}``. Of a large one ``values`` goes to
an artifact, JSON compressed by Zstandard, and ``artifact`` (its hash) and ``shape`` stand instead.

Nothing here imports SQLAlchemy: the processes that read files start the faster.
"""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from api.artifacts import Artifacts
from nanoos.canonical import canonical_json
from nanoos.structures import Structure

LARGE_BYTES = 32 * 1024
"""Of the text of an array: what is longer is stored beside the row."""
OF_RECORDS = {
    "forces": ("forces_ev_per_a", "eV/Å"),
    "stress": ("stress_gpa", "GPa"),
    "magnetic_moments": ("magnetic_moments_mu_b", "μB"),
}
"""Arrays of a result's data that have fields of their own in what is exported, and their units."""


def set_aside(
    data: Mapping[str, Any], artifacts: Artifacts
) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    """Return the data without large arrays, and what the result says of their artifacts.

    These are stored already; nothing refers to them until the result is, too.
    """
    kept, stored = dict(data), []
    for name, entry in data.items():
        if not _is_array(entry):
            continue
        text = canonical_json(entry["values"]).encode()
        if len(text) <= LARGE_BYTES:
            continue
        artifact = _stored(text, artifacts)
        others = {key: value for key, value in entry.items() if key != "values"}
        kept[name] = others | {"artifact": artifact["sha256"], "shape": shape(entry["values"])}
        stored.append({"name": f"{name}.json.zst", "media_type": "application/zstd", **artifact})
    return kept, stored


def geometry(structure: Structure) -> dict[str, Any]:
    """Return the entries for a geometry, in the order and direction in which arrays are.

    The structure in the database may be one that was there, with other order of sites, or turned.
    """
    lattice_a = structure.lattice_a
    found = {"positions": {"values": structure.positions_a.tolist(), "unit": "Å"}}
    if lattice_a is not None:
        found["lattice"] = {"values": lattice_a.tolist(), "unit": "Å"}
    if structure.is_ordered:
        found["symbols"] = {"values": structure.symbols, "unit": "1"}
    return found


def left_behind(structure: Structure | None) -> dict[str, Any]:
    """Return the entries for the geometry that a run left for the next one."""
    if structure is None:
        return {}
    values = {name: entry["values"] for name, entry in geometry(structure).items()}
    return {
        "next_geometry": {"values": values, "unit": "Å"},
        "next_volume": {"values": structure.volume_a3, "unit": "Å³"},
    }


def has_arrays(data: Mapping[str, Any]) -> bool:
    """Return whether any entry may be one to set aside."""
    return any(map(_is_array, data.values()))


def _is_array(entry: Any) -> bool:
    return isinstance(entry, Mapping) and isinstance(entry.get("values"), list)


def _stored(text: bytes, artifacts: Artifacts) -> dict[str, Any]:
    import zstandard

    with artifacts.adding() as incoming:
        incoming.write(zstandard.compress(text))
    assert incoming.artifact is not None  # noqa: S101 - it ended without an error
    return incoming.artifact._asdict()


def shape(values: Any) -> list[int]:
    """Return the lengths of nested lists, as far as the first of each tells."""
    lengths = []
    while isinstance(values, list):
        lengths.append(len(values))
        values = values[0] if values else None
    return lengths


def restore(data: Mapping[str, Any], artifacts: Artifacts) -> dict[str, Any]:
    """Return the data with all arrays in it.

    Raises NotFound and ArtifactDamaged where an artifact is not what it was.
    """
    return {
        name: _restored(entry, artifacts)
        if isinstance(entry, Mapping) and "artifact" in entry
        else entry
        for name, entry in data.items()
    }


def _restored(entry: Mapping[str, Any], artifacts: Artifacts) -> dict[str, Any]:
    import zstandard

    compressed = b"".join(artifacts.blocks(entry["artifact"]))
    values = json.loads(zstandard.decompress(compressed))
    others = {key: value for key, value in entry.items() if key not in {"artifact", "shape"}}
    return others | {"values": values}
