"""Import of structures: COPY into a temporary table, then set-based inserts.

What is there already is decided by the unique constraints, not by a prior
SELECT, so any number of imports may run at once. All insert into one table
after another, each in the order of its unique key: they wait for each other,
never in a circle.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict
from api.models import User
from api.services import citations, copying
from api.services.copy_format import integer
from api.services.structure_rows import COLUMNS, STRUCTURE_COLUMNS, Candidate, Row, row

__all__ = ["Candidate", "Found", "Imported", "Terms", "import_", "store_"]


@dataclass(frozen=True, slots=True)
class Imported:
    """The row that now holds a candidate, and whether this import made it."""

    id: UUID
    is_new: bool


class Found(NamedTuple):
    """A row, and the name and number of the file that it was found in; None if of no file."""

    row: Row
    name: str | None = None
    number: int = 0


@dataclass(frozen=True, slots=True)
class Terms:
    """Whose the new structures are, and what is said of those whose source does not say it."""

    owner_id: UUID
    visibility: str = "private"
    licence: str | None = None
    source: str | None = None
    tags: tuple[str, ...] = ()

    def refuse(self, row: Row) -> str | None:
        """Return why a row may not come in on these terms, None if it may."""
        if self.visibility == "public" and self.licence is None and not row.is_licensed:
            return "It states no licence, which a public structure needs: give one (--licence)."
        return None

    @property
    def scope_key(self) -> str:
        """The scope in which the structures are unique; see `api.models.base.Owned`."""
        return "public" if self.visibility == "public" else str(self.owner_id)


async def import_(
    session: AsyncSession,
    candidates: Sequence[Candidate],
    *,
    owner: User,
    visibility: str = "private",
) -> list[Imported]:
    """Bring the candidates in and return, in their order, the row that holds each.

    A candidate whose fingerprint its scope holds already (or that stands twice
    among the candidates, or that its owner has made public) is not stored again.
    """
    found = [Found(row(candidate)) for candidate in candidates]
    return await store_(session, found, Terms(owner.id, visibility))


async def store_(session: AsyncSession, found: Sequence[Found], terms: Terms) -> list[Imported]:
    """Store rows, and in which files they were found; return, in their order, what holds each.

    Raises Conflict where a structure was published meanwhile, or it or what it refers to was
    deleted; trying again helps.
    """
    if not found:
        return []
    distinct: dict[str, Row] = {}
    for one in found:
        distinct.setdefault(one.row.fingerprint, one.row)
    places = {fingerprint: integer(place) for place, fingerprint in enumerate(distinct)}
    rows = (places[fingerprint] + distinct[fingerprint].fields for fingerprint in sorted(distinct))
    await copying.fill(session, "incoming", _INCOMING, rows)
    said = {
        "owner_id": terms.owner_id,
        "visibility": terms.visibility,
        "scope_key": terms.scope_key,
        "licence": terms.licence,
        "source": terms.source,
        "tags": list(terms.tags),
        "fingerprints": list(distinct),
    }
    for statement in (_LEAVE_OUT, _INSERT_CITATIONS, _INSERT_MATERIALS):
        await session.execute(text(statement), said)
    if not all(await session.scalars(text(_INSERT_STRUCTURES), said)):
        raise Conflict("The citation of a structure was deleted while it was imported.")
    ids = await _ids(session, distinct, terms)
    await _store_sources(session, found, ids)
    imported = []
    for one in found:
        id_ = ids[one.row.fingerprint]
        first = distinct[one.row.fingerprint] is one.row
        imported.append(Imported(id_, is_new=first and id_.bytes == one.row.id))
    return imported


async def _ids(session: AsyncSession, distinct: dict[str, Row], terms: Terms) -> dict[str, UUID]:
    rows = await session.execute(
        text(_SELECT_IDS),
        {
            "scope_key": terms.scope_key,
            "owner_id": terms.owner_id,
            "fingerprints": list(distinct),
        },
    )
    ids: dict[str, UUID] = {}
    for fingerprint, id_ in rows:
        if fingerprint in ids and id_.bytes == distinct[fingerprint].id:
            raise Conflict("A structure was published while it was imported.")
        ids[fingerprint] = id_
    if len(ids) < len(distinct):
        raise Conflict("A structure, or its material, was deleted while it was imported.")
    return ids


async def _store_sources(
    session: AsyncSession, found: Sequence[Found], ids: dict[str, UUID]
) -> None:
    """Note in which places of which files the structures stand."""
    places: dict[tuple[Any, ...], tuple[str | None, bool]] = {}
    for one, name, _ in found:
        if name is not None and one.sha256 is not None:
            place = (ids[one.fingerprint], one.sha256, one.place, name)
            places[place] = (one.format, one.is_last)
    if places:
        columns = [list(column) for column in zip(*sorted(places), strict=True)]
        of_places = [list(c) for c in zip(*(places[p] for p in sorted(places)), strict=True)]
        names = ("structure_ids", "sha256s", "places", "names", "formats", "are_last")
        await session.execute(
            text(_INSERT_SOURCES), dict(zip(names, columns + of_places, strict=True))
        )


_INCOMING = {"place": "int"} | COLUMNS

# What its owner has published has no private twin; `_ids` looks again, as the insertion may wait
# for who publishes just now. The fingerprints are named once more because
# a join would read all that is public: nothing is known of how few rows the temporary table has.
_LEAVE_OUT = """
DELETE FROM incoming WHERE fingerprint IN (
    SELECT fingerprint FROM structures
    WHERE scope_key = 'public' AND fingerprint = ANY(CAST(:fingerprints AS text[]))
    AND owner_id = CAST(:owner_id AS uuid))
