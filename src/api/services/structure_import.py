"""Import of structures: COPY into a temporary table, then two set-based inserts.

What is there already is decided by the unique constraints, not by a prior
SELECT, so any number of imports may run at once.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal
from uuid import UUID

import asyncpg
from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession
from uuid_utils.compat import uuid7

from api.models import User
from api.services.canonical import canonical_json
from nanoos.parsers import read
from nanoos.structures import Analysis, Structure, analyse, formula


@dataclass(frozen=True, slots=True)
class Candidate:
    """A structure on its way in: what it is, what follows from it, where it came from."""

    structure: Structure
    analysis: Analysis
    name: str | None = None
    source_text: str | None = None
    source_format: str | None = None
    source_name: str | None = None
    source_sha256: str | None = None
    extra: dict[str, Any] | None = None
    origin: Literal["upload", "relaxed", "snapshot"] = "upload"
    parent_id: UUID | None = None


@dataclass(frozen=True, slots=True)
class Imported:
    """The row that now holds a candidate, and whether this import made it."""

    id: UUID
    is_new: bool


def read_candidates(path: Path) -> list[Candidate]:
    """Read and analyse every structure of a file; raises a NanoError naming the cause."""
    return [
        Candidate(
            structure=parsed.structure,
            analysis=analyse(parsed.structure),
            name=parsed.name,
            source_text=parsed.source_text,
            source_format=parsed.source_format,
            source_name=path.name,
            source_sha256=parsed.source_sha256,
            extra=parsed.extra,
        )
        for parsed in read(path)
    ]


async def import_(
    session: AsyncSession,
    candidates: Sequence[Candidate],
    *,
    owner: User,
    visibility: str = "private",
) -> list[Imported]:
    """Bring the candidates in and return, in their order, the row that holds each.

    A candidate whose fingerprint its scope holds already (or that stands twice
    among the candidates) is not stored again.
    """
    await session.execute(text(_CREATE_INCOMING))
    await session.execute(text("TRUNCATE incoming"))
    records = [
        (place, owner.id, visibility, *_values(candidate))
        for place, candidate in enumerate(candidates)
    ]
    raw = await (await session.connection()).get_raw_connection()
    connection = raw.driver_connection
    assert isinstance(connection, asyncpg.Connection)  # noqa: S101 - api.db's only driver
    await connection.copy_records_to_table("incoming", records=records, columns=list(_INCOMING))
    await session.execute(text(_INSERT_MATERIALS))
    await session.execute(text(_INSERT_STRUCTURES))
    rows = await session.execute(text(_SELECT_IMPORTED))
    return [Imported(row.id, row.is_new) for row in rows]


def _values(candidate: Candidate) -> Iterator[Any]:
    """Yield what a candidate brings, in the order of the columns."""
    structure, analysis = candidate.structure, candidate.analysis
    strict, loose = analysis.space_group_strict, analysis.space_group_loose
    extra = candidate.extra or {}
    values = {
        "id": uuid7(),
        "material_id": uuid7(),
        "reduced_formula": analysis.reduced_formula,
        "anonymous_formula": analysis.anonymous_formula,
        "hill_formula": analysis.hill_formula or _hill_of_proportions(structure),
        "chemical_system": analysis.chemical_system,
        "elements": list(analysis.elements),
        "material_name": extra.get("mineral"),
        "source": extra.get("database"),
        "external_id": extra.get("database_code"),
        "licence": extra.get("licence"),
        "name": candidate.name,
        "lattice_a": None if structure.lattice_a is None else structure.lattice_a.tolist(),
        "positions_a": structure.positions_a.tolist(),
        "species": canonical_json([_species(s) for s in structure.species]),
        "species_at_sites": list(structure.species_at_sites),
        "dimension_types": [int(direction) for direction in structure.periodic],
        "number_of_sites": analysis.n_sites,
        "number_of_elements": len(analysis.elements),
        "number_of_periodic_dimensions": analysis.n_periodic,
        "is_ordered": analysis.is_ordered,
        "volume_a3": analysis.volume_a3,
        "density_g_per_cm3": analysis.density_g_per_cm3,
        "space_group_number_at_0_01": strict and strict.number,
        "space_group_symbol_at_0_01": strict and strict.symbol,
        "space_group_number_at_0_1": loose and loose.number,
        "space_group_symbol_at_0_1": loose and loose.symbol,
        "symmetry_engine": loose and f"{loose.engine} {loose.engine_version}",
        "fingerprint": analysis.fingerprint,
        "fingerprint_version": analysis.fingerprint_version,
        "origin": candidate.origin,
        "parent_id": candidate.parent_id,
        "source_text": candidate.source_text,
        "source_format": candidate.source_format,
        "source_name": candidate.source_name,
        "source_sha256": candidate.source_sha256,
        "extra": canonical_json(extra),
    }
    return (values[column] for column in _MATERIAL_COLUMNS | _STRUCTURE_COLUMNS)


def _species(species: Any) -> dict[str, Any]:
    return {
        "name": species.name,
        "chemical_symbols": list(species.chemical_symbols),
        "concentration": list(species.concentration),
    }


def _hill_of_proportions(structure: Structure) -> str | None:
    """Return the Hill formula of the approximate formula unit that occupancies amount to."""
    unit = formula.proportions(structure.composition)
    return formula.hill(dict(unit), molecule=False)


_STRUCTURE_COLUMNS = {
    "id": "uuid",
    "name": "text",
    "lattice_a": "float8[]",
    "positions_a": "float8[]",
    "species": "jsonb",
    "species_at_sites": "text[]",
    "dimension_types": "smallint[]",
    "number_of_sites": "int",
    "elements": "text[]",
    "number_of_elements": "smallint",
    "chemical_system": "text",
    "reduced_formula": "text",
    "anonymous_formula": "text",
    "number_of_periodic_dimensions": "smallint",
    "is_ordered": "boolean",
    "volume_a3": "float8",
    "density_g_per_cm3": "float8",
    "space_group_number_at_0_01": "smallint",
    "space_group_symbol_at_0_01": "text",
    "space_group_number_at_0_1": "smallint",
    "space_group_symbol_at_0_1": "text",
    "symmetry_engine": "text",
    "fingerprint": "text",
    "fingerprint_version": "smallint",
    "origin": "text",
    "parent_id": "uuid",
    "source_text": "text",
    "source_format": "text",
    "source_name": "text",
    "source_sha256": "text",
    "source": "text",
    "external_id": "text",
    "licence": "text",
    "extra": "jsonb",
}
_MATERIAL_COLUMNS = {
    "material_id": "uuid",
    "material_name": "text",
    "reduced_formula": "text",
    "anonymous_formula": "text",
    "hill_formula": "text",
    "chemical_system": "text",
    "elements": "text[]",
    "source": "text",
    "external_id": "text",
}
_INCOMING = (
    {"place": "int", "owner_id": "uuid", "visibility": "text"}
    | _MATERIAL_COLUMNS
    | _STRUCTURE_COLUMNS
)

_CREATE_INCOMING = f"""
CREATE TEMPORARY TABLE IF NOT EXISTS incoming (
    {", ".join(f"{name} {type_}" for name, type_ in _INCOMING.items())},
    scope_key text GENERATED ALWAYS AS (
        CASE WHEN visibility = 'public' THEN 'public' ELSE owner_id::text END) STORED
) ON COMMIT DROP
"""

_INSERT_MATERIALS = """
INSERT INTO materials (id, name, reduced_formula, anonymous_formula, hill_formula,
                       chemical_system, elements, space_group_number, source, external_id,
                       owner_id, visibility)
