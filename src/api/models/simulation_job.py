"""Simulation jobs. This table is the queue."""

from __future__ import annotations

import uuid
from datetime import datetime
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, SmallInteger, func, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.models.base import EMPTY_OBJECT, Base, Identified, one_of
from api.models.structure import Structure
from api.models.workflow_template import WorkflowTemplate

JOB_ORIGINS = ("submitted", "imported")
INVARIANTS = {
    "a job that succeeded has a result": """
        SELECT id FROM simulation_jobs AS job
        WHERE status = 'succeeded' AND origin = 'submitted'
          AND NOT EXISTS (SELECT FROM simulation_results WHERE simulation_job_id = job.id)
    """,
    "a job's own progress is whole when it succeeded": """
        SELECT id FROM simulation_jobs
        WHERE status = 'succeeded' AND origin = 'submitted' AND progress <> 1
    """,
}
DEATHS_BEFORE_ALONE = 3
"""A job during which so many workers died runs when its worker has nothing else to do."""
CLAIMABLE = "status = 'queued' AND origin = 'submitted'"
HOT_QUERIES = {
    "the next job of an owner": f"""
        SELECT id FROM simulation_jobs
        WHERE {CLAIMABLE} AND worker_deaths < {DEATHS_BEFORE_ALONE}
          AND owner_id = '00000000-0000-0000-0000-000000000000' AND engine = 'emt'
        ORDER BY due_at, id LIMIT 1 FOR UPDATE SKIP LOCKED
    """,  # noqa: S608 - of constants alone
    "running jobs": "SELECT id FROM simulation_jobs WHERE status = 'running'",
}
STATUSES = ("queued", "waiting", "running", "paused", "succeeded", "failed", "cancelled")


