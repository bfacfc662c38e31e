"""What a rule is: its code, how bad it is, what happens to whom, and the safe form.

``ERROR`` and ``WARNING`` make ``lint`` fail, ``INFO`` does not. An error was seen to block
others for as long as a table is large, to fail on existing rows, or to lose data; what
breaks running programs is a warning, and so is what breaks later.
"""

from __future__ import annotations

from dataclasses import dataclass

from pgsteady.finding import Severity

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

IN_STEPS = (
    "in steps: add the new column, write both, copy in batches, switch reads, drop the old one"
)
AUTOCOMMIT = "inside `with op.get_context().autocommit_block():`"


@dataclass(frozen=True)
class Rule:
    """One thing that a revision should not do.

    ``effect`` says what it would do to whom, ``cure`` is the safe form.
    """

    code: str
    severity: Severity
    effect: str
    cure: str
