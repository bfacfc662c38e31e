"""Curation: tags, and what becomes public. Of their own structures only, all or none."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from sqlalchemy import text
from sqlalchemy.exc import IntegrityError
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict, WrongUsage
from api.models import User
from api.schemas.curation import PublishReport, TagReport, Twin
from api.schemas.search import Query
from api.services import materials, owned, tags
from api.services.licences import licence as spdx


async def tag(
    session: AsyncSession,
    query: Query,
    owner: User,
    *,
    add: Iterable[str] = (),
    remove: Iterable[str] = (),
) -> TagReport:
    """Add tags to the owner's structures that the query finds, and remove others.

    Raises NotAllowed, NotFound and WrongUsage.
    """
    added, removed = sorted(set(add)), sorted(set(remove))
    _check_tags(added, removed)
    ids = await owned.ids_of(session, query, owner, lock=True)
    changed = await session.scalars(text(_TAG), {"ids": ids, "added": added, "removed": removed})
    n_changed = len(changed.all())
    return TagReport(changed=n_changed, existing=len(ids) - n_changed)


def _check_tags(added: list[str], removed: list[str]) -> None:
    if not added and not removed:
        raise WrongUsage("Say which tags to add or to remove.")
    if both := set(added) & set(removed):
        raise WrongUsage(f"The tag {min(both)} cannot be both added and removed.")
    tags.check(added)


async def publish(
    session: AsyncSession,
    query: Query,
    owner: User,
    *,
    licence: str | None = None,
    dry_run: bool = False,
) -> PublishReport:
    """Let everyone read the owner's structures that the query finds.

    ``licence`` holds for those that state none. A structure whose content is public already
    stays private and is reported. With ``dry_run`` nothing is changed.

    Raises Conflict, NotAllowed, NotFound, and WrongUsage where a licence is missing or unknown.
    """
    licence = licence and spdx(licence)
    ids = await owned.ids_of(session, query, owner, lock=not dry_run)
    rows = (await session.execute(text(_CANDIDATES), {"ids": ids})).all()
    twins = [Twin(id=row.id, public_id=row.public_id) for row in rows if row.public_id]
    chosen = [row for row in rows if not row.public_id]
    if licence is None and (bare := [row.id for row in chosen if not row.is_licensed]):
        raise WrongUsage(
            f"{owned.listed(bare)} states no licence, which a public structure needs. "
            "Give one with --licence; nothing was published."
        )
    if chosen and not dry_run:
        await _publish(session, [row.id for row in chosen], licence)
    return PublishReport(published=len(chosen), existing=len(ids) - len(rows), twins=twins)


async def _publish(session: AsyncSession, ids: list[UUID], licence: str | None) -> None:
    left = list(await session.scalars(text(_MATERIALS_OF), {"ids": ids}))
    try:
        async with session.begin_nested():
            await session.execute(text(_PUBLIC_MATERIALS), {"ids": ids})
            await session.execute(text(_PUBLISH), {"ids": ids, "licence": licence})
    except IntegrityError as error:
        raise Conflict(
            "Somebody published the same content meanwhile; nothing was published. Try again."
        ) from error
    await materials.drop_emptied(session, left)


_TAG = """
UPDATE structures SET tags = wanted.tags, updated_at = now()
FROM (SELECT id, ARRAY(
          SELECT DISTINCT tag FROM unnest(tags || CAST(:added AS text[])) AS tag
          WHERE tag <> ALL (CAST(:removed AS text[])) ORDER BY tag) AS tags
      FROM structures WHERE id = ANY(CAST(:ids AS uuid[]))) AS wanted
WHERE wanted.id = structures.id AND wanted.tags <> structures.tags
RETURNING structures.id
"""

_CANDIDATES = """
SELECT mine.id, nullif(btrim(mine.licence), '') IS NOT NULL AS is_licensed, public.id AS public_id
FROM structures AS mine
LEFT JOIN structures AS public
  ON public.scope_key = 'public' AND public.fingerprint = mine.fingerprint
WHERE mine.id = ANY(CAST(:ids AS uuid[])) AND mine.visibility <> 'public'
ORDER BY mine.id
"""

_MATERIALS_OF = """
SELECT DISTINCT material_id FROM structures WHERE id = ANY(CAST(:ids AS uuid[]))
"""

_PUBLIC_MATERIALS = """
INSERT INTO materials (name, reduced_formula, anonymous_formula, hill_formula, chemical_system,
                       elements, space_group_number, source, external_id, owner_id, visibility)
SELECT DISTINCT ON (m.hill_formula, m.space_group_number)
       CASE WHEN jsonb_typeof(s.extra -> 'mineral') = 'string' THEN s.extra ->> 'mineral' END,
       m.reduced_formula, m.anonymous_formula, m.hill_formula, m.chemical_system,
       m.elements, m.space_group_number, s.source, s.external_id, s.owner_id, 'public'
FROM structures s JOIN materials m ON m.id = s.material_id
WHERE s.id = ANY(CAST(:ids AS uuid[]))
ORDER BY m.hill_formula, m.space_group_number, s.id
ON CONFLICT (scope_key, hill_formula, space_group_number)
DO UPDATE SET updated_at = materials.updated_at
"""
# What is said of a private material may come from a structure that stays private. The update
# changes nothing: it keeps a public material from being dropped before it is referred to.

_PUBLISH = """
UPDATE structures
SET visibility = 'public',
    licence = coalesce(nullif(btrim(structures.licence), ''), CAST(:licence AS text)),
    material_id = public.id, updated_at = now()
FROM materials AS private, materials AS public
WHERE structures.id = ANY(CAST(:ids AS uuid[])) AND private.id = structures.material_id
AND public.scope_key = 'public' AND public.hill_formula = private.hill_formula
AND public.space_group_number IS NOT DISTINCT FROM private.space_group_number
"""
