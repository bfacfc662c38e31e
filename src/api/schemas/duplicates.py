"""Structures that are the same in some sense, in groups."""

from __future__ import annotations

from enum import StrEnum
from uuid import UUID

from pydantic import BaseModel, Field


class Tier(StrEnum):
    """In which sense structures are the same."""

    FILE = "file"
    EXACT = "exact"
    PROTOSTRUCTURE = "protostructure"
    NEAR = "near"


class Member(BaseModel):
    """One of a group: a structure, at one of its places in files (from 1), or a file's name."""

    id: UUID | None = None
    name: str | None = None
    reduced_formula: str | None = None
    visibility: str | None = None
    source: str | None = None
    source_name: str | None = None
    place: int | None = None


class Group(BaseModel):
    """What is the same, and in which sense."""

    key: str = Field(description="sha256, fingerprint, label, or id of the first")
    size: int
    members: list[Member] = Field(description="The first of them")


class Groups(BaseModel):
    """Groups of one tier, the largest first."""

    tier: Tier
    count: int = Field(description="How many groups there are on all pages")
    groups: list[Group]


class TierCount(BaseModel):
    """How many groups there are of a tier, and how many members the largest has."""

    tier: Tier
    count: int
    largest: int


class Pair(BaseModel):
    """Two structures that nearly match: displacements of sites in Å, and the cells' strain."""

    id: UUID
    other_id: UUID
    rms_a: float
    max_a: float
    strain: float


class NotCompared(BaseModel):
    """Structures of one formula that were not compared to the end, and why."""

    reduced_formula: str
    structures: int
    reason: str


class NearDuplicates(Groups):
    """Groups of near-duplicates: each is within the tolerances of another one of its group.

    ``compared`` structures had another of their formula; ``linked`` pairs were stored.
    """

    compared: int = 0
    linked: int = 0
    pairs: list[Pair] = []
    not_compared: list[NotCompared] = []
