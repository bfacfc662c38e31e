"""Imported runs as documents."""

from __future__ import annotations

from datetime import datetime
from uuid import UUID

from pydantic import BaseModel, Field

from api.schemas.structure import ImportReport


class RunImportReport(ImportReport):
    """What an import of runs did; ``imported`` and ``existing`` count runs."""

    folders: int = Field(default=0, description="Folders with files that were looked into")
    without_run: int = Field(default=0, description="Folders among them that hold no run")


class Cost(BaseModel):
    """What runs of one kind took."""

    name: str
    runs: int
    core_hours: float
    unknown: int = Field(description="Runs among them that do not say what they took")


class RunLine(BaseModel):
    """One run in a list."""

    job_id: UUID
    source_name: str | None
    reduced_formula: str | None
    status: str
    cause: str | None = None
    core_hours: float | None = None
    energy_ev_per_atom: float | None = None
    method: str | None = None


class RunGroup(BaseModel):
    """Runs that are of one structure, and why they stand together."""

    structure_id: UUID
    reduced_formula: str | None
    methods: list[str]
    runs: list[RunLine]
    spread_ev_per_atom: float | None = None


class Ending(BaseModel):
    """How many runs ended in one way."""

    ending: str
    runs: int


class RunReport(BaseModel):
    """Cost and quality of the imported runs in view.

    Lists hold at most `LISTED` entries; the numbers beside them count all.
    """

    written_at: datetime
    project: str | None = None
    runs: int
    converged: int
    core_hours: float
    endings: list[Ending]
    by_project: list[Cost]
    by_user: list[Cost]
    by_method: list[Cost]
    dearest: list[RunLine]
    unconverged: list[RunLine]
    n_duplicates: int
    duplicates: list[RunGroup]
    n_conflicts: int
    conflicts: list[RunGroup]
