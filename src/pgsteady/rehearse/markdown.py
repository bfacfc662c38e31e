"""A rehearsal's report for a merge request."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING

from pgsteady.finding import Finding, Severity
from pgsteady.rehearse import wording
from pgsteady.rehearse.gathering import gathered
from pgsteady.rehearse.running import Step
from pgsteady.rehearse.sizes import readable

if TYPE_CHECKING:
    from pgsteady.rehearse.report import Rehearsal

SIZES_SHOWN = 10


def markdown(rehearsal: Rehearsal) -> str:
    """Return the report in GitHub's and GitLab's Markdown."""
    return "\n".join(_lines(rehearsal)) + "\n"


def _lines(rehearsal: Rehearsal) -> Iterator[str]:
    yield f"## {_text(wording.verdict(rehearsal))}"
    yield ""
    yield f"Rehearsed at {rehearsal.began_at:%Y-%m-%d %H:%M %Z} for {_code(rehearsal.database)}, "
    yield f"on {_text(rehearsal.copy)}."
    yield ""
    found = gathered(rehearsal.findings)
    yield from _list(_found(one) for one in found if one.severity == Severity.ERROR)
    for step in rehearsal.steps:
        yield from _step(rehearsal, step)
    others = [one for one in found if one.severity != Severity.ERROR]
    if others:
        yield "### Worth knowing"
        yield ""
        yield from _list(map(_found, others))
    if rehearsal.lint:
        yield "### What lint says, which is no part of the verdict"
        yield ""
        yield from _list(map(_found, gathered(rehearsal.lint)))
        if stops := wording.lint_stops(rehearsal):
            yield from (_text(f"{stops}."), "")
    yield from _sizes(rehearsal)
    yield "### The way back"
    yield ""
    for way in rehearsal.way_back:
        yield f"- {_code(way)}"
    yield from _list(rehearsal.lost, "What undoing loses: ")
    yield ""
    yield "### Where the times come from"
    yield ""
    yield from _list([*rehearsal.basis.words, wording.CAVEATS])
    yield f"Change {_code(rehearsal.change_sha256)}"


def _step(rehearsal: Rehearsal, step: Step) -> Iterator[str]:
    yield f"### {_text(step.revision)}: {wording.duration(step.ms)}"
    yield ""
    yield "| where | statement | on the copy | live, about | locks, and how long | does |"
    yield "|---|---|--:|--:|---|---|"
    for statement in step.statements:
        cells = [
            _text(statement.place),
            _code(wording.short(statement.sql)),
            wording.duration(statement.ms),
            wording.duration(rehearsal.live_ms(statement)),
            "<br>".join(
                f"{_text(wording.lock(one))}: {wording.meaning(one)}" for one in statement.locks
            ),
            _text(", ".join(wording.effects(statement))),
        ]
        yield f"| {' | '.join(cells)} |"
    yield ""


def _sizes(rehearsal: Rehearsal) -> Iterator[str]:
    changed = [size for size in rehearsal.sizes if size.before != size.after][:SIZES_SHOWN]
    before, after = rehearsal.whole_size
    yield "### Sizes"
    yield ""
    yield "| | before | after |"
    yield "|---|--:|--:|"
    for size in changed:
        yield f"| {_text(size.name)} | {readable(size.before)} | {readable(size.after)} |"
    yield f"| all | {readable(before)} | {readable(after)} |"
    yield ""


def _found(finding: Finding) -> str:
    cure = f" {finding.cure}" if finding.cure else ""
    return f"{finding.severity}: {finding.object}: {finding.message} ({finding.code}).{cure}"


def _list(items: Iterable[str], start: str = "") -> Iterator[str]:
    listed = [f"- {_text(start + item)}" for item in items]
    if listed:
        yield from [*listed, ""]


def _text(said: str) -> str:
    """Write text so that nothing in it is taken for Markdown or HTML."""
    return re.sub(r"([\\`*_{}\[\]<>|~#&])", r"\\\1", " ".join(said.split()))


def _code(said: str) -> str:
    """Write text as code, in a cell of a table too."""
    said = " ".join(said.split()).replace("|", r"\|")
    fence = "`" * (max((len(run) for run in re.findall("`+", said)), default=0) + 1)
    space = " " if said.startswith("`") or said.endswith("`") else ""
    return f"{fence}{space}{said}{space}{fence}"
