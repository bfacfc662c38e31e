"""Structures analysed again: rows that an older program derived, in batches.

An analysis that finds another formula unit or space group moves the structure to another
material. The fingerprint stays what it was. Columns that an older program did not fill from what
the source said are filled.
"""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from sqlalchemy import Select, func, select, text
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict
from api.models import Structure, User
from api.services import citations, copying, materials
from api.services.structure_rows import DERIVED, DERIVED_COLUMNS, Again, Derived
from api.services.structures import to_atoms
from nanoos.structures import ANALYSIS_VERSION

LIMIT = 10_000
"""Waiting structures are counted up to this number."""


async def n_waiting(session: AsyncSession, owner: User) -> int:
    """Return how many structures of the owner an older program analysed, at most `LIMIT`."""
    older = _chosen(owner, every=False).with_only_columns(Structure.id).limit(LIMIT)
    return await session.scalar(select(func.count()).select_from(older.subquery())) or 0


async def count(session: AsyncSession, owner: User, *, every: bool = False) -> int:
    """Return how many structures there are to analyse again; see `batch`."""
    chosen = _chosen(owner, every=every).with_only_columns(func.count())
    return await session.scalar(chosen) or 0


async def batch(
    session: AsyncSession, owner: User, after: UUID, limit: int, *, every: bool = False
) -> list[Again]:
    """Return the next structures after an id: those analysed by an older program, or ``every``.

    They are the owner's.
    """
    chosen = _chosen(owner, every=every).where(Structure.id > after)
    rows = await session.scalars(chosen.order_by(Structure.id).limit(limit))
    return [Again(row.id, to_atoms(row)) for row in rows]


def _chosen(owner: User, *, every: bool) -> Select[Structure]:
    chosen = select(Structure)
    if not every:
        chosen = chosen.where(Structure.analysis_version < ANALYSIS_VERSION)
    return chosen.where(Structure.owner_id == owner.id)


async def store_(session: AsyncSession, found: Sequence[Derived]) -> None:
    """Store what was derived of structures, and drop materials that are left without any.

    Nobody publishes or deletes them meanwhile. Raises Conflict where a material or citation that
    one is to refer to was dropped; trying again helps.
    """
    rows = [one.fields for one in sorted(found)]
    await copying.fill(session, "derived", DERIVED_COLUMNS, rows)
    present = (await session.scalars(text(_LOCK))).all()
    left = list(await session.scalars(text(_MATERIALS_LEFT)))
    await session.execute(text(_INSERT_CITATIONS))
    await session.execute(text(_INSERT_MATERIALS))
    are_cited = (await session.scalars(text(_UPDATE))).all()
    if len(are_cited) < len(present) or not all(are_cited):
        raise Conflict("A material or citation was deleted while structures were analysed again.")
    if left:
        await materials.drop_emptied(session, left)


_KEPT = {"fingerprint", "fingerprint_version"}

_SAME_MATERIAL = """
    m.hill_formula = d.hill_formula
    AND m.space_group_number IS NOT DISTINCT FROM d.space_group_number_at_0_1
"""

_LOCK = """
SELECT s.id FROM structures s JOIN derived d ON d.id = s.id
ORDER BY s.id FOR NO KEY UPDATE OF s
"""

_MATERIALS_LEFT = f"""
SELECT DISTINCT m.id FROM derived d
JOIN structures s ON s.id = d.id
JOIN materials m ON m.id = s.material_id
WHERE NOT ({_SAME_MATERIAL})
"""  # noqa: S608 - only our own condition is put in

_INSERT_CITATIONS = citations.insert(
    "(SELECT s.extra FROM derived d JOIN structures s ON s.id = d.id"
    " WHERE s.citation_id IS NULL) AS uncited"
)

_INSERT_MATERIALS = """
INSERT INTO materials (id, name, reduced_formula, anonymous_formula, hill_formula,
                       chemical_system, elements, space_group_number, source, external_id,
                       owner_id, visibility)
SELECT DISTINCT ON (s.scope_key, d.hill_formula, d.space_group_number_at_0_1)
       d.material_id, m.name, d.reduced_formula, d.anonymous_formula, d.hill_formula,
       d.chemical_system, d.elements, d.space_group_number_at_0_1, m.source, m.external_id,
       s.owner_id, s.visibility
FROM derived d
JOIN structures s ON s.id = d.id
JOIN materials m ON m.id = s.material_id
ORDER BY s.scope_key, d.hill_formula, d.space_group_number_at_0_1, s.id
ON CONFLICT (scope_key, hill_formula, space_group_number) DO NOTHING
"""

# As revision 004_fill_what_structures_are_searched_by, but blanks are nothing.
_SAID = "nullif(btrim(s.extra ->> '{}'), '')"

_UPDATE = f"""
UPDATE structures s
SET material_id = m.id, updated_at = now(),
    source = coalesce(s.source, {_SAID.format("database")}),
    external_id = coalesce(s.external_id, {_SAID.format("database_code")}),
    licence = coalesce(s.licence, {_SAID.format("licence")}),
    citation_id = coalesce(s.citation_id, (
        SELECT id FROM citations
        WHERE {citations.there_is_one("s.extra")} AND digest = {citations.digest("s.extra")})),
    {", ".join(f"{name} = d.{name}" for name in DERIVED if name not in _KEPT)}
FROM derived d, materials m
WHERE s.id = d.id AND m.scope_key = s.scope_key AND {_SAME_MATERIAL}
RETURNING {citations.is_named("s")}
"""  # noqa: S608 - only our own column names and conditions are put in
