"""Reading part of a big table's values, and what may be missed by it."""

from __future__ import annotations

from dataclasses import dataclass

from pgsteady.verify.evidence import Content

SHARE = 1000
"""What may be missed is told of one changed row in so many."""


@dataclass(frozen=True)
class Sample:
    """Values are digested in one row of ``one_in``, in tables larger than ``above_bytes``.

    The rows are chosen by the hash of their primary key, so that it is the same ones
    before and after a change, which TABLESAMPLE cannot promise. Rows lost, added or
    replaced are found in any case: every key is read.
    """

    one_in: int
    above_bytes: int = 2**30

    def of(self, size: int, *, keyed: bool) -> int:
        """Return in how many rows of a table one is digested; without a key, in each."""
        return self.one_in if keyed and size > self.above_bytes else 1


def missed(one_in: int, changed: int) -> float:
    """Return the probability that none of so many changed rows is in the sample.

    Each row is in it with probability 1 / ``one_in``, independently of the others, as far
    as the hash is uniform: (1 - 1 / one_in) ** changed.
    """
    return float((1 - 1 / one_in) ** changed)


def confession(table: str, content: Content) -> str:
    """Say for people what may have been missed in a sampled table."""
    changed = max(1, content.rows // SHARE)
    one, many = missed(content.one_in, 1), missed(content.one_in, changed)
    return (
        f"{table}: every key was read, and the values of one row in {content.one_in:,}. If one "
        f"row in {SHARE:,} ({changed:,} of {content.rows:,}) had other values, that is missed "
        f"{_often(many)}; a single such row {_often(one)}."
    )


def _often(probability: float) -> str:
    if probability > 0.01:
        return f"with a probability of {probability:.0%}"
    return f"once in {1 / probability:,.0f} times" if probability > 1e-12 else "practically never"
