"""What an embedder is, and what it hands back."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Protocol

import numpy as np
from numpy.typing import NDArray

from nanoos.errors import EmbeddingError
from nanoos.structures import Structure


@dataclass(frozen=True, slots=True)
class Embedded:
    """The vectors of some structures, in their order.

    Parameters
    ----------
    vectors
        (n, dimension) float32; the row of a structure that failed is NaN.
    failures
        Why, by the index of the structure; empty when all went well.
    """

    vectors: NDArray[np.float32]
    failures: dict[int, EmbeddingError]


class Embedder(Protocol):
    """A model that gives every structure a vector of one fixed dimension.

    Vectors of one name and version are comparable with each other and with no others.
    """

    name: str
    """The name under which it is asked for, as in its entry point."""
    version: str
    """Raised whenever the same structure may get another vector."""
    dimension: int
    """The length of each vector."""
    metric: str
    """The distance to compare them by: ``l2``, the Euclidean one."""

    def embed(self, structures: Sequence[Structure]) -> Embedded:
        """Return a vector for each structure; one that fails does not stop the others."""
