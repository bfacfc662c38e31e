"""Findings that somebody has decided to live with, each for a reason.

In a revision: ``# pgsteady: ignore[code, …] the reason``. At the end of a statement's
line or on the line above it, the comment is for that statement; at the left margin, for
the whole file. In ``pyproject.toml`` beside ``alembic.ini``::

    [[tool.pgsteady.lint.ignore]]
    code = "drop-column"
    revision = "002_*"      # optional, as object: patterns of the shell
    object = "users.*"
    reason = "unused since 2025"
"""

from __future__ import annotations

import ast
import io
import re
import tokenize
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from fnmatch import fnmatchcase
from pathlib import Path
from typing import Any

from pgsteady.finding import Finding
from pgsteady.lint.reading import Revision
from pgsteady.lint.rule import INFO, WARNING, Rule

RULES = (
    Rule(
        "ignore-without-reason",
        WARNING,
        "nobody will know whether it still holds",
        "# pgsteady: ignore[code] the reason",
    ),
    Rule(
        "unused-ignore",
        INFO,
        "it hides nothing now, but may hide something later",
        "remove it",
    ),
)


_COMMENT = re.compile(r"#\s*pgsteady:\s*ignore\[([\w\s,-]*)\]\s*(.*)")


@dataclass(frozen=True)
class Ignore:
    """One decision. ``first`` and ``last`` are lines of the file; None is all of it."""

    codes: frozenset[str]
    reason: str
    file: Path
    line: int | None
    first: int | None = None
    last: int | None = None
    revision: str = "*"
    object: str = "*"

    def hides(self, finding: Finding, revision: str) -> bool:
        """Tell whether the finding was decided on."""
        return (
            bool(self.reason)
            and finding.code in self.codes
            and fnmatchcase(revision, self.revision)
            and fnmatchcase(finding.object, self.object)
            and (self.first is None or self.first <= (finding.line or 0) <= (self.last or 0))
        )


def comments(revision: Revision) -> Iterator[Ignore]:
    """Return the ignores that stand in a revision's file."""
    for token in tokenize.generate_tokens(io.StringIO(revision.source).readline):
        if token.type != tokenize.COMMENT or not (found := _COMMENT.match(token.string)):
            continue
        codes = frozenset(filter(None, (code.strip() for code in found[1].split(","))))
        line, column = token.start
        first, last = (None, None) if column == 0 else _statement(revision.tree, line)
        yield Ignore(codes, found[2].strip(), revision.path, line, first, last)


def _statement(tree: ast.Module, line: int) -> tuple[int, int]:
    """Return the lines of the innermost statement at ``line``, else of the next one."""
    found = [node for node in ast.walk(tree) if isinstance(node, ast.stmt)]
    simple = [node for node in found if not hasattr(node, "body")]
    here = [node for node in simple if node.lineno <= line <= (node.end_lineno or 0)]
    after = sorted((node for node in found if node.lineno > line), key=lambda node: node.lineno)
    chosen = (here or after or [tree.body[-1]])[0]
    return chosen.lineno, chosen.end_lineno or chosen.lineno


def configured(settings: dict[str, Any], file: Path) -> Iterator[Ignore]:
    """Return the ignores of ``[tool.pgsteady.lint]``."""
    for entry in settings.get("ignore", []):
        yield Ignore(
            codes=frozenset([entry.get("code", "")]),
            reason=entry.get("reason", "").strip(),
            file=file,
            line=None,
            revision=entry.get("revision", "*"),
            object=entry.get("object", "*"),
        )


def apply(
    findings: Iterable[tuple[str, Finding]], ignores: list[Ignore]
) -> tuple[list[Finding], set[Ignore]]:
    """Return the findings that remain, and the ignores that hid one."""
    kept, used = [], set()
    for revision, finding in findings:
        hiding = [ignore for ignore in ignores if ignore.hides(finding, revision)]
        if hiding:
            used.update(hiding)
        else:
            kept.append(finding)
    return kept, used
