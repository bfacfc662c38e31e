"""What jobs ask of the queue, their attempts, what they wait for, and the workers there are.

A job may ask for parameters of its engine, for a time before which it does not start, and for
limits; it may be calculated anew (repetition), and is known to have killed workers. Every column
may be NULL or has a default: releases from before know nothing of them. A trigger lets no job
change its status in a way that has no meaning, and notes each attempt that ends, whichever
release ended it. The constraints hold for new rows; 017 validates them.

Revision ID: 015_columns_of_the_queue
Revises: 014_validate_imported_runs
Create Date: 2026-11-30 01:30:00.000000
"""

from collections.abc import Sequence
from typing import Any

import sqlalchemy as sa
from alembic import op
from sqlalchemy.dialects import postgresql

revision: str = "015_columns_of_the_queue"
down_revision: str | Sequence[str] | None = "014_validate_imported_runs"
branch_labels: str | Sequence[str] | None = None
depends_on: str | Sequence[str] | None = None

JSONB = postgresql.JSONB(astext_type=sa.Text())
EMPTY = sa.text("'{}'::jsonb")
ZERO = sa.text("0")
HASHED = "Of the parameters as canonical JSON"
HASHED_NOW = (
    "Of the parameters as canonical JSON; with those of the engine and the repetition,"
    " where there are any"
)
CHECKS = {
    "repetition": "repetition >= 0",
    "max_attempts": "max_attempts >= 1",
    "failures": "failures >= 0",
    "worker_deaths": "worker_deaths >= 0",
    "wall_time_limit_s": "wall_time_limit_s >= 1",
    "memory_limit_mb": "memory_limit_mb >= 1",
}
# Written out: what may follow what. A try ends when its job stops running, so that is noted here.
FUNCTION = """
CREATE OR REPLACE FUNCTION simulation_job_transition() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN
    IF NOT (CASE OLD.status
        WHEN 'waiting' THEN NEW.status IN ('queued', 'paused', 'cancelled', 'failed')
        WHEN 'queued' THEN NEW.status IN ('running', 'waiting', 'paused', 'cancelled')
        WHEN 'paused' THEN NEW.status IN ('queued', 'waiting', 'cancelled')
        WHEN 'running' THEN
            NEW.status IN ('succeeded', 'failed', 'cancelled', 'queued', 'waiting')
        WHEN 'failed' THEN NEW.status IN ('queued', 'waiting')
        WHEN 'cancelled' THEN NEW.status IN ('queued', 'waiting')
        ELSE false -- succeeded is for good
    END) THEN
        RAISE EXCEPTION 'Job % cannot go from % to %.', OLD.id, OLD.status, NEW.status
            USING ERRCODE = 'check_violation', TABLE = 'simulation_jobs',
                  CONSTRAINT = 'simulation_job_transition';
    END IF;
    IF OLD.status = 'running' THEN
        INSERT INTO simulation_attempts (simulation_job_id, attempt, worker, started_at,
                                         outcome, error_type, error)
        VALUES (OLD.id, OLD.attempt, OLD.worker, OLD.started_at,
                CASE WHEN NEW.status IN ('queued', 'waiting') AND NEW.error IS NULL
                     THEN 'handed back' WHEN NEW.status IN ('queued', 'waiting')
                     THEN 'failed' ELSE NEW.status END, NEW.error_type, NEW.error)
        ON CONFLICT (simulation_job_id, attempt) DO UPDATE
        SET worker = excluded.worker, started_at = excluded.started_at,
            ended_at = excluded.ended_at, outcome = excluded.outcome,
            error_type = excluded.error_type, error = excluded.error;
    END IF;
    RETURN NEW;
END $$
"""
TRIGGER = """
CREATE TRIGGER simulation_job_transition BEFORE UPDATE OF status ON simulation_jobs
FOR EACH ROW WHEN (OLD.status IS DISTINCT FROM NEW.status)
EXECUTE FUNCTION simulation_job_transition()
"""

WAITING = """
UPDATE simulation_jobs AS job
SET status = CASE WHEN EXISTS (SELECT FROM simulation_dependencies
                               WHERE simulation_job_id = job.id) THEN 'paused' ELSE 'queued' END
WHERE status = 'waiting'
"""


def columns() -> tuple[sa.Column[Any], ...]:
    """Return the new columns, each time anew: a table takes a column for its own."""
    return (
        sa.Column(
            "engine_parameters",
            JSONB,
            server_default=EMPTY,
            nullable=False,
            comment="All of the engine's, defaults filled in",
        ),
        sa.Column(
            "repetition",
            sa.SmallInteger(),
            server_default=ZERO,
            nullable=False,
            comment="How often the same was calculated before",
        ),
        sa.Column(
            "not_before",
            sa.DateTime(timezone=True),
            comment="It waits until then, for its first try or the next",
        ),
        sa.Column(
            "max_attempts",
            sa.SmallInteger(),
            comment="Tries that may end with a passing error; NULL: as the worker is set",
        ),
        sa.Column(
            "failures",
            sa.SmallInteger(),
            server_default=ZERO,
            nullable=False,
            comment="Tries that ended with a passing error",
        ),
        sa.Column(
            "worker_deaths",
            sa.SmallInteger(),
            server_default=ZERO,
            nullable=False,
            comment="Tries during which the worker died or fell silent",
        ),
        sa.Column("wall_time_limit_s", sa.Integer(), comment="In s, of one try; NULL: none"),
        sa.Column(
            "memory_limit_mb", sa.Integer(), comment="In MB, of all its processes; NULL: none"
        ),
        sa.Column(
            "resources",
            JSONB,
            server_default=EMPTY,
            nullable=False,
            comment="What it runs on: nodes, ranks, cores",
        ),
        sa.Column("cancel_requested_at", sa.DateTime(timezone=True), comment="While it ran"),
        sa.Column("live", JSONB, comment="Numbers of its progress, by name with unit"),
    )


