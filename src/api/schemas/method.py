"""Methods as documents."""

from __future__ import annotations

from datetime import datetime
from typing import Any

from pydantic import BaseModel, Field

from nanoos.methods import Level


class MethodSummary(BaseModel):
    """One line of the list of methods; results and their elements are those in view."""

    sha256: str
    name: str
    code: str
    functional: str | None
    k_spacing_per_a: float | None = Field(description="With the factor 2π; None without k-points")
    groups: list[int] = Field(
        default=[],
        description="Energies of one group may be compared; numbered in a list, else empty",
    )
    results: int
    elements: list[str]
    created_at: datetime


class MethodDetail(MethodSummary):
    """A method with all that it states."""

    document: dict[str, Any]


class MethodDifference(BaseModel):
    """One way in which two methods differ, and the loosest level that it breaks."""

    what: str
    one: Any
    other: Any
    breaks: Level
    reason: str


class MethodComparison(BaseModel):
    """What two methods have in common, by their hashes; no level where not even the physics."""

    one: str
    other: str
    level: Level | None
    differences: list[MethodDifference]
