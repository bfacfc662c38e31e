"""``verify``: does everything hold, and is all data what it was?"""

from __future__ import annotations

import json
import os
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer
from sqlalchemy import Connection

from pgsteady.cli.output import Json, counted, number, out, print_finding, print_json
from pgsteady.cli.progress import Shown
from pgsteady.cli.source import Source
from pgsteady.connection import connect
from pgsteady.declarations import declared
from pgsteady.errors import PgSteadyError, WrongDeclaration
from pgsteady.finding import Finding, Severity
from pgsteady.progress import SILENT, Progress
from pgsteady.project import Project
from pgsteady.status import read_status
from pgsteady.verify import Evidence, Sample, compare, examine, take
from pgsteady.verify.sampling import confession

SaveOption = Annotated[
    Path | None,
    typer.Option("--save", help="Write evidence of what the database holds now.", metavar="FILE"),
]
AgainstOption = Annotated[
    Path | None,
    typer.Option(
        "--against",
        help="Compare with evidence of before.",
        metavar="FILE",
        exists=True,
        dir_okay=False,
    ),
]
SampleOption = Annotated[
    int | None,
    typer.Option(
        "--sample", help="In tables above 1 GiB, digest one row in N.", metavar="N", min=2
    ),
]


def verify(
    context: typer.Context,
    save: SaveOption = None,
    against: AgainstOption = None,
    sample: SampleOption = None,
    as_json: Json = False,
) -> None:
    """Say whether everything holds, and whether all data is what it was."""
    if save and against:
        raise typer.BadParameter("--save is for before a change, --against for after it.")
    source: Source = context.obj
    project = source.project()
    if save:
        raise typer.Exit(run_save(project, save, sample=sample, as_json=as_json))
    raise typer.Exit(run(project, against, as_json=as_json))


def run(project: Project, against: Path | None = None, *, as_json: bool = False) -> int:
    """Print what does not hold or is not as it was; return 1 for an error or a warning."""
    progress = SILENT if as_json else Shown()
    before = _read(against) if against else None
    after = None
    with _snapshot(project) as connection:
        findings = examine(connection, project, progress=progress)
        if before:
            after = take(connection, project, like=before, progress=progress)
            findings += compare(before, after)
    failed = any(finding.severity != Severity.INFO for finding in findings)
    if as_json:
        _print_document(findings, after)
    else:
        _print(findings, after)
    return int(failed)


def run_save(
    project: Project, file: Path, *, sample: int | None = None, as_json: bool = False
) -> int:
    """Write evidence to ``file``, complete or not at all; return 1 if it has a gap.

    Raises:
        PgSteadyError: the file cannot be written, or a declared change cannot be evaluated.
    """
    if not os.access(file.absolute().parent, os.W_OK):  # said before the tables are read
        raise PgSteadyError(f"{file} cannot be written: its folder is missing or closed.")
    progress: Progress = SILENT if as_json else Shown()
    with _snapshot(project) as connection:
        pending = [revision.id for revision in read_status(project, connection).pending]
        evidence = take(
            connection,
            project,
            changes=declared(project, pending).changes,
            sample=Sample(sample) if sample else None,
            progress=progress,
        )
    _write(file, evidence)
    if as_json:
        sampled = _sampled(evidence)
        print_json({"saved": file, "not_read": evidence.not_read, "sampled": sampled})
    else:
        rows = sum(evidence.rows.values())
        held = f"{number(len(evidence.tables), 'table')}, {number(rows, 'row')}"
        out.print(f"{file}: {held}.", markup=False)
        for what, why in evidence.not_read.items():
            out.print(f"Not read: {what}: {why}", markup=False)
        for sentence in _sampled(evidence):
            out.print(sentence, markup=False)
    return int(bool(evidence.not_read))


@contextmanager
def _snapshot(project: Project) -> Iterator[Connection]:
    """Open a transaction in which every query sees the same moment, and that writes nothing."""
    with connect(project.database()) as connection:
        options = {"isolation_level": "REPEATABLE READ", "postgresql_readonly": True}
        connection.execution_options(**options)
        with connection.begin():
            yield connection


def _read(file: Path) -> Evidence:
    try:
        document = json.loads(file.read_text(encoding="utf-8"))
    except ValueError as error:
        raise WrongDeclaration(f"{file} is not JSON: {error}.") from error
    return Evidence.from_json(document)


def _write(file: Path, evidence: Evidence) -> None:
    document = json.dumps(evidence.as_json(), indent=1, ensure_ascii=False)
    handle, unfinished = tempfile.mkstemp(dir=file.absolute().parent, prefix=f".{file.name}.")
    try:
        with os.fdopen(handle, "w", encoding="utf-8") as opened:
            opened.write(document)
            opened.flush()
            os.fsync(opened.fileno())
        Path(unfinished).replace(file)
    except OSError as error:
        Path(unfinished).unlink()
        raise PgSteadyError(f"{file} could not be written: {error.strerror}.") from error


def _sampled(evidence: Evidence) -> list[str]:
    return [confession(t, c) for t, c in evidence.tables.items() if c.one_in > 1]


def _print_document(findings: Sequence[Finding], after: Evidence | None) -> None:
    print_json(
        {
            "findings": [finding.as_json() for finding in findings],
            "sampled": _sampled(after) if after else [],
        }
    )


def _print(findings: Sequence[Finding], after: Evidence | None) -> None:
    for finding in findings:
        print_finding(finding)
    for sentence in _sampled(after) if after else ():
        out.print(sentence, markup=False)
    if findings:
        out.print(f"Found {counted(findings)}.")
    elif after:
        rows = sum(after.rows.values())
        out.print(f"Everything holds, and all data is as it was, or as declared: {rows:,} rows.")
    else:
        out.print("Everything holds.")
