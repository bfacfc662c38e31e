"""The items of a CIF block by tag, in whichever of the dialects they are written."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cached_property
from typing import cast

from gemmi.cif import Block, Item, Loop, as_string, is_null


class Items:
    """Tags and values of a block.

    Tags are asked for as the core dictionary spells them (``_atom_site_fract_x``). They are
    found in any case, and with the dot of DDLm and mmCIF (``_atom_site.fract_x``). Values are
    as the file has them, quotes included.
    """

    def __init__(self, block: Block) -> None:
        self._block = block
        self.name = block.name
        self._found: dict[str, tuple[Item, str | _Table, int]] = {}
        for item in cast(Iterable[Item], block):
            if item.pair is not None:
                tag, value = cast(Iterable[str], item.pair)
                self._found.setdefault(_key(tag), (item, value, 0))
            elif item.loop is not None:
                table = _Table(item.loop)
                for column, tag in enumerate(table.tags):
                    self._found.setdefault(_key(tag), (item, table, column))

    def __contains__(self, tag: str) -> bool:
        return _key(tag) in self._found

    @property
    def tags(self) -> list[str]:
        """Every tag, in lower case and without the dot."""
        return list(self._found)

    def column(self, tag: str) -> list[str]:
        """Return the values of a tag: none, one, or those of a loop."""
        found = self._found.get(_key(tag))
        if found is None:
            return []
        _, table, column = found
        if isinstance(table, str):
            return [table]
        return table.values[column :: len(table.tags)]

    def text(self, *tags: str) -> str | None:
        """Return the first value that says something, unquoted and stripped."""
        for tag in tags:
            for value in self.column(tag):
                if not is_null(value) and (text := as_string(value).strip()):
                    return text
        return None

    def line(self, tag: str) -> int | None:
        """Return the line on which the tag, or its loop, begins."""
        found = self._found.get(_key(tag))
        return found[0].line_number if found else None

    def written(self) -> str:
        """Return the block as CIF."""
        return self._block.as_string()


class _Table:
    """A loop, its values fetched once."""

    def __init__(self, loop: Loop) -> None:
        self._loop = loop
        self.tags = loop.tags

    @cached_property
    def values(self) -> list[str]:
        return list(self._loop.values)


def _key(tag: str) -> str:
    return tag.lower().replace(".", "_", 1)
