"""Proof that a database holds what it held, and that what must hold does."""

from pgsteady.verify.comparison import compare
from pgsteady.verify.evidence import Evidence
from pgsteady.verify.examination import examine
from pgsteady.verify.sampling import Sample
from pgsteady.verify.taking import take

__all__ = ["Evidence", "Sample", "compare", "examine", "take"]
