"""Structures as documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any, ClassVar
from uuid import UUID

from pydantic import BaseModel, Field


class FailedFile(BaseModel):
    """A file, or one structure of a file, that was not imported, and why."""

    file: str
    error: str
    line: int | None = Field(default=None, description="Where in the file, if it can be said")
    place: int | None = Field(
        default=None,
        description="Which of the file's structures it is, from 1; else all or the rest",
    )


class ImportReport(BaseModel):
    """What an import did; ``existing`` counts structures that were there already."""

    imported: int = 0
    existing: int = 0
    failed: list[FailedFile] = []
    failed_unlisted: int | None = Field(
        default=None, description="How many failed beyond those listed"
    )

    LISTED: ClassVar[int] = 1000

    def fail(self, failed: FailedFile) -> None:
        """Note a failure: listed, or beyond `LISTED` only counted."""
        if len(self.failed) < self.LISTED:
            self.failed.append(failed)
        else:
            self.failed_unlisted = (self.failed_unlisted or 0) + 1

    @property
    def n_failed(self) -> int:
        """How many failed."""
        return len(self.failed) + (self.failed_unlisted or 0)


class Unanalysed(BaseModel):
    """A structure that could not be analysed again, and why."""

    id: UUID
    reason: str


class ReanalysisReport(BaseModel):
    """What a reanalysis did."""

    analysed: int = 0
    failed: list[Unanalysed] = []


class StructureDetail(BaseModel):
    """All that is known of one structure."""

    id: UUID
    name: str | None
    reduced_formula: str
    space_group_symbol_at_0_1: str | None = Field(description="At a tolerance of 0.1 Å")
    space_group_number_at_0_1: int | None = Field(description="At a tolerance of 0.1 Å")
    number_of_sites: int
    volume_a3: float | None
    is_ordered: bool
    origin: str
    visibility: str
    source_name: str | None
    created_at: datetime
    material_id: UUID
    anonymous_formula: str
    hill_formula: str
    chemical_system: str
    elements: list[str]
    number_of_elements: int | None
    number_of_periodic_dimensions: int | None
    density_g_per_cm3: float | None
    space_group_number_at_0_01: int | None
    space_group_symbol_at_0_01: str | None
    symmetry_engine: str | None
    cell_a_a: float | None = Field(description="Conventional cell at 0.1 Å: a, in Å")
    cell_b_a: float | None = Field(description="Conventional cell at 0.1 Å: b, in Å")
    cell_c_a: float | None = Field(description="Conventional cell at 0.1 Å: c, in Å")
    cell_alpha_deg: float | None
    cell_beta_deg: float | None
    cell_gamma_deg: float | None
    protostructure: str | None
    lattice_a: list[list[float]] | None
    positions_a: list[list[float]]
    species: list[dict[str, Any]]
    species_at_sites: list[str]
    dimension_types: list[int]
    fingerprint: str
    fingerprint_version: int
    parent_id: UUID | None
    source: str | None
    external_id: str | None
    licence: str | None
    tags: list[str]
    updated_at: datetime
    source_format: str | None
    source_sha256: str | None
    extra: dict[str, Any]


class SourceRow(BaseModel):
    """A place in a file where a structure was found."""

    source_name: str
    place: int = Field(description="Which of the file's structures it is, from 1")
    source_format: str
    source_sha256: str
    created_at: datetime


class Neighbour(BaseModel):
    """A structure near another in a model's space."""

    id: UUID
    name: str | None
    reduced_formula: str
    space_group_symbol_at_0_1: str | None
    distance: float
