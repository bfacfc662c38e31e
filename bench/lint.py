"""Claim: lint finds what PostgreSQL was seen to do badly, and more of it than squawk alone.

The statements of tests/pgsteady/lint/corpus, each with a label that was observed on filled
tables of PostgreSQL 16 and 18 (observe.py), are shown to lint and to squawk in one run. Bad
is what blocked others for as long as a table is large, failed, or lost data. Both see a
statement as the revision it stands in; lint also knows the revisions before it, squawk has
no way to, so lint is shown without them too. squawk is counted as it comes, and with those of
its rules alone that are right more often than wrong on `cases`, which is the best that can be
chosen for it.

What it does not show: the corpus and the rules have one author. `held_out` was written after
the rules, which were not changed because of it; it is small, and of the same author too.

Run: python bench/lint.py
"""

from __future__ import annotations

import sys
import time
from collections.abc import Callable
from functools import partial
from pathlib import Path

sys.path.insert(0, str(Path(__file__).parents[1] / "tests" / "pgsteady" / "lint"))

from judging import Score, alarmed, better_rules_of_squawk, score, squawk_says
from observe import Case, cases

BETTER = better_rules_of_squawk()
WHO: dict[str, Callable[[Case], bool]] = {
    "lint": alarmed,
    "lint, this revision only": partial(alarmed, alone=True),
    "squawk as it comes": lambda case: bool(squawk_says(case)),
    "squawk's better rules": lambda case: bool(squawk_says(case) & BETTER),
}


def line(who: str, result: Score, seconds: float, ours: Score) -> str:
    """One line of the table."""
    bad = len(result.found) + len(result.missed)
    good = len(result.quiet) + len(result.false_alarms)
    missed = f"{len(result.missed) / max(len(ours.missed), 1):.1f}" if who != "lint" else ""
    return (
        f"{who:25} {len(result.found):4}/{bad} ({len(result.found) / bad:4.0%})"
        f" {len(result.false_alarms):4}/{good} ({len(result.false_alarms) / good:4.0%})"
        f" {1000 * seconds / (bad + good):7.1f}  {missed}"
    )


def main() -> None:
    """Print both tables."""
    for file in ("cases", "held_out"):
        print(f"{file:25} bad found      false alarms    ms each  missed, × lint's")
        ours = Score([], [], [], [])
        for who, positive in WHO.items():
            start = time.perf_counter()
            result = score(file, {case.name: positive(case) for case in cases(file)})
            ours = result if who == "lint" else ours
            print(line(who, result, time.perf_counter() - start, ours))
        print(f"missed by lint: {', '.join(ours.missed) or 'nothing'}")
        print(f"lint's false alarms: {', '.join(ours.false_alarms) or 'none'}\n")


if __name__ == "__main__":
    main()
