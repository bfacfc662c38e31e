"""What a line of an export says of a result, checked; see `nanoos.writers.RESULT_FIELDS`."""

from __future__ import annotations

from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import BaseModel, ConfigDict, Field, FiniteFloat, field_validator

_Vectors = list[tuple[FiniteFloat, FiniteFloat, FiniteFloat]]


MAX_INTEGER = 2**31 - 1
"""That a database has a place for."""


class ExportedResult(BaseModel):
    """A result; what has no field here is a quantity.

    Fields with a default are those that earlier exports do not have.
    """

    model_config = ConfigDict(extra="allow")
    __pydantic_extra__: dict[str, FiniteFloat | None]

    id: UUID
    origin: Literal["submitted", "imported"]
    workflow: str | None
    engine: str | None
    project: str | None
    is_converged: bool
    method: dict[str, Any]
    forces_ev_per_a: _Vectors | None
    stress_gpa: _Vectors | None
    magnetic_moments_mu_b: list[FiniteFloat] | _Vectors | None
    convergence: dict[str, Any]
    data: dict[str, Any]
    provenance: dict[str, Any]
    artifacts: list[dict[str, Any]]
    wall_time_s: FiniteFloat | None = Field(ge=0)
    n_cores: int | None = Field(ge=1, le=MAX_INTEGER)
    status: Literal["succeeded", "failed", "cancelled"] = "succeeded"
    error_type: str | None = None
    error: str | None = None
    parameters: dict[str, Any] = {}
    engine_parameters: dict[str, Any] = {}
    input_structure: dict[str, Any] | None = None
    started_at: datetime | None = None
    finished_at: datetime | None = None
    source_name: str | None = None
    source_sha256: str | None = Field(None, pattern="^[0-9a-f]{64}$")
    source_place: int | None = Field(None, ge=1, le=MAX_INTEGER)
    source_is_last: bool | None = None
    job_id: str
    method_sha256: str
    created_at: str

    @field_validator("data")
    @classmethod
    def _holds_its_arrays(cls, data: dict[str, Any]) -> dict[str, Any]:
        """Refuse references to artifacts: exports have the values, and files may be another's."""
        for name, entry in data.items():
            if isinstance(entry, dict) and "artifact" in entry:
                raise ValueError(f"{name} has no values, and refers to an artifact")
        return data

    @field_validator("provenance")
    @classmethod
    def _names_files(cls, provenance: dict[str, Any]) -> dict[str, Any]:
        files = provenance.get("files") or {}
        if not isinstance(files, dict) or not all(isinstance(one, str) for one in files.values()):
            raise ValueError("files says no names with their sha256")
        return provenance

    @property
    def quantities(self) -> dict[str, float | None]:
        """The quantities, by name."""
        return self.__pydantic_extra__


class ExportedLine(BaseModel):
    """A result, and what is said of the structure that it belongs to."""

    origin: str
    source_name: str | None
    source_format: str | None
    result: ExportedResult
