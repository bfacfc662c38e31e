"""Files whose structures are all stored: recognised by their content, not read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath
from typing import Any

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from api.services.structure_import import Terms
from nanoos.parsers import Source


def known_as(source: Source) -> str:
    """Return the name that is stored: the file's, with its folder's or archive's before it.

    Where the folders lie on this machine is nobody's business.
    """
    if source.path is not None and not source.temporary:
        return "/".join(source.name.split("/")[-2:])  # a tenth of the time that paths take
    parts = PurePosixPath(source.name).parts
    for n in range(1, len(parts)):
        if Path(*parts[:n]).is_file():  # the archive
            return str(PurePosixPath(*parts[n - 1 :]))
    return source.name


async def there_are_any(session: AsyncSession, terms: Terms) -> bool:
    """Return whether any structure of the scope, or that the owner published, is of a file."""
    return bool(await session.scalar(text(_ANY), _whose(terms)))


async def recognise(
    session: AsyncSession,
    files: Sequence[tuple[str, str]],
    terms: Terms,
    format_: str | None = None,
) -> dict[str, int]:
    """Return the number of structures of each file (sha256, name) that the scope holds completely.

    What the owner published counts in the owner's scope, too. That the file also has this name
    is noted. A file with a structure that could not be stored is not held completely, nor one
    that was read as another format than ``format_``.
    """
    said = _whose(terms) | {"format": format_}
    found = await session.execute(text(_COMPLETE), said | {"sha256s": [sha for sha, _ in files]})
    known = {row.sha256: row.n_structures for row in found}
    named = sorted({(sha, name) for sha, name in files if sha in known})
    if named:
        await session.execute(
            text(_NAME),
            said | {"sha256s": [sha for sha, _ in named], "names": [name for _, name in named]},
        )
    return known


def _whose(terms: Terms) -> dict[str, Any]:
    return {"scope_key": terms.scope_key, "owner_id": terms.owner_id}


_IN_SCOPE = """(scope_key = :scope_key
    OR (scope_key = 'public' AND owner_id = CAST(:owner_id AS uuid)))"""

_ANY = f"""
SELECT true FROM structure_sources JOIN structures ON structures.id = structure_id
WHERE {_IN_SCOPE} LIMIT 1
"""  # noqa: S608 - only our own condition is put in

_AS_FORMAT = "(CAST(:format AS text) IS NULL OR {}.format = CAST(:format AS text))"

_COMPLETE = f"""
SELECT sha256, count(DISTINCT place) AS n_structures
FROM structure_sources JOIN structures ON structures.id = structure_id
WHERE sha256 = ANY(CAST(:sha256s AS text[])) AND {_IN_SCOPE}
AND {_AS_FORMAT.format("structure_sources")}
GROUP BY sha256
HAVING count(DISTINCT place) = max(place) FILTER (WHERE is_last)
"""  # noqa: S608 - only our own condition is put in

_NAME = f"""
INSERT INTO structure_sources (structure_id, sha256, place, name, format, is_last)
SELECT known.structure_id, known.sha256, known.place, named.name, min(known.format),
       bool_or(known.is_last)
FROM unnest(CAST(:sha256s AS text[]), CAST(:names AS text[])) AS named (sha256, name)
JOIN structure_sources known ON known.sha256 = named.sha256 AND {_AS_FORMAT.format("known")}
JOIN structures ON structures.id = known.structure_id AND {_IN_SCOPE}
GROUP BY known.structure_id, known.sha256, known.place, named.name
ORDER BY 1, 2, 3, 4
ON CONFLICT (structure_id, sha256, place, name) DO NOTHING
"""  # noqa: S608 - only our own condition is put in
