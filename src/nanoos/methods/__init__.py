"""How a number was calculated, and which numbers may be compared."""

from nanoos.methods.comparison import (
    Difference,
    Level,
    comparable,
    comparable_groups,
    differences,
    level,
)
from nanoos.methods.document import document, of_document, sha256
from nanoos.methods.functional import functional_name
from nanoos.methods.method import Method, Potential

__all__ = [
    "Difference",
    "Level",
    "Method",
    "Potential",
    "comparable",
    "comparable_groups",
    "differences",
    "document",
    "functional_name",
    "level",
    "of_document",
    "sha256",
]
