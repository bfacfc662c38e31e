"""Results as what writers take: the structure that the numbers belong to, with all of them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping
from dataclasses import replace
from typing import Any

from ase import Atoms
from sqlalchemy.ext.asyncio import AsyncSession

from api.artifacts import Artifacts
from api.schemas.results import ResultQuery
from api.schemas.simulation import ResultDetail
from api.services import arrays, records, result_search, results
from nanoos.structures import Structure, fingerprint
from nanoos.writers import RESULT_FIELDS, Record, document

PRIVATE = "found"
"""What an import noted of where files lay: it is its owner's, and stays here."""
_GEOMETRY = ("lattice", "positions", "symbols")
_PLACES = ("lattice_a", "positions_a", "species", "species_at_sites", "dimension_types")
"""Fields of a record that say where which atoms are."""
_INPUT = ("id", "name", *_PLACES, "fingerprint", "source_name", "source_format")
"""Fields of the structure that a result was calculated from."""


async def stream(
    session: AsyncSession, query: ResultQuery, artifacts: Artifacts, *, batch: int = 100
) -> AsyncIterator[list[Record]]:
    """Yield all results that the query finds, with a structure in view, ``batch`` at a time."""
    async for ids in result_search.stream(session, query, batch=batch):
        details = await results.several(session, ids)
        wanted = {
            id_ for one in details for id_ in (one.final_structure_id, one.structure_id) if id_
        }
        rows = await records.present(session, sorted(wanted))
        known = {record.known["id"]: record for record in rows}
        yield [
            with_result(
                known[str(one.final_structure_id)], one, artifacts, known.get(str(one.structure_id))
            )
            for one in details
            if str(one.final_structure_id) in known
        ]


def with_result(
    record: Record, detail: ResultDetail, artifacts: Artifacts, given: Record | None = None
) -> Record:
    """Return the record with what was calculated for it, from what was ``given``.

    Arrays of an imported run are in the order and direction of the geometry beside them, which
    the record has then; without one they stay in ``data``.
    """
    data = arrays.restore(detail.data, artifacts)
    structure = _geometry(data, record.structure)
    result = _result(detail)
    if given is not None and given.known["fingerprint"] != fingerprint(
        structure or record.structure
    ):
        whole = document(given)
        result["input_structure"] = {name: whole[name] for name in _INPUT}
    if structure is None and detail.origin == "imported":
        return replace(record, result=result | {"data": data})
    own = {name: _values(data.pop(key, None)) for key, (name, _) in arrays.OF_RECORDS.items()}
    result["data"] = {name: value for name, value in data.items() if name not in _GEOMETRY}
    if structure is not None:  # the record says the places of that one
        others = {name: value for name, value in record.known.items() if name not in _PLACES}
        record = replace(record, structure=structure, known=others)
    return replace(record, result=result | own)


def _geometry(data: Mapping[str, Any], stored: Structure) -> Structure | None:
    if not all(name in data for name in ("positions", "symbols")):
        return None
    lattice = _values(data.get("lattice"))
    atoms = Atoms(
        data["symbols"]["values"],
        positions=data["positions"]["values"],
        cell=lattice,
        pbc=stored.periodic,
    )
    return Structure.from_ase(atoms)


def _values(entry: Any) -> Any:
    return entry.get("values") if isinstance(entry, Mapping) else None


def _result(detail: ResultDetail) -> dict[str, Any]:
    """Return what the record says of the result, in the order of its fields; then quantities."""
    known = detail.model_dump()
    known |= {"id": str(detail.id), "job_id": str(detail.job_id)}
    known["provenance"] = {
        name: value for name, value in detail.provenance.items() if name != PRIVATE
    }
    return {name: known.get(name) for name, _, _ in RESULT_FIELDS} | detail.quantities