class SimulationJob(Identified, Base):
    """One calculation asked for, from submission to its end.

    A worker claims the due job that waits longest; ``lease_until`` says until
    when it is that worker's, ``attempt`` tells a late worker from the present
    one. Heartbeat, lease and progress are in no index and pages keep room, so
    that heartbeats stay heap-only updates.
    """

    __tablename__ = "simulation_jobs"
    __table_args__ = (
        one_of("origin", JOB_ORIGINS),
        one_of("status", STATUSES),
        CheckConstraint(
            "origin = 'imported' OR (structure_id IS NOT NULL"
            " AND workflow_template_id IS NOT NULL AND engine IS NOT NULL)",
            name="submitted_is_complete",
        ),
        CheckConstraint("progress BETWEEN 0 AND 1", name="progress"),
        CheckConstraint("priority BETWEEN -100 AND 100", name="priority"),
        CheckConstraint("attempt >= 0", name="attempt"),
        CheckConstraint("repetition >= 0", name="repetition"),
        CheckConstraint("max_attempts >= 1", name="max_attempts"),
        CheckConstraint("failures >= 0", name="failures"),
        CheckConstraint("worker_deaths >= 0", name="worker_deaths"),
        CheckConstraint("wall_time_limit_s >= 1", name="wall_time_limit_s"),
        CheckConstraint("memory_limit_mb >= 1", name="memory_limit_mb"),
        CheckConstraint("length(source_sha256) = 64", name="source_sha256"),
        CheckConstraint("source_place >= 1", name="source_place"),
        CheckConstraint(
            "(status = 'running') = (lease_until IS NOT NULL)", name="running_has_lease"
        ),
        CheckConstraint(
            "(status IN ('succeeded', 'failed', 'cancelled')) = (finished_at IS NOT NULL)",
            name="ended_has_time",
        ),
        # For lists of what is queued, and for how many are before a job; claims take the next two.
        Index(
            "ix_simulation_jobs_claim", "due_at", "id", postgresql_where=text("status = 'queued'")
        ),
        Index(
            "ix_simulation_jobs_share",
            "owner_id",
            "engine",
            "due_at",
            "id",
            postgresql_where=text(f"{CLAIMABLE} AND worker_deaths < {DEATHS_BEFORE_ALONE}"),
        ),
        Index(
            "ix_simulation_jobs_alone",
            "due_at",
            "id",
            postgresql_where=text(f"{CLAIMABLE} AND worker_deaths >= {DEATHS_BEFORE_ALONE}"),
        ),
        Index(
            "ix_simulation_jobs_not_before",
            "not_before",
            postgresql_where=text("status = 'waiting'"),
        ),
        Index(None, "owner_id", "started_at"),
        Index("ix_simulation_jobs_running", "id", postgresql_where=text("status = 'running'")),
        Index(
            "uq_simulation_jobs_identity",
            "owner_id",
            "structure_id",
            "workflow_template_id",
            "engine",
            "parameters_sha256",
            unique=True,
            postgresql_where=text("origin = 'submitted' AND status NOT IN ('failed', 'cancelled')"),
        ),
        Index(
            "uq_simulation_jobs_source",
            "owner_id",
            "source_sha256",
            "source_place",
            unique=True,
            postgresql_where=text("origin = 'imported'"),
        ),
        {
            "comment": "Submitted simulation jobs; this table is the queue",
            "postgresql_with": {"fillfactor": 70},
            "info": {"invariants": INVARIANTS, "hot_queries": HOT_QUERIES},
        },
    )

    owner_id: Mapped[uuid.UUID] = mapped_column(ForeignKey("users.id", ondelete="RESTRICT"))
    structure_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("structures.id", ondelete="RESTRICT"),
        index=True,
        comment="NULL only for imported runs without one",
    )
    workflow_template_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("workflow_templates.id", ondelete="RESTRICT"), index=True
    )
    engine: Mapped[str | None]
    origin: Mapped[str] = mapped_column(server_default="submitted")
    parameters: Mapped[dict[str, Any]] = mapped_column(
        server_default=EMPTY_OBJECT, comment="All of them, defaults filled in"
    )
    engine_parameters: Mapped[dict[str, Any]] = mapped_column(
        server_default=EMPTY_OBJECT, comment="All of the engine's, defaults filled in"
    )
    repetition: Mapped[int] = mapped_column(
        SmallInteger, server_default=text("0"), comment="How often the same was calculated before"
    )
    parameters_sha256: Mapped[str] = mapped_column(
        comment="Of the parameters as canonical JSON; with those of the engine and the repetition,"
        " where there are any"
    )
    status: Mapped[str] = mapped_column(server_default="queued")
    priority: Mapped[int] = mapped_column(SmallInteger, server_default=text("0"))
    submitted_at: Mapped[datetime] = mapped_column(server_default=func.now())
    due_at: Mapped[datetime] = mapped_column(
        server_default=func.now(),
        comment="submitted_at - priority * 10 min: claimed in this order, so waiting counts",
    )
    not_before: Mapped[datetime | None] = mapped_column(
        comment="It waits until then, for its first try or the next"
    )
    resources: Mapped[dict[str, Any]] = mapped_column(
        server_default=EMPTY_OBJECT, comment="What it runs on: nodes, ranks, cores"
    )
    wall_time_limit_s: Mapped[int | None] = mapped_column(comment="In s, of one try; NULL: none")
    memory_limit_mb: Mapped[int | None] = mapped_column(
        comment="In MB, of all its processes; NULL: none"
    )
    max_attempts: Mapped[int | None] = mapped_column(
        SmallInteger,
        comment="Tries that may end with a passing error; NULL: as the worker is set",
    )
    attempt: Mapped[int] = mapped_column(server_default=text("0"), comment="Times claimed so far")
    failures: Mapped[int] = mapped_column(
        SmallInteger, server_default=text("0"), comment="Tries that ended with a passing error"
    )
    worker_deaths: Mapped[int] = mapped_column(
        SmallInteger,
        server_default=text("0"),
        comment="Tries during which the worker died or fell silent",
    )
    worker: Mapped[str | None] = mapped_column(comment="host:pid that claimed it last")
    lease_until: Mapped[datetime | None] = mapped_column(
        comment="Until when the worker holds it without a further heartbeat"
    )
    heartbeat_at: Mapped[datetime | None]
    progress: Mapped[float] = mapped_column(server_default=text("0"), comment="0 to 1")
    progress_message: Mapped[str | None]
    live: Mapped[dict[str, Any] | None] = mapped_column(
        comment="Numbers of its progress, by name with unit"
    )
    cancel_requested_at: Mapped[datetime | None] = mapped_column(comment="While it ran")
    error: Mapped[str | None] = mapped_column(comment="Why it failed, in words")
    error_type: Mapped[str | None] = mapped_column(comment="Class of the error")
    started_at: Mapped[datetime | None] = mapped_column(comment="Start of the last attempt")
    finished_at: Mapped[datetime | None]

    project: Mapped[str | None] = mapped_column(comment="What the run was for, as its owner says")
    source_name: Mapped[str | None] = mapped_column(
        comment="Of an imported run: its folder or file, with the folder or archive around it"
    )
    source_sha256: Mapped[str | None] = mapped_column(
        comment="Of an imported run: over the contents of its files"
    )
    source_place: Mapped[int | None] = mapped_column(
        comment="Which of the runs in these files it is, from 1"
    )
    source_is_last: Mapped[bool | None] = mapped_column(comment="The files hold no run after it")
    continues_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("simulation_jobs.id", ondelete="SET NULL"),
        index=True,
        comment="The run that left the geometry with which this one began, by the same method",
    )

    structure: Mapped[Structure | None] = relationship(lazy="raise")
    workflow_template: Mapped[WorkflowTemplate | None] = relationship(lazy="raise")
