"""Tags: the words under which people file structures."""

from __future__ import annotations

from collections.abc import Iterable

from api.errors import WrongUsage


def check(tags: Iterable[str]) -> None:
    """Raise WrongUsage where one of these is no tag."""
    for name in tags:
        if not name or name != name.strip() or "," in name or not name.isprintable():
            raise WrongUsage(
                f"{name!r} is no tag: it needs some text, without commas, line breaks or spaces "
                "around it."
            )
