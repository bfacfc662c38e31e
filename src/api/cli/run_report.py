"""``nano-os results report``: what imported runs took, how they ended, and what contradicts."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, err, out, print_json, show_table

if TYPE_CHECKING:
    from api.schemas.run import Cost, RunReport


def report(
    output: Annotated[
        Path | None, typer.Option("--output", "-o", help="File for the report as a web page.")
    ] = None,
    project: Annotated[str | None, typer.Option(help="Of the runs of this project only.")] = None,
    json: Json = False,
) -> None:
    """Report what imported runs took, how they ended, and which repeat or contradict others."""
    from api.services import run_report

    found = in_transaction(lambda session, _: run_report.report(session, project))
    if output is not None:
        from api.web.run_report import render
        from nanoos.writers.files import write_text

        write_text(output, render(found))
        err.print(f"The report is {output}.", markup=False)
    if json:
        print_json(found.model_dump(mode="json"))
    elif output is None:
        _show_report(found)


def _show_report(found: RunReport) -> None:
    show_table(None, ["ending", "runs"], [(one.ending, one.runs) for one in found.endings])
    for what, costs in (
        ("project", found.by_project),
        ("user", found.by_user),
        ("method", found.by_method),
    ):
        _show_costs(what, costs)
    for conflict in found.conflicts:
        show_table(
            f"Conflict: {conflict.reduced_formula},"
            f" {1000 * (conflict.spread_ev_per_atom or 0):.1f} meV per atom apart",
            ["run", "energy (eV/atom)", "method"],
            [(run.source_name, run.energy_ev_per_atom, run.method) for run in conflict.runs],
        )
    out.print(
        f"{found.runs} runs, {found.core_hours:.1f} core-hours;"
        f" {found.n_duplicates} duplicates, {found.n_conflicts} conflicts"
    )


def _show_costs(what: str, costs: list[Cost]) -> None:
    rows = [(one.name, one.runs, round(one.core_hours, 3), one.unknown) for one in costs]
    show_table(None, [what, "runs", "core-hours", "runs of unknown cost"], rows)
