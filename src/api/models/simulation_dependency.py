"""Simulation dependencies: which jobs wait for which others."""

from __future__ import annotations

import uuid

from sqlalchemy import CheckConstraint, ForeignKey, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import Base


class SimulationDependency(Base):
    """A job that waits until another one has succeeded."""

    __tablename__ = "simulation_dependencies"
    __table_args__ = (
        CheckConstraint("simulation_job_id <> needed_id", name="other"),
        {"comment": "Which jobs wait for which others"},
    )

    simulation_job_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("simulation_jobs.id", ondelete="CASCADE"), primary_key=True
    )
    needed_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("simulation_jobs.id", ondelete="CASCADE"),
        primary_key=True,
        index=True,
        comment="The job that has to succeed first",
    )
    takes_structure: Mapped[bool] = mapped_column(
        server_default=text("false"),
        comment="Its structure becomes the one that the other job puts out",
    )
