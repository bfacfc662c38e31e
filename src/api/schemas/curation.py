"""What came of tagging, publishing and deleting structures."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel, Field


class TagReport(BaseModel):
    """How many structures got other tags; ``existing`` had them so already."""

    changed: int
    existing: int


class Twin(BaseModel):
    """A private structure, and the public one that has exactly its content."""

    id: UUID
    public_id: UUID


class PublishReport(BaseModel):
    """What became public, or would by a dry run; ``existing`` were public already."""

    published: int
    existing: int
    twins: list[Twin] = Field(description="Not published: the same content is public already")


class Dependent(BaseModel):
    """A record that rests on a structure that is to be deleted."""

    kind: str = Field(description="structure, job or result")
    id: UUID
    description: str | None = Field(description="Name and origin, or workflow and status")


class Deletion(BaseModel):
    """What is to be deleted, or was: the structures chosen, and all that rests on them.

    When it is done, also how many materials and citations were left without any structure and
    went as well.
    """

    structures: list[UUID]
    public: int = Field(description="How many of all that goes can be read by everyone")
    dependents: list[Dependent]
    materials: int = 0
    citations: int = 0

    def of_kind(self, kind: str) -> list[UUID]:
        """Return the ids of the dependents of that kind."""
        return [dependent.id for dependent in self.dependents if dependent.kind == kind]