def upgrade() -> None:
    """Add columns, tables and the trigger."""
    for column in columns():
        op.add_column("simulation_jobs", column)
    for name, condition in CHECKS.items():
        op.create_check_constraint(
            op.f(f"ck_simulation_jobs_{name}"),
            "simulation_jobs",
            condition,
            postgresql_not_valid=True,
        )
    op.alter_column(
        "simulation_jobs",
        "parameters_sha256",
        existing_type=sa.Text(),
        existing_nullable=False,
        existing_comment=HASHED,
        comment=HASHED_NOW,
    )
    op.create_table(
        "simulation_attempts",
        sa.Column("simulation_job_id", sa.Uuid(), nullable=False),
        sa.Column("attempt", sa.Integer(), nullable=False, comment="Which try it was, from 1"),
        sa.Column("worker", sa.Text(), comment="host:pid/number of who tried"),
        sa.Column("started_at", sa.DateTime(timezone=True)),
        sa.Column(
            "ended_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.Column("outcome", sa.Text(), nullable=False),
        sa.Column("error_type", sa.Text(), comment="Class of the error"),
        sa.Column("error", sa.Text(), comment="Why it failed, in words"),
        sa.CheckConstraint(
            "outcome IN ('succeeded', 'failed', 'cancelled', 'handed back')",
            name=op.f("ck_simulation_attempts_outcome"),
        ),
        sa.ForeignKeyConstraint(
            ["simulation_job_id"],
            ["simulation_jobs.id"],
            name=op.f("fk_simulation_attempts_simulation_job_id_simulation_jobs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "simulation_job_id", "attempt", name=op.f("pk_simulation_attempts")
        ),
        comment="Tries of simulation jobs that ended",
    )
    op.create_table(
        "simulation_dependencies",
        sa.Column("simulation_job_id", sa.Uuid(), nullable=False),
        sa.Column(
            "needed_id", sa.Uuid(), nullable=False, comment="The job that has to succeed first"
        ),
        sa.Column(
            "takes_structure",
            sa.Boolean(),
            server_default=sa.text("false"),
            nullable=False,
            comment="Its structure becomes the one that the other job puts out",
        ),
        sa.CheckConstraint(
            "simulation_job_id <> needed_id", name=op.f("ck_simulation_dependencies_other")
        ),
        sa.ForeignKeyConstraint(
            ["needed_id"],
            ["simulation_jobs.id"],
            name=op.f("fk_simulation_dependencies_needed_id_simulation_jobs"),
            ondelete="CASCADE",
        ),
        sa.ForeignKeyConstraint(
            ["simulation_job_id"],
            ["simulation_jobs.id"],
            name=op.f("fk_simulation_dependencies_simulation_job_id_simulation_jobs"),
            ondelete="CASCADE",
        ),
        sa.PrimaryKeyConstraint(
            "simulation_job_id", "needed_id", name=op.f("pk_simulation_dependencies")
        ),
        comment="Which jobs wait for which others",
    )
    op.create_index(
        op.f("ix_simulation_dependencies_needed_id"), "simulation_dependencies", ["needed_id"]
    )
    op.create_table(
        "workers",
        sa.Column(
            "number",
            sa.Integer(),
            autoincrement=False,
            nullable=False,
            comment="Second key of the advisory lock that it holds while it lives",
        ),
        sa.Column("name", sa.Text(), nullable=False, comment="host:pid"),
        sa.Column(
            "engines",
            postgresql.ARRAY(sa.Text()),
            nullable=False,
            comment="Whose jobs it claims",
        ),
        sa.Column("slots", sa.Integer(), nullable=False, comment="Jobs it runs at once"),
        sa.Column(
            "started_at",
            sa.DateTime(timezone=True),
            server_default=sa.text("now()"),
            nullable=False,
        ),
        sa.CheckConstraint("slots >= 1", name=op.f("ck_workers_slots")),
        sa.PrimaryKeyConstraint("number", name=op.f("pk_workers")),
        comment="Workers; one that holds its advisory lock is alive",
    )
    op.execute(sa.text(FUNCTION))
    op.execute(sa.text(TRIGGER))


def downgrade() -> None:
    """Drop them; what waits is queued, or paused where it needs another job."""
    op.execute("DROP TRIGGER simulation_job_transition ON simulation_jobs")
    op.execute("DROP FUNCTION simulation_job_transition()")
    op.execute(sa.text(WAITING))
    for table in ("workers", "simulation_dependencies", "simulation_attempts"):
        op.drop_table(table)
    op.alter_column(
        "simulation_jobs",
        "parameters_sha256",
        existing_type=sa.Text(),
        existing_nullable=False,
        existing_comment=HASHED_NOW,
        comment=HASHED,
    )
    for column in reversed(columns()):
        op.drop_column("simulation_jobs", column.name)
