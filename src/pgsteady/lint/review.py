"""Revisions looked at one by one, each on top of what those before it made."""

from __future__ import annotations

import tomllib
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from alembic.script import Script
from alembic.util import CommandError

from pgsteady.errors import ProjectUnreadable, RevisionUnknown
from pgsteady.finding import Finding, Severity
from pgsteady.lint import ignores, squawk
from pgsteady.lint.hit import Hit
from pgsteady.lint.reading import Revision, read
from pgsteady.lint.rules import CHECKS, RULES
from pgsteady.lint.rules.data import inner, repeats
from pgsteady.lint.rules.directions import check_downgrade, check_one_change
from pgsteady.lint.rules.history import check_history, default_base
from pgsteady.lint.rules.source import check_source
from pgsteady.lint.rules.transactions import check_together, locks
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, relation
from pgsteady.project import Project


@dataclass(frozen=True)
class Review:
    """What was looked at, and what was found: in the revisions' order, then by line."""

    revisions: list[str]
    findings: list[Finding]

    def seen_from(self, folder: Path) -> Review:
        """Return it with the files named as from ``folder``, where they lie below it."""
        findings = [
            replace(one, file=one.file.relative_to(folder))
            if one.file and one.file.is_relative_to(folder)
            else one
            for one in self.findings
        ]
        return replace(self, findings=findings)

    @property
    def failed(self) -> bool:
        """Whether one of the findings is more than worth knowing."""
        return any(finding.severity != Severity.INFO for finding in self.findings)


def lint(project: Project, wanted: Sequence[str] = (), *, base: str | None = None) -> Review:
    """Look at the revisions ``wanted``: ids, ``head``, ``FIRST:LAST``; all unless named.

    ``base`` is the git reference whose revisions may not be edited any more; by default
    the one of ``[tool.pgsteady.lint]``, else the default branch of ``origin``.

    Raises:
        RevisionUnknown: a name fits no revision.
        ProjectUnreadable: a revision cannot be imported, or the chain is broken.
        EnvironmentFault: squawk is not installed.
    """
    settings = _settings(project)
    scripts = _in_order(project)
    chosen = _chosen(project, wanted) if wanted else {one.revision for one in scripts}
    every = [read(project, script) for script in scripts]
    schema = Schema()
    found: list[tuple[str, Finding]] = []
    for revision in every:
        schema.begin_revision()
        if revision.id in chosen:
            found += [(revision.id, one) for one in look_at(revision, schema, project.options)]
        else:
            _apply(revision.upgrade.statements, schema)
    base = base or settings.get("base") or default_base(project.ini.parent)
    for of, hit in check_history(project, every, base):
        if of is None or of.id in chosen:
            found.append((of.id if of else "", finding(hit, of.path if of else project.ini, None)))
    looked_at = [one for one in every if one.id in chosen]
    kept = _without_ignored(found, looked_at, settings, project)
    place = {one.path: number for number, one in enumerate(looked_at)}
    kept.sort(key=lambda one: (place.get(one.file or project.ini, -1), one.line or 0))
    return Review([one.id for one in looked_at], list(dict.fromkeys(kept)))


def look_at(revision: Revision, schema: Schema, options: Any) -> Iterator[Finding]:
    """Return what is found in one revision; ``schema`` is what it meets and then what it leaves."""
    statements = revision.upgrade.statements
    placed = list(_statement_by_statement(statements, schema))
    placed += check_together(statements, schema)
    placed = [(s, hit) for s, hit in placed if not _replaced(s, hit, statements)]
    placed += check_downgrade(statements, revision.downgrade.statements)
    if "lock_timeout_s" not in options and "lock_timeout" not in schema.settings:
        waiting = [s for s in statements if s.transaction is not None and locks(s, schema)]
        placed += [(s, Hit("no-lock-timeout", "")) for s in waiting[:1]]
    for statement, hit in placed:
        yield finding(hit._replace(object=hit.object or revision.id), revision.path, statement.line)
    for hit in check_one_change(statements, schema):
        yield finding(hit, revision.path, None)
    yield from _of_the_file(revision)
    yield from _of_squawk(revision)


def finding(hit: Hit, path: Path, line: int | None) -> Finding:
    """Return a hit as the finding of its rule."""
    rule = RULES[hit.code]
    return Finding(
        severity=rule.severity,
        code=rule.code,
        object=hit.object,
        message=f"{hit.detail}: {rule.effect}" if hit.detail else rule.effect,
        cure=rule.cure,
        file=path,
        line=line,
    )