SELECT DISTINCT ON (hill_formula, space_group_number_at_0_1)
       material_id, material_name, reduced_formula, anonymous_formula, hill_formula,
       chemical_system, elements, space_group_number_at_0_1, source, external_id,
       owner_id, visibility
FROM incoming
ORDER BY hill_formula, space_group_number_at_0_1, place
ON CONFLICT (scope_key, hill_formula, space_group_number) DO NOTHING
"""

_INSERT_STRUCTURES = f"""
INSERT INTO structures (material_id, owner_id, visibility, {", ".join(_STRUCTURE_COLUMNS)})
SELECT DISTINCT ON (i.fingerprint)
       m.id, i.owner_id, i.visibility, {", ".join(f"i.{name}" for name in _STRUCTURE_COLUMNS)}
FROM incoming i
JOIN materials m
  ON m.scope_key = i.scope_key
 AND m.hill_formula = i.hill_formula
 AND m.space_group_number IS NOT DISTINCT FROM i.space_group_number_at_0_1
ORDER BY i.fingerprint, i.place
ON CONFLICT (scope_key, fingerprint) DO NOTHING
"""  # noqa: S608 - only our own column names are put in

_SELECT_IMPORTED = """
SELECT s.id, s.id = i.id AS is_new
FROM incoming i
JOIN structures s ON s.scope_key = i.scope_key AND s.fingerprint = i.fingerprint
ORDER BY i.place
"""
