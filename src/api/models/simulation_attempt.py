"""Simulation attempts: how each try of a job ended."""

from __future__ import annotations

import uuid
from datetime import datetime

from sqlalchemy import ForeignKey, func
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base, one_of

ATTEMPT_OUTCOMES = ("succeeded", "failed", "cancelled", "handed back")


class SimulationAttempt(Base):
    """A try of a job that is over; a trigger notes it as the job stops running."""

    __tablename__ = "simulation_attempts"
    __table_args__ = (
        one_of("outcome", ATTEMPT_OUTCOMES),
        {"comment": "Tries of simulation jobs that ended"},
    )

    simulation_job_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("simulation_jobs.id", ondelete="CASCADE"), primary_key=True
    )
    attempt: Mapped[int] = mapped_column(
        primary_key=True, autoincrement=False, comment="Which try it was, from 1"
    )
    worker: Mapped[str | None] = mapped_column(comment="host:pid/number of who tried")
    started_at: Mapped[datetime | None]
    ended_at: Mapped[datetime] = mapped_column(server_default=func.now())
    outcome: Mapped[str]
    error_type: Mapped[str | None] = mapped_column(comment="Class of the error")
    error: Mapped[str | None] = mapped_column(comment="Why it failed, in words")
