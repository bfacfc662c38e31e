"""What a rehearsal's runs mean: findings, and how bad they are."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from pgsteady.compare import Difference
from pgsteady.errors import StateUnavailable
from pgsteady.finding import Finding, Severity
from pgsteady.rehearse import wording
from pgsteady.rehearse.report import Rehearsal
from pgsteady.rehearse.running import Run, Step

NOTICEABLE_MS = 1000
"""From here on people notice that a table is closed."""

CHANGED_MEANWHILE = Finding(
    severity=Severity.WARNING,
    code="changed-meanwhile",
    object="the change",
    message="the database or a revision was changed during the rehearsal, which is not recorded",
    cure="Rehearse again.",
)


def not_recorded(error: StateUnavailable) -> Finding:
    """Say that the live database keeps no record of the rehearsal."""
    message, _, hint = str(error).partition("\n")
    return Finding(
        severity=Severity.WARNING,
        code="not-recorded",
        object="the rehearsal",
        message=f"it is not on record, so that `upgrade` will not know of it: {message}",
        cure=hint,
    )


def failure(run: Run, revisions: tuple[str, ...]) -> Finding:
    """Say which statement of a run failed, why, and what the live database would be then."""
    step = run.failed
    assert step is not None  # noqa: S101 - asked for a run that failed
    statement = next((one for one in step.statements if one.error), None)
    where = f"{statement.place}: {wording.short(statement.sql)}: " if statement else ""
    verb = "applied" if run.is_upgrade else "undone"
    return Finding(
        severity=Severity.ERROR,
        code="upgrade-fails" if run.is_upgrade else "downgrade-fails",
        object=f"revision {step.revision}",
        message=f"it cannot be {verb}: {where}{step.failure}. {_left(step, revisions)}",
        cure=""
        if run.is_upgrade
        else 'If it cannot be undone, let it say what is lost: irreversible = "…"',
    )


def _left(step: Step, revisions: tuple[str, ...]) -> str:
    """Say in which state a failed step leaves a database."""
    at = f"the database stays at {wording.named(revisions)}"
    lasting = [one for one in step.statements if one.committed]
    broken = [one for one in step.statements if one.error and one.alone]
    if not lasting and not broken:
        return f"All of it is rolled back; {at}."
    done = "; ".join(wording.short(one.sql, 80) for one in lasting) or "nothing before it"
    half = " What failed was in no transaction and may leave an INVALID index." if broken else ""
    return f"It commits half-way: {at}, and keeps: {done}.{half}"


def blocks(rehearsal: Rehearsal, longest_s: float) -> Iterator[Finding]:
    """Find the tables that are rewritten, or that others wait for too long."""
    for step in rehearsal.steps:
        for statement in step.statements:
            for name in statement.rewritten:
                yield Finding(
                    severity=Severity.INFO,
                    code="rewritten",
                    object=name,
                    message=f"{statement.place} writes all of it anew, under its lock",
                )
            for lock in statement.locks:
                expected = rehearsal.basis.live_ms(lock.held_ms, [lock.relation])
                too_long = expected > longest_s * 1000
                if lock.stops_writes and (too_long or expected > NOTICEABLE_MS):
                    yield Finding(
                        severity=Severity.ERROR if too_long else Severity.WARNING,
                        code="blocks-too-long" if too_long else "blocks",
                        object=lock.relation,
                        message=f"{statement.place} takes {lock.mode} ({wording.meaning(lock)}) "
                        f"for about {wording.duration(expected)}",
                        cure="`lint` names the form that blocks nobody for long."
                        if too_long
                        else "",
                    )


def difference(found: Difference, code: str) -> Finding:
    """Say in what the schema is not what it was."""
    was, is_now = (wording.short(text) or "nothing" for text in (found.expected, found.live))
    message = {
        "extra": "it is there, and was not before",
        "missing": f"it is missing; it was: {was}",
        "renamed": f"it is called {is_now}, and was called {was}",
        "changed": f"{found.fact} is {is_now}, and was {was}",
    }[found.change]
    return Finding(
        severity=Severity.ERROR,
        code=code,
        object=str(found.key),
        message=message,
    )


def on_the_way_back(finding: Finding) -> Finding:
    """Say of a finding that it was made after the downgrade."""
    cure = (
        ""
        if finding.severity != Severity.ERROR
        else finding.cure
        if finding.code == "downgrade-fails"
        else 'Mend downgrade(), or let the revision say what is lost: irreversible = "…"'
    )
    return replace(finding, message=f"after the downgrade: {finding.message}", cure=cure)


def the_second_time(finding: Finding) -> Finding:
    """Say of a finding that it was made after the second upgrade."""
    return replace(finding, message=f"after downgrade and upgrade: {finding.message}")
