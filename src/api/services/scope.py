"""Who may read what: the one place that decides it.

Every SELECT of an owned model in a scoped session gets the criterion here,
also through joins and relationships.
"""

from __future__ import annotations

from uuid import UUID

from sqlalchemy import event, or_
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import ORMExecuteState, with_loader_criteria

from api.models import SimulationJob, User
from api.models.base import Owned

_VIEWER = "viewer"


def read_as(session: AsyncSession, viewer: User) -> None:
    """Let ``session`` read only what ``viewer`` owns or what is public."""
    if _VIEWER not in session.info:
        event.listen(session.sync_session, "do_orm_execute", _restrict)
    session.info[_VIEWER] = viewer.id


def _restrict(state: ORMExecuteState) -> None:
    if not state.is_select or state.is_column_load:
        return
    viewer: UUID = state.session.info[_VIEWER]
    state.statement = state.statement.options(
        with_loader_criteria(
            Owned,
            lambda row: or_(row.visibility == "public", row.owner_id == viewer),
            include_aliases=True,
        ),
        with_loader_criteria(
            SimulationJob, lambda row: row.owner_id == viewer, include_aliases=True
        ),
    )
