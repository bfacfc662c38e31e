"""The structures of one formula compared with each other; done in any process.

Nothing here imports SQLAlchemy: the processes start the faster.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple
from uuid import UUID

from api.schemas.duplicates import Pair
from nanoos.structures import Structure
from nanoos.structures.matching import near_duplicates

COMPARE = "api.services.comparing:compare"
"""The work that a pool of processes does."""


class Bucket(NamedTuple):
    """The structures of one formula, which are to be compared."""

    reduced_formula: str
    ids: list[UUID]
    structures: list[Structure]


def compare(bucket: Bucket) -> Iterator[Pair]:
    """Yield the pairs of a bucket that match."""
    for found in near_duplicates(bucket.structures):
        match = found.match
        yield Pair(
            id=bucket.ids[found.one],
            other_id=bucket.ids[found.other],
            rms_a=match.rms_a,
            max_a=match.max_a,
            strain=match.strain,
        )