def _statement_by_statement(
    statements: Iterable[Statement], schema: Schema
) -> Iterator[tuple[Statement, Hit]]:
    for statement in statements:
        if statement.problem:
            yield statement, Hit("syntax-error", statement.text[:60], statement.problem)
        within = [] if repeats(statement) else inner(statement, schema)
        for one in (statement, *within):
            for check in CHECKS:
                for hit in check(one, schema):
                    yield statement, hit
            schema.apply(one)


def _apply(statements: Iterable[Statement], schema: Schema) -> None:
    for statement in statements:
        schema.apply(statement)


def _replaced(statement: Statement, hit: Hit, statements: Sequence[Statement]) -> bool:
    """Tell whether a view takes the name that is given up, in the same transaction."""
    renamed = statement.tree.get("rename_type") == "OBJECT_TABLE"
    dropped = hit.code == "drop-breaks-code"
    return (dropped or (renamed and hit.code == "rename-breaks-code")) and any(
        one.kind == "view_stmt"
        and relation(one.tree["view"]) == hit.object
        and one.transaction == statement.transaction
        for one in statements
    )


def _of_the_file(revision: Revision) -> Iterator[Finding]:
    located = list(check_source(revision))
    for problem in (*revision.upgrade.problems, *revision.downgrade.problems):
        located.append((problem.line, Hit(problem.code, revision.id, problem.detail[:80])))
    seen = set()
    for line, hit in located:
        if (hit.code, line) not in seen:  # seen in the file and when it ran
            seen.add((hit.code, line))
            yield finding(hit, revision.path, line)


def _of_squawk(revision: Revision) -> Iterator[Finding]:
    for statement, entry in squawk.opinions(revision.upgrade.statements):
        if severity := squawk.severity(entry["rule_name"]):
            yield Finding(
                severity=severity,
                code=f"squawk-{entry['rule_name']}",
                object=relation(statement.tree.get("relation")) or revision.id,
                message=entry["message"],
                cure=entry.get("help") or "",
                file=revision.path,
                line=statement.line,
            )


def _without_ignored(
    found: list[tuple[str, Finding]],
    revisions: list[Revision],
    settings: dict[str, Any],
    project: Project,
) -> list[Finding]:
    pyproject = project.ini.with_name("pyproject.toml")
    written = [one for revision in revisions for one in ignores.comments(revision)]
    every = [*written, *ignores.configured(settings, pyproject)]
    ids = {revision.path: revision.id for revision in revisions}
    narrowed = [replace(one, revision=ids.get(one.file, one.revision)) for one in every]
    kept, used = ignores.apply(found, narrowed)
    for ignore in narrowed:
        codes = ", ".join(sorted(ignore.codes)) or "nothing"
        if not ignore.reason:
            kept.append(finding(Hit("ignore-without-reason", codes), ignore.file, ignore.line))
        elif ignore not in used and ignore.file != pyproject:
            kept.append(finding(Hit("unused-ignore", codes), ignore.file, ignore.line))
    return kept


def _settings(project: Project) -> dict[str, Any]:
    file = project.ini.with_name("pyproject.toml")
    if not file.exists():
        return {}
    try:
        tool = tomllib.loads(file.read_text()).get("tool", {})
    except tomllib.TOMLDecodeError as error:
        raise ProjectUnreadable(f"{file}: {error}") from error
    settings: dict[str, Any] = tool.get("pgsteady", {}).get("lint", {})
    return settings


def _in_order(project: Project) -> list[Script]:
    try:
        return list(project.script.walk_revisions())[::-1]
    except Exception as error:  # importing the revisions runs the user's code
        raise ProjectUnreadable(
            f"The revisions cannot be read: {type(error).__name__}: {error}",
            hint="`alembic history` reads them in the same way; make that work first.",
        ) from error


def _chosen(project: Project, wanted: Sequence[str]) -> set[str]:
    found: set[str] = set()
    for name in wanted:
        first, colon, last = name.partition(":")
        try:
            if colon:
                scripts = project.script.walk_revisions(first or "base", last or "heads")
            else:
                scripts = iter(project.script.get_revisions(name))
            found |= {script.revision for script in scripts if script is not None}
        except CommandError as error:
            raise RevisionUnknown(
                str(error), hint="`alembic history` lists the revisions that there are."
            ) from error
    return found
