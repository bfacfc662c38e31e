"""``doctor``: what is wrong with the project, its server and its database, and the cure."""

from __future__ import annotations

from collections.abc import Sequence

import typer
from rich.markup import escape

from pgsteady.cli.output import Json, out, print_finding, print_json
from pgsteady.cli.source import Source
from pgsteady.doctor import Result, State, examine

COLOURS = {State.OK: "green", State.FINDING: "bold red", State.NOT_KNOWN: "yellow"}
HEALTHY, FINDINGS, ENVIRONMENT = 0, 1, 3


def doctor(
    context: typer.Context,
    as_json: Json = False,
) -> None:
    """Say what is wrong with the project, its server and its database, and the cure."""
    source: Source = context.obj
    raise typer.Exit(run(source, as_json=as_json))


def run(source: Source, *, as_json: bool = False) -> int:
    """Examine the project, print the answers and return the exit code.

    It takes no project that is read: that it cannot be is one of the findings.
    """
    results = examine(source.ini, source.fallback_url)
    if as_json:
        print_json({"healthy": not _findings(results), "examinations": _document(results)})
    else:
        _print(results)
    if any(result.prevents_work for result in results):
        return ENVIRONMENT
    return FINDINGS if _findings(results) else HEALTHY


def _findings(results: Sequence[Result]) -> int:
    return sum(len(result.answer.findings) for result in results)


def _document(results: Sequence[Result]) -> list[dict[str, object]]:
    return [
        {
            "name": result.name,
            "state": result.answer.state,
            "detail": result.answer.detail,
            "findings": [finding.as_json() for finding in result.answer.findings],
        }
        for result in results
    ]


def _print(results: Sequence[Result]) -> None:
    width = max(len(result.name) for result in results)
    for result in results:
        answer = result.answer
        detail = "" if answer.findings and answer.known else answer.detail
        colour = COLOURS[answer.state]
        out.print(
            f"[{colour}]{answer.state:9}[/]  {result.name:{width}}  {escape(detail)}".rstrip()
        )
        for finding in answer.findings:
            print_finding(finding)
    unknown = sum(not result.answer.known for result in results)
    found = _findings(results)
    verdict = f"{found} found wrong" if found else "nothing found wrong"
    out.print(f"\n{verdict[0].upper()}{verdict[1:]}{f', {unknown} not known' if unknown else ''}.")
