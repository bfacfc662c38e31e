"""A result beside the same one calculated again."""

from __future__ import annotations

from pydantic import BaseModel, Field


class Compared(BaseModel):
    """One number, or the largest difference in an array, which has no ``before`` and ``now``."""

    name: str
    before: float | None = None
    now: float | None = None
    difference: float | None = Field(description="None where one of the two has no such value")
    tolerance: float
    agrees: bool


class Change(BaseModel):
    """What was another when it was calculated again."""

    what: str
    before: str | None
    now: str | None


class Reproduction(BaseModel):
    """Whether all numbers agree, each of them, and what else changed."""

    agrees: bool
    numbers: list[Compared]
    changed: list[Change]
