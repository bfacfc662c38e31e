"""What may be asked of results, and what comes back."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field

from api.schemas.search import Query


class ResultQuery(BaseModel):
    """Conditions on results, all of which must hold. One of nothing finds everything.

    Those on structures are on the one that the numbers belong to: the last of a run. Its
    ``quantities`` and ``method`` are those of the result itself, converged or not.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    structures: Query = Field(Query.model_validate({}), description="Of these")
    ids: tuple[UUID, ...] = Field((), description="One of these, or of these jobs")
    project: str | None = Field(None, description="Of this project")
    workflow: str | None = Field(
        None, description="Of this workflow, or of imported runs with this task"
    )
    engine: str | None = Field(None, description="Of this engine, or from this program's files")
    origin: Literal["submitted", "imported"] | None = Field(None, description="Where from")
    is_converged: bool | None = Field(None, description="Whether it converged")

    def given(self) -> dict[str, Any]:
        """Return the conditions that say something, as a JSON document."""
        return self.model_dump(mode="json", exclude_defaults=True)


class ResultRow(BaseModel):
    """One result among those found: what fits a line. Quantities stand in ``quantities``."""

    id: UUID
    job_id: UUID
    workflow: str | None = Field(description="Of an imported run, its task")
    engine: str | None
    origin: str
    project: str | None
    source_name: str | None
    structure_id: UUID | None = Field(description="That the numbers belong to")
    structure_name: str | None
    reduced_formula: str | None
    method: str
    method_sha256: str
    is_converged: bool
    created_at: datetime
    quantities: dict[str, float | None]


class ResultPage(BaseModel):
    """Some of the results found."""

    rows: Sequence[ResultRow]
    after: str | None = Field(description="Cursor of the next page; None on the last one")
    count: int = Field(description="How many there are on all pages")


class Going(BaseModel):
    """A job that is to be deleted with its result."""

    job_id: UUID
    result_id: UUID | None
    description: str


class ResultDeletion(BaseModel):
    """What deleting results deletes; their structures stay.

    ``continued`` are runs that go on from one of these, and will say so no longer; ``artifacts``
    counts the files that no other result has: ``artifacts gc`` removes them.
    """

    jobs: Sequence[Going]
    continued: int
    artifacts: int
