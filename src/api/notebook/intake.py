"""Bringing structures in from a notebook: atoms and single files here, many in other processes."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from functools import partial
from itertools import islice
from os import PathLike
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple
from uuid import UUID

from sqlalchemy.ext.asyncio import AsyncSession

from api.acting import transaction
from api.errors import WrongUsage
from api.intake.structures import Intake
from api.notebook.background import Background
from api.schemas.structure import FailedFile
from api.services import structure_import
from api.services.known_files import known_as
from api.services.structure_import import Found, Terms
from api.services.structure_rows import Candidate, Refusal, read_rows, row
from nanoos.errors import NanoError, ParseError
from nanoos.parsers import Source, Unfound, find
from nanoos.parsers.archive import HEAD_BYTES, archive_kind
from nanoos.processes import cores
from nanoos.structures import Structure, analyse

if TYPE_CHECKING:
    from ase import Atoms

    from api.db import Sessions
    from api.models import User

NO_FILES = ("-", "optimade:")
"""How what names no file begins."""
BATCH = 200
"""Structures that are stored in one transaction."""


class Imported(NamedTuple):
    """What an import did: the ids of all that was read, how many are new, and what failed."""

    ids: list[UUID]
    new: int
    failed: list[FailedFile]


def import_(
    background: Background,
    what: str | PathLike[str] | Atoms | Structure | Sequence[Atoms | Structure],
    name: str | None,
    terms: Callable[[User], Terms],
) -> Imported:
    """Store a file, folder or archive, or atoms; see `api.notebook.Session.import_`."""
    if not isinstance(what, str | PathLike):
        atoms = (_of_atoms(one, name) for one in _listed(what))
        return _import_here(background, atoms, [], name, terms)
    if not str(what).startswith(NO_FILES) and not Path(what).exists():
        raise WrongUsage(f"There is no file or folder {what}.")
    if _is_one(Path(what)):
        failed: list[FailedFile] = []
        return _import_here(background, _read(what, failed), failed, name, terms)
    return background.run_long(partial(_import_many, str(what), terms))


def _is_one(path: Path) -> bool:
    """Say whether it is one file alone, and starting a process to read it would take longer."""
    if not path.is_file():
        return False
    try:
        return archive_kind(Source(path.name, path).head(HEAD_BYTES)) is None
    except ParseError:
        return True


async def _import_many(path: str, terms: Callable[[User], Terms], sessions: Sessions) -> Imported:
    failed: list[FailedFile] = []
    ids: list[tuple[int, int, UUID]] = []
    new = 0

    def note(found: list[Found], stored: list[structure_import.Imported]) -> None:
        nonlocal new
        new += sum(one.is_new for one in stored)
        for one, held in zip(found, stored, strict=True):
            ids.append((one.number, one.row.place, held.id))

    async with transaction(sessions) as (_, owner):
        whose = terms(owner)
    intake = Intake(sessions, whose, cores(), again=True, failed=failed.append, stored=note)
    await intake.run(find([path]))
    return Imported([id_ for *_, id_ in sorted(ids)], new, failed)


def _import_here(
    background: Background,
    found: Iterator[Found],
    failed: list[FailedFile],
    name: str | None,
    terms: Callable[[User], Terms],
) -> Imported:
    ids: list[UUID] = []
    new = 0

    async def store(
        batch: list[Found], session: AsyncSession, owner: User
    ) -> list[structure_import.Imported]:
        whose = terms(owner)
        accepted = []
        for one in batch:
            if reason := whose.refuse(one.row):
                failed.append(FailedFile(file=one.name or name or "", error=reason))
            else:
                accepted.append(one)
        return await structure_import.store_(session, accepted, whose)

    while batch := list(islice(found, BATCH)):
        stored = background.run(partial(store, batch))
        ids.extend(one.id for one in stored)
        new += sum(one.is_new for one in stored)
    return Imported(ids, new, failed)


def _read(path: str | PathLike[str], failed: list[FailedFile]) -> Iterator[Found]:
    """Yield what can be read; note in ``failed`` what cannot."""
    for source in find([str(path)]):
        if isinstance(source, Unfound):
            failed.append(FailedFile(file=source.name, error=str(source.error)))
            continue
        try:
            yield from _of_source(source, failed)
        except NanoError as error:
            line = getattr(error, "line", None)
            failed.append(FailedFile(file=source.name, error=str(error), line=line))
        finally:
            source.discard()


def _of_source(source: Source, failed: list[FailedFile]) -> Iterator[Found]:
    name = known_as(source)
    for one in read_rows(source):
        if isinstance(one, Refusal):
            failed.append(
                FailedFile(file=source.name, error=one.message, line=one.line, place=one.place)
            )
        else:
            yield Found(one, name)


def _of_atoms(what: Atoms | Structure, name: str | None) -> Found:
    structure = what if isinstance(what, Structure) else Structure.from_ase(what)
    return Found(row(Candidate(structure, analyse(structure), name=name)))


def _listed(
    what: Atoms | Structure | Sequence[Atoms | Structure],
) -> Sequence[Atoms | Structure]:
    """Return one or several as a list. Raises TypeError for anything else."""
    from ase import Atoms

    listed = list(what) if isinstance(what, Iterable) and not isinstance(what, Atoms) else [what]
    for one in listed:
        if not isinstance(one, Atoms | Structure):
            raise TypeError(
                "import_ takes the path of a file, folder or archive, or Atoms or Structures, one "
                f"or a list of them; {one!r} is none."
            )
    return listed
