"""Files whose structures are all stored: recognised by their content, not read again."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path, PurePosixPath

from sqlalchemy import text
from sqlalchemy.ext.asyncio import AsyncSession

from nanoos.parsers import Source


def known_as(source: Source) -> str:
    """Return the name that is stored: the file's, with its folder's or archive's before it.

    Where the folders lie on this machine is nobody's business.
    """
    parts = PurePosixPath(source.name).parts
    if source.path is not None and not source.temporary:
        return str(PurePosixPath(*parts[-2:]))
    for n in range(1, len(parts)):
        if Path(*parts[:n]).is_file():  # the archive
            return str(PurePosixPath(*parts[n - 1 :]))
    return source.name


async def there_are_any(session: AsyncSession, scope_key: str) -> bool:
    """Return whether any structure of the scope was found in a file."""
    return bool(await session.scalar(text(_ANY), {"scope_key": scope_key}))


async def recognise(
    session: AsyncSession,
    files: Sequence[tuple[str, str]],
    scope_key: str,
    format_: str | None = None,
) -> dict[str, int]:
    """Return the number of structures of each file (sha256, name) that the scope holds completely.

    That the file also has this name is noted. A file with a structure that could not be
    stored is not held completely, nor one that was read as another format than ``format_``.
    """
    said = {"scope_key": scope_key, "format": format_}
    found = await session.execute(text(_COMPLETE), said | {"sha256s": [sha for sha, _ in files]})
    known = {row.sha256: row.n_structures for row in found}
    named = sorted({(sha, name) for sha, name in files if sha in known})
    if named:
        await session.execute(
            text(_NAME),
            said | {"sha256s": [sha for sha, _ in named], "names": [name for _, name in named]},
        )
    return known


_ANY = """
SELECT true FROM structure_sources JOIN structures ON structures.id = structure_id
WHERE scope_key = :scope_key LIMIT 1
"""

_AS_FORMAT = "(CAST(:format AS text) IS NULL OR {}.format = CAST(:format AS text))"

_COMPLETE = f"""
SELECT sha256, count(DISTINCT place) AS n_structures
FROM structure_sources JOIN structures ON structures.id = structure_id
WHERE sha256 = ANY(CAST(:sha256s AS text[])) AND scope_key = :scope_key
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
JOIN structures ON structures.id = known.structure_id AND scope_key = :scope_key
GROUP BY known.structure_id, known.sha256, known.place, named.name
ORDER BY 1, 2, 3, 4
ON CONFLICT (structure_id, sha256, place, name) DO NOTHING
"""  # noqa: S608 - only our own condition is put in
