"""squawk's opinion of a revision's SQL, through its JSON.

Where a rule of ours looks at the same thing with the schema in mind, ours decides; squawk
adds what it alone knows, as ``squawk-<its rule>``; what a newer squawk knows is
reported as worth knowing.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from pgsteady.errors import EnvironmentFault
from pgsteady.finding import Severity
from pgsteady.lint.sql import Statement

OURS = {
    "require-concurrent-index-creation": "index-blocks-writes",
    "require-concurrent-index-deletion": "drop-index-waits",
    "require-concurrent-reindex": "reindex-blocks",
    "require-concurrent-partition-detach": "brief-lock",
    "ban-concurrent-index-creation-in-transaction": "cannot-run-in-transaction",
    "constraint-missing-not-valid": "check-scans",
    "adding-foreign-key-constraint": "foreign-key-blocks-writes",
    "disallowed-unique-constraint": "unique-builds-index",
    "adding-serial-primary-key-field": "primary-key-builds-index",
    "adding-not-nullable-field": "not-null-scans",
    "adding-required-field": "required-column",
    "adding-field-with-default": "volatile-default",
    "changing-column-type": "type-rewrites",
    "renaming-column": "rename-breaks-code",
    "renaming-table": "rename-breaks-code",
    "ban-drop-column": "drop-column",
    "ban-drop-table": "drop-table",
    "ban-drop-database": "drop-takes-data",
    "ban-drop-not-null": "not-null-dropped",
    "ban-truncate-cascade": "truncate-loses-rows",
    "ban-alter-domain-with-add-constraint": "domain-check-scans",
    "prefer-repack": "table-rewrite",
    "ban-drop-view": "drop-breaks-code",
    "ban-drop-type": "drop-in-use",
    "ban-drop-domain": "drop-in-use",
    "ban-drop-schema": "drop-takes-data",
    "ban-drop-extension": "drop-takes-data",
    "ban-drop-constraint": "constraint-dropped",
    "ban-drop-index": "drop-index-waits",
    "ban-disable-trigger": "brief-lock",
    "ban-set-schema": "rename-breaks-code",
    "renaming-object": "rename-breaks-code",
    "require-lock-timeout": "no-lock-timeout",
    "syntax-error": "syntax-error",
}
"""Rules of squawk, and ours that looks at the same."""

UNWANTED = {
    "prefer-robust-stmts": "IF NOT EXISTS hides an object that is not what the revision makes",
    "require-statement-timeout": "a statement cut short leaves as much undone as one that failed",
    "require-table-schema": "which schema is meant is env.py's business",
    "require-timeout-settings": "the same as the two rules for each timeout",
    "unused-ignore": "its own comments are not ours",
}
"""Rules of squawk that are left out, and why."""

WORSE = {
    "ban-duplicate-column-assignments": Severity.ERROR,
    "ban-uncommitted-transaction": Severity.WARNING,
    "transaction-nesting": Severity.WARNING,
}
"""Rules of squawk that are more than worth knowing."""


def severity(rule: str) -> Severity | None:
    """Return how bad a rule of squawk is, None where it is not reported."""
    if rule in OURS or rule in UNWANTED:
        return None
    return WORSE.get(rule, Severity.INFO)


def opinions(statements: Sequence[Statement]) -> Iterator[tuple[Statement, dict[str, Any]]]:
    """Return each statement that squawk says something of, with squawk's entry.

    Statements of a transaction are shown to it as one file, so that it knows which tables
    they make.

    Raises:
        EnvironmentFault: squawk is not installed.
    """
    inside = [one for one in statements if one.transaction is not None]
    alone = [one for one in statements if one.transaction is None]
    for group, flags in ((inside, ["--assume-in-transaction"]), (alone, [])):
        if group:
            yield from _ask(group, flags)


def _ask(group: list[Statement], flags: list[str]) -> Iterator[tuple[Statement, dict[str, Any]]]:
    lines: list[Statement] = []
    for statement in group:
        lines += [statement] * (statement.text.count("\n") + 1)
    run = subprocess.run(
        [_program(), "--reporter=json", "--stdin-filepath=revision.sql", *flags],
        input="".join(f"{statement.text};\n" for statement in group),
        capture_output=True,
        encoding="utf-8",
        check=False,
    )
    try:
        found = json.loads(run.stdout or "[]")
    except json.JSONDecodeError as error:
        raise EnvironmentFault(f"squawk did not answer in JSON: {run.stderr.strip()}") from error
    for entry in found:
        yield lines[min(entry["line"], len(lines) - 1)], entry


def _program() -> str:
    beside = Path(sys.executable).with_name("squawk")
    program = str(beside) if beside.exists() else shutil.which("squawk")
    if program is None:
        raise EnvironmentFault("squawk is not installed.", hint="pip install squawk-cli")
    return program
