"""What a search found, in a notebook: fetched when it is asked for, a page at a time."""

from __future__ import annotations

import warnings
from collections.abc import Awaitable, Callable, Iterator
from html import escape
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Any
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api import export
from api.errors import NotFound, WrongUsage
from api.notebook.background import Background
from api.notebook.entry import Entry
from api.schemas.search import Page, Query, Sort, StructureRow
from api.services import records, search
from nanoos.structures import Structure
from nanoos.writers import Record

if TYPE_CHECKING:
    import pandas
    from ase import Atoms

    from api.models import User

PAGE = 500
"""Structures that are fetched at a time."""
_SHOWN = 10
_HEADINGS = ("reduced_formula", "space_group_symbol_at_0_1", "number_of_sites", "volume_a3", "name")


class Found:
    """The structures that a search finds; ask it again, and it looks again.

    >>> found = db.search(elements=["O", "Si"], density_g_per_cm3=(2.0, 3.0))
    >>> found.count
    1
    >>> [entry["name"] for entry in found]
    ['Quartz']
    """

    def __init__(
        self, background: Background, query: Query, sort: Sort | None, limit: int | None
    ) -> None:
        self._background = background
        self._query = query
        self._sort = sort
        self._limit = limit

    @property
    def count(self) -> int:
        """How many there are: exact up to some thousands, beyond that estimated."""
        found = self._background.run(lambda session, _: search.count(session, self._query))
        return found.number if self._limit is None else min(found.number, self._limit)

    def __iter__(self) -> Iterator[Entry]:
        """Yield each structure with all that is known of it; memory holds a page."""
        for page in self._pages():
            ids = tuple(row.id for row in page)
            yield from map(Entry, self._background.run(_fetch(ids)))

    def first(self) -> Entry:
        """Return the first. Raises NotFound where there is none."""
        for entry in Found(self._background, self._query, self._sort, 1):
            return entry
        raise NotFound("The search finds no structure.")

    def atoms(self) -> Iterator[Atoms]:
        """Yield ASE's Atoms; ``info`` names each structure.

        Disordered structures, which Atoms cannot hold, are left out with a warning at the end;
        a search with ``is_ordered=True`` does not find them.
        """
        left_out = 0
        for entry in self:
            if entry.structure.is_ordered:
                yield entry.atoms
            else:
                left_out += 1
        if left_out:
            warnings.warn(
                f"{left_out} disordered structures were left out: ASE's Atoms hold one atom a "
                "site. Search with is_ordered=True, or take found.structures().",
                stacklevel=2,
            )

    def structures(self) -> Iterator[Structure]:
        """Yield each as `nanoos.structures.Structure`, with its occupancies."""
        for entry in self:
            yield entry.structure

    def to_pandas(self) -> pandas.DataFrame:
        """Return a table with a row a structure: ids, formulas, symmetry, cell, density, source.

        Raises WrongUsage without pandas, which the extra ``tables`` brings.
        """
        try:
            import pandas
        except ImportError as error:
            raise WrongUsage(
                "Tables need pandas. Install it with: pip install 'nano-os[tables]'"
            ) from error
        columns = list(StructureRow.model_fields)
        rows = [[getattr(row, name) for name in columns] for page in self._pages() for row in page]
        table = pandas.DataFrame(rows, columns=columns)
        return table.astype({"id": str}).set_index("id")

    def export(
        self,
        path: str | Path,
        format: str | None = None,
        *,
        sources: bool = True,
        add: bool = False,
    ) -> export.ExportReport:
        """Write them to a file, as `nano-os structures export` does; its name says the format.

        With ``add`` into a folder that has files already. Raises NotWritten, PluginNotFound,
        StructureError where the format has no place for any of them, and WrongUsage.
        """
        output = Path(path)
        writer = export.writer_for(output, format)

        async def work(session: AsyncSession, _: User) -> export.ExportReport:
            several = await export.count(session, self._query) != 1
            with export.target(
                output, writer, several=several, sources=sources, add=add
            ) as write_one:
                return await export.write(session, self._query, write_one)

        if self._limit is not None:
            raise WrongUsage("A search with a limit is not exported; leave the limit out.")
        return self._background.run(work)

    def _pages(self) -> Iterator[list[StructureRow]]:
        """Yield pages, each in a transaction of its own: nothing stays open between them."""
        after, left = None, self._limit
        while left is None or left > 0:
            page = self._background.run(
                self._page(after, PAGE if left is None else min(PAGE, left))
            )
            yield list(page.rows)
            if left is not None:
                left -= len(page.rows)
            after = page.after
            if after is None:
                return

    def _page(
        self, after: str | None, limit: int
    ) -> Callable[[AsyncSession, User], Awaitable[Page]]:
        async def work(session: AsyncSession, _: User) -> Page:
            return await search.find(
                session, self._query, sort=self._sort, after=after, limit=limit
            )

        return work

    def __repr__(self) -> str:
        said = ", ".join(f"{name}={value!r}" for name, value in self._query.given().items())
        return f"<{self.count:,} structures found by {said or 'no condition'}>"

    def _repr_html_(self) -> str:
        """Return the first of them as a table, for the notebook to show."""
        rows = list(islice((row for page in self._pages() for row in page), _SHOWN))
        cells = [[getattr(row, name) for name in _HEADINGS] for row in rows]
        head = "".join(f"<th>{name}</th>" for name in _HEADINGS)
        body = "".join(
            "<tr>" + "".join(f"<td>{_shown(cell)}</td>" for cell in row) + "</tr>" for row in cells
        )
        return f"<p>{escape(repr(self))}</p><table><tr>{head}</tr>{body}</table>"


def _fetch(ids: tuple[UUID, ...]) -> Callable[[AsyncSession, User], Awaitable[list[Record]]]:
    async def work(session: AsyncSession, _: User) -> list[Record]:
        return await records.present(session, ids)

    return work


def _shown(cell: Any) -> str:
    if cell is None:
        return ""
    return escape(f"{cell:.4g}" if isinstance(cell, float) else str(cell))