"""

_INSERT_CITATIONS = citations.insert("incoming")

_INSERT_MATERIALS = """
INSERT INTO materials (id, name, reduced_formula, anonymous_formula, hill_formula,
                       chemical_system, elements, space_group_number, source, external_id,
                       owner_id, visibility)
SELECT DISTINCT ON (hill_formula, space_group_number_at_0_1)
       material_id, material_name, reduced_formula, anonymous_formula, hill_formula,
       chemical_system, elements, space_group_number_at_0_1,
       coalesce(source, CAST(:source AS text)), external_id,
       CAST(:owner_id AS uuid), CAST(:visibility AS text)
FROM incoming
ORDER BY hill_formula, space_group_number_at_0_1, place
ON CONFLICT (scope_key, hill_formula, space_group_number) DO NOTHING
"""

_TAKEN = [name for name in STRUCTURE_COLUMNS if name not in {"source", "licence"}]

_INSERT_STRUCTURES = f"""
INSERT INTO structures (material_id, citation_id, owner_id, visibility, source, licence, tags,
                        {", ".join(_TAKEN)})
SELECT m.id, c.id, CAST(:owner_id AS uuid), CAST(:visibility AS text),
       coalesce(i.source, CAST(:source AS text)), coalesce(i.licence, CAST(:licence AS text)),
       CAST(:tags AS text[]), {", ".join(f"i.{name}" for name in _TAKEN)}
FROM incoming i
JOIN materials m
  ON m.scope_key = CAST(:scope_key AS text)
 AND m.hill_formula = i.hill_formula
 AND m.space_group_number IS NOT DISTINCT FROM i.space_group_number_at_0_1
LEFT JOIN citations c
  ON {citations.there_is_one("i.extra")}
 AND c.digest = {citations.digest("i.extra")}
ORDER BY i.fingerprint
ON CONFLICT (scope_key, fingerprint) DO NOTHING
RETURNING {citations.is_named("structures")}
"""  # noqa: S608 - only our own column names and expressions are put in

_SELECT_IDS = """
SELECT fingerprint, id FROM structures
WHERE scope_key IN (:scope_key, 'public')
AND fingerprint = ANY(CAST(:fingerprints AS text[]))
AND (scope_key = :scope_key OR owner_id = CAST(:owner_id AS uuid))
ORDER BY scope_key = :scope_key
"""

_INSERT_SOURCES = """
INSERT INTO structure_sources (structure_id, sha256, place, name, format, is_last)
SELECT * FROM unnest(CAST(:structure_ids AS uuid[]), CAST(:sha256s AS text[]),
                     CAST(:places AS int[]), CAST(:names AS text[]),
                     CAST(:formats AS text[]), CAST(:are_last AS boolean[]))
ON CONFLICT (structure_id, sha256, place, name) DO UPDATE
SET is_last = structure_sources.is_last OR excluded.is_last, format = excluded.format
WHERE (excluded.is_last AND NOT structure_sources.is_last)
OR structure_sources.format IS DISTINCT FROM excluded.format
"""
