"""Workflows, jobs and results as documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field


class WorkflowSummary(BaseModel):
    """A workflow that can be submitted."""

    name: str
    version: int
    title: str
    engine: str
    is_active: bool


class WorkflowDetail(WorkflowSummary):
    """A workflow with its parameters."""

    description: str
    steps: list[dict[str, Any]]
    parameters_schema: dict[str, Any]
    defaults: dict[str, Any]
    resources: dict[str, Any]


class SkipReason(BaseModel):
    """Why no job was made for some structures, how many, and one of them."""

    reason: str
    structures: int
    example: UUID


class SubmitReport(BaseModel):
    """What a submission did; ``existing`` are jobs that were there already."""

    submitted: list[UUID] = []
    existing: list[UUID] = []
    skipped: int = Field(0, description="Structures for which no job was made")
    reasons: list[SkipReason] = Field([], description="The most frequent ones, at most LISTED")

    LISTED: ClassVar[int] = 20

    def __add__(self, other: SubmitReport) -> SubmitReport:
        """Return what both did; a job that the first made does not count as existing."""
        reasons = {one.reason: one for one in (*self.reasons, *other.reasons)}
        for one in self.reasons:
            if (it := reasons[one.reason]) is not one:
                reasons[one.reason] = one.model_copy(
                    update={"structures": one.structures + it.structures}
                )
        submitted = list(dict.fromkeys([*self.submitted, *other.submitted]))
        existing = dict.fromkeys([*self.existing, *other.existing])
        return SubmitReport(
            submitted=submitted,
            existing=[id_ for id_ in existing if id_ not in set(submitted)],
            skipped=self.skipped + other.skipped,
            reasons=list(reasons.values())[: self.LISTED],
        )


class JobSummary(BaseModel):
    """One line of the queue."""

    id: UUID
    workflow: str | None
    engine: str | None
    structure_id: UUID | None
    structure_name: str | None
    reduced_formula: str | None
    source_name: str | None = Field(description="Of an imported run: its folder or file")
    status: str
    is_converged: bool | None = Field(description="Of its result, where it has one")
    priority: int
    attempt: int
    progress: float
    progress_message: str | None
    live: dict[str, Any] | None
    error: str | None
    submitted_at: datetime
    started_at: datetime | None
    finished_at: datetime | None


class JobDetail(JobSummary):
    """All that is known of one job."""

    parameters: dict[str, Any]
    engine_parameters: dict[str, Any]
    parameters_sha256: str
    repetition: int
    resources: dict[str, Any]
    wall_time_limit_s: int | None
    memory_limit_mb: int | None
    max_attempts: int | None
    not_before: datetime | None
    failures: int
    worker_deaths: int
    cancel_requested_at: datetime | None
    error_type: str | None
    worker: str | None
    heartbeat_at: datetime | None
    result_id: UUID | None


class AttemptDetail(BaseModel):
    """A try of a job that is over."""

    model_config = ConfigDict(from_attributes=True)

    attempt: int
    worker: str | None
    started_at: datetime | None
    ended_at: datetime
    outcome: str
    error: str | None


class JobChange(BaseModel):
    """A job and the status in which it is now; one that runs is being ended by its worker."""

    id: UUID
    status: str


class Explanation(BaseModel):
    """Why a job waits, what it is doing, or how it ended."""

    id: UUID
    status: str
    reasons: list[str]
    next_step: str | None


class ResultDetail(BaseModel):
    """A result with its provenance."""

    id: UUID
    job_id: UUID
    workflow: str | None
    engine: str | None = Field(description="What calculated it; of an imported run, its reader")
    origin: str
    project: str | None
    status: str
    error_type: str | None
    error: str | None
    parameters: dict[str, Any]
    engine_parameters: dict[str, Any]
    started_at: datetime | None
    finished_at: datetime | None
    source_name: str | None = Field(description="Of an imported run: its folder or file")
    source_sha256: str | None = Field(description="Of an imported run: over its outputs' contents")
    source_place: int | None = Field(description="Which of the runs in them it is, from 1")
    source_is_last: bool | None = Field(description="No other run follows it there")
    continues_id: UUID | None = Field(description="The job that this one's run continued")
    structure_id: UUID | None
    structure_name: str | None
    reduced_formula: str | None
    quantities: dict[str, float | None]
    data: dict[str, Any]
    is_converged: bool
    convergence: dict[str, Any]
    method: dict[str, Any]
    method_sha256: str
    output_structure_id: UUID | None
    provenance: dict[str, Any]
    attempts: list[AttemptDetail] = Field(
        [], description="Of a submitted job, where it is asked for"
    )
    artifacts: list[dict[str, Any]]
    wall_time_s: float | None
    n_cores: int | None
    created_at: datetime

    @property
    def final_structure_id(self) -> UUID | None:
        """The structure that the numbers belong to: the one that the run ended with."""
        return self.output_structure_id or self.structure_id
