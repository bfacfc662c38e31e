"""Revision ids that people can read and order: ``NNN_slug``."""

from __future__ import annotations

import re
from collections.abc import Iterable

from alembic.script import ScriptDirectory

SLUG_LENGTH = 40


def next_id(script: ScriptDirectory, message: str | None) -> str:
    """Return the id of a new revision: the next free number, and the slug of ``message``.

    Two branches may use one number; their slugs keep the ids apart.
    """
    number = max(_numbers(revision.revision for revision in script.walk_revisions()), default=0) + 1
    return "_".join(part for part in (f"{number:03d}", slug(message or "")) if part)


def slug(message: str) -> str:
    """Return ``message`` in lower case with ``_`` between words, cut at a word to 40 letters."""
    text = "_".join(re.findall(r"\w+", message.lower()))
    if len(text) <= SLUG_LENGTH:
        return text
    words = text[: SLUG_LENGTH + 1].rpartition("_")[0]
    return words or text[:SLUG_LENGTH]


def _numbers(ids: Iterable[str]) -> Iterable[int]:
    return (int(found[1]) for found in (re.match(r"(\d{3,})(?:_|$)", id_) for id_ in ids) if found)
