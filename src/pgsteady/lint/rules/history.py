"""The chain of revisions: order, numbers, and what has landed already.

What others may have run is what a git reference holds, by default the branch that
``origin`` calls its default: a file that it has may not change in what it does. Nothing
has to be kept for that beside the history that there is anyway; which database has run
which text is another question, which ``doctor`` answers from the audit.
"""

from __future__ import annotations

import ast
import re
import subprocess
from collections import defaultdict
from collections.abc import Iterator, Sequence
from pathlib import Path

from alembic.script import ScriptDirectory

from pgsteady.lint.hit import Hit
from pgsteady.lint.reading import Revision
from pgsteady.lint.rule import ERROR, INFO, WARNING, Rule
from pgsteady.project import Project

RULES = (
    Rule(
        "several-heads",
        ERROR,
        "`alembic upgrade head` refuses to choose",
        "alembic merge heads",
    ),
    Rule(
        "one-transaction",
        INFO,
        "all pending revisions run in one transaction, so the first one's locks are kept until the "
        "last is done, and what needs another transaction gets none",
        "context.configure(transaction_per_migration=True)",
    ),
    Rule(
        "duplicate-number",
        WARNING,
        "two revisions bear one number, so their order cannot be told by name",
        "give the newer one the next number, or merge the two branches",
    ),
    Rule(
        "number-out-of-order",
        WARNING,
        "it comes after a revision with a higher number",
        "give it the next number",
    ),
    Rule(
        "edited-revision",
        ERROR,
        "databases that have run it keep what it was; others get what it is now",
        "restore it, and put the change into a new revision",
    ),
    Rule(
        "long-revision-id",
        ERROR,
        "it does not fit into alembic_version.version_num, so the run fails at its end",
        "at most 32 characters, or a wider version table",
    ),
)


ALEMBICS_WIDTH = 32
"""Length of ``version_num`` where ``env.py`` does not widen it."""

_NUMBER = re.compile(r"(\d{3,})(?:_|$)")

Placed = tuple[Revision | None, Hit]


def check_history(
    project: Project, revisions: Sequence[Revision], base: str | None
) -> Iterator[Placed]:
    """Look at all revisions; ``base`` is the git reference that others build on."""
    heads = project.script.get_heads()
    if len(heads) > 1:
        yield None, Hit("several-heads", ", ".join(sorted(heads)))
    wide = "lock_timeout_s" in project.options  # pgsteady.env widens the version table
    if not project.options.get("transaction_per_migration"):
        yield None, Hit("one-transaction", "env.py")
    for revision in revisions:
        if len(revision.id) > ALEMBICS_WIDTH and not wide:
            yield revision, Hit("long-revision-id", revision.id, f"{len(revision.id)} characters")
    yield from _numbers(revisions, project.script)
    if base:
        yield from _edited(revisions, base)


def _numbers(revisions: Sequence[Revision], script: ScriptDirectory) -> Iterator[Placed]:
    bearers: dict[int, list[Revision]] = defaultdict(list)
    number = {one.id: int(found[1]) for one in revisions if (found := _NUMBER.match(one.id))}
    for revision in revisions:
        if revision.id not in number:
            continue
        bearers[number[revision.id]].append(revision)
        above = [
            parent for parent in revision.parents if number.get(parent, 0) > number[revision.id]
        ]
        if above:
            yield revision, Hit("number-out-of-order", revision.id, f"after {above[0]}")
    merged = len(script.get_heads()) <= 1
    for bearing in bearers.values():
        first, *others = bearing
        for other in others:
            branched = not _follows(script, other.id, first.id)
            if not (merged and branched):  # two branches, merged, keep their numbers
                yield other, Hit("duplicate-number", other.id, f"as {first.id}")


def _follows(script: ScriptDirectory, later: str, earlier: str) -> bool:
    return any(one.revision == earlier for one in script.iterate_revisions(later, "base"))


def _edited(revisions: Sequence[Revision], base: str) -> Iterator[Placed]:
    for revision in revisions:
        landed = _git(revision.path.parent, "show", f"{base}:./{revision.path.name}")
        if landed is not None and _meaning(landed) != _meaning(revision.source):
            yield revision, Hit("edited-revision", revision.id, f"differs from {base}")


def default_base(folder: Path) -> str | None:
    """Return the branch that others build on, None without git or ``origin``."""
    return (_git(folder, "rev-parse", "--abbrev-ref", "origin/HEAD") or "").strip() or None


def _git(folder: Path, *arguments: str) -> str | None:
    try:
        run = subprocess.run(
            ["git", *arguments], cwd=folder, capture_output=True, text=True, check=False
        )
    except FileNotFoundError:
        return None
    return run.stdout if run.returncode == 0 else None


def _meaning(source: str) -> str:
    """Return what a file does: comments, layout and docstrings do not count."""
    try:
        tree = ast.parse(source)
    except SyntaxError:
        return source
    for node in ast.walk(tree):
        if isinstance(node, ast.Module | ast.FunctionDef) and ast.get_docstring(node) is not None:
            node.body = node.body[1:]
    return ast.dump(tree)
