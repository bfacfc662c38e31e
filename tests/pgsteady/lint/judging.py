"""What lint, and squawk alone, say of a case of the corpus."""

from __future__ import annotations

from collections import Counter
from pathlib import Path
from typing import NamedTuple

from observe import CORPUS, Case, cases, labels

from pgsteady.finding import Finding, Severity
from pgsteady.lint import squawk
from pgsteady.lint.reading import Revision, Run
from pgsteady.lint.review import look_at
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, parse

LOCK_TIMEOUT = {"lock_timeout_s": 5}
"""What env.py tells Alembic where pgsteady.env runs it."""


def findings(case: Case, *, alone: bool = False) -> list[Finding]:
    """Look at the case as at a revision that follows the corpus' schema.

    ``alone``: nothing is known of what the revisions before it have made.
    """
    schema = Schema()
    known = [] if alone else [(CORPUS / "schema.sql").read_text(), case.earlier or ""]
    for sql in known:
        schema.begin_revision()
        for statement in parse(sql):
            schema.apply(statement)
    schema.begin_revision()
    nothing = '"""Why."""\ndef upgrade(): pass\ndef downgrade(): pass\n'
    run = Run(statements(case))
    revision = Revision("003_case", Path("003_case.py"), ("002",), nothing, run, Run())
    return list(look_at(revision, schema, LOCK_TIMEOUT))


def statements(case: Case) -> list[Statement]:
    return parse(case.sql, 3, None if case.autocommit else 0)


def alarmed(case: Case, *, alone: bool = False) -> bool:
    return any(finding.severity != Severity.INFO for finding in findings(case, alone=alone))


def squawk_says(case: Case) -> set[str]:
    return {entry["rule_name"] for _, entry in squawk.opinions(statements(case))}


def better_rules_of_squawk() -> set[str]:
    """Return the rules that are right more often than wrong on the corpus.

    So chosen with the answers at hand, they are the best that squawk can do there.
    """
    known, balance = labels(), Counter[str]()
    for case in cases():
        label = list(known[case.name].values())[-1]["label"]
        for rule in squawk_says(case):
            balance[rule] += {"bad": 1, "good": -1}.get(label, 0)
    return {rule for rule, right in balance.items() if right > 0}


class Score(NamedTuple):
    """Names of cases: bad ones found and missed, good ones left alone and not."""

    found: list[str]
    missed: list[str]
    quiet: list[str]
    false_alarms: list[str]


def score(file: str, positive: dict[str, bool]) -> Score:
    """Compare who was alarmed by which case with what PostgreSQL did."""
    result = Score([], [], [], [])
    known = labels(file)
    for case in cases(file):
        label = list(known[case.name].values())[-1]["label"]
        if label == "bad":
            (result.found if positive[case.name] else result.missed).append(case.name)
        elif label == "good":
            (result.false_alarms if positive[case.name] else result.quiet).append(case.name)
    return result
