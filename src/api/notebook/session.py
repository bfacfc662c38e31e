"""The session of a notebook."""

from __future__ import annotations

from collections.abc import Sequence
from os import PathLike
from typing import TYPE_CHECKING, Self, Unpack
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.artifacts import Artifacts
from api.errors import NotFound, WrongUsage
from api.notebook.background import Background
from api.notebook.entry import Entry
from api.notebook.filters import Filters, query_of, sort_of
from api.notebook.found import Found
from api.notebook.intake import Imported, import_
from api.schemas.simulation import ResultDetail
from api.services import arrays, licences, records, results
from api.services.structure_import import Terms
from api.settings import settings
from nanoos.structures import Structure

if TYPE_CHECKING:
    from ase import Atoms

    from api.models import User


class Session:
    """The database, for a notebook or a script.

    >>> import api
    >>> db = api.session()
    >>> found = db.search(elements=["O", "Si"], is_ordered=True)
    >>> found.to_pandas().reduced_formula.tolist()
    ['O2Si']
    >>> [atoms.get_chemical_formula() for atoms in found.atoms()]
    ['O6Si3']

    It is closed by `close`, at the end of ``with``, when nothing refers to it, or at exit.
    """

    def __init__(self) -> None:
        self._background = Background()

    def search(
        self, *, sort: str | None = None, limit: int | None = None, **filters: Unpack[Filters]
    ) -> Found:
        """Return what meets all the conditions, fetched when it is asked for.

        Elements and formulas may come in any order, ranges as ``(2.0, 3.0)``, ``(None, 3.0)`` or
        ``"2:3"``; ``sort`` is a column such as ``"density_g_per_cm3:desc"``. Without conditions
        it finds everything. Raises WrongUsage, which names the filter that cannot be read.
        """
        if limit is not None and limit < 1:
            raise WrongUsage(f"limit={limit}: it is at least 1; leave it out for all.")
        return Found(self._background, query_of(filters), sort_of(sort), limit)

    def structure(self, id_: UUID | str) -> Entry:
        """Return one structure. Raises NotFound, and WrongUsage for what is no id."""
        try:
            wanted = [UUID(str(id_))]
        except ValueError:
            raise WrongUsage(f"{id_!r} is no id; take one that a search found.") from None

        async def work(session: AsyncSession, _: User) -> Entry:
            async for (record,) in records.named(session, wanted):
                return Entry(record)
            raise NotFound(f"No structure {id_}.")

        return self._background.run(work)

    def result(self, id_: UUID | str) -> ResultDetail:
        """Return a result, by its id or its job's, with all arrays in ``data``.

        Raises NotFound, WrongUsage for what is no id, and ArtifactDamaged.
        """
        try:
            wanted = UUID(str(id_))
        except ValueError:
            raise WrongUsage(f"{id_!r} is no id; take one that results list shows.") from None
        found = self._background.run(lambda session, _: results.show(session, wanted))
        data = arrays.restore(found.data, Artifacts(settings().artifacts))
        return found.model_copy(update={"data": data})

    def import_(
        self,
        what: str | PathLike[str] | Atoms | Structure | Sequence[Atoms | Structure],
        *,
        name: str | None = None,
        public: bool = False,
        licence: str | None = None,
    ) -> Imported:
        """Bring structures in: a file, folder or archive, or Atoms, one or several.

        What is there already is not stored twice. Files that cannot be read are reported, and
        the others go in; Atoms that are no valid structure raise StructureError, and a licence
        or a file that is none WrongUsage.

        >>> from ase.build import bulk
        >>> (id_,) = db.import_(bulk("Ni"), name="nickel").ids
        >>> db.structure(id_)["space_group_symbol_at_0_1"]
        'Fm-3m'
        """
        visibility = "public" if public else "private"
        licence = None if licence is None else licences.licence(licence)

        def terms(owner: User) -> Terms:
            return Terms(owner.id, visibility, licence)

        return import_(self._background, what, name, terms)

    def close(self) -> None:
        """Give the connections back. An embedded server stops with its last user."""
        self._background.close()

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()
