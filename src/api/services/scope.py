"""Who may read what: the one place that decides it.

Every SELECT of an owned model in a scoped session gets the criterion here,
also through joins and relationships.
"""

from __future__ import annotations

from functools import lru_cache
from uuid import UUID

from sqlalchemy import event, false, or_, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria
from sqlalchemy.sql.base import ExecutableOption

from api.models import Citation, SimulationJob, Structure, User
from api.models.base import Owned

_VIEWER = "viewer"


def read_as(session: AsyncSession, viewer: User) -> None:
    """Let ``session`` read only what ``viewer`` owns or what is public."""
    _set_viewer(session, viewer.id)


def read_as_anyone(session: AsyncSession) -> None:
    """Let ``session`` read only what is public, and the citations of public structures."""
    _set_viewer(session, None)


def _set_viewer(session: AsyncSession, id_: UUID | None) -> None:
    if _VIEWER not in session.info:
        event.listen(session.sync_session, "do_orm_execute", _restrict)
    session.info[_VIEWER] = id_


def _restrict(state: ORMExecuteState) -> None:
    if not state.is_select or state.is_column_load:
        return
    viewer: UUID | None = state.session.info[_VIEWER]
    options = _PUBLIC if viewer is None else _readable_by(viewer)
    state.statement = state.statement.options(*options)


@lru_cache(maxsize=128)  # a page asks several times, and making them takes longer than asking
def _readable_by(viewer: UUID) -> tuple[ExecutableOption, ...]:
    return (
        with_loader_criteria(
            Owned,
            lambda row: or_(row.visibility == "public", row.owner_id == viewer),
            include_aliases=True,
        ),
        with_loader_criteria(
            SimulationJob, lambda row: row.owner_id == viewer, include_aliases=True
        ),
    )


_PUBLIC = (
    with_loader_criteria(Owned, lambda row: row.visibility == "public", include_aliases=True),
    with_loader_criteria(SimulationJob, false(), include_aliases=True),
    with_loader_criteria(
        Citation,
        lambda row: row.id.in_(
            select(Structure.citation_id).where(Structure.visibility == "public")
        ),
        include_aliases=True,
    ),
)
