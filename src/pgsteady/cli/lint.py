"""``lint``: what revisions would do to whom, before they run."""

from __future__ import annotations

import sys
from enum import StrEnum
from pathlib import Path
from typing import Annotated

import typer

from pgsteady.cli.output import Json, counted, out, print_finding
from pgsteady.cli.source import Source
from pgsteady.lint import lint as review_revisions
from pgsteady.lint.formats import FORMATS
from pgsteady.project import Project


class Format(StrEnum):
    """How the findings are written."""

    TEXT = "text"
    JSON = "json"
    SARIF = "sarif"
    GITHUB = "github"
    GITLAB = "gitlab"


Revisions = Annotated[
    list[str] | None,
    typer.Argument(help="Ids, head, or FIRST:LAST; all unless given.", metavar="[REV]..."),
]
FormatOption = Annotated[Format, typer.Option("--format", help="For people or a program.")]
BaseOption = Annotated[
    str | None,
    typer.Option("--base", help="Git reference whose revisions have landed.", metavar="REF"),
]


def lint(
    context: typer.Context,
    revisions: Revisions = None,
    form: FormatOption = Format.TEXT,
    as_json: Json = False,
    base: BaseOption = None,
) -> None:
    """Say what revisions would do to whom, and the safe form."""
    source: Source = context.obj
    code = run(source.project(), revisions or (), form=form, base=base, as_json=as_json)
    raise typer.Exit(code)


def run(
    project: Project,
    revisions: list[str] | tuple[str, ...] = (),
    *,
    form: str = Format.TEXT,
    base: str | None = None,
    as_json: bool = False,
) -> int:
    """Print what is found and return the exit code: 1 for an error or a warning."""
    review = review_revisions(project, revisions, base=base).seen_from(Path.cwd())
    chosen = Format.JSON if as_json else Format(form)
    if chosen != Format.TEXT:
        sys.stdout.write(f"{FORMATS[chosen](review)}\n")
        return int(review.failed)
    for finding in review.findings:
        print_finding(finding)
    number = len(review.revisions)
    out.print(f"{number} revision{'' if number == 1 else 's'}: {counted(review.findings)}")
    return int(review.failed)
