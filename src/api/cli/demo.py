"""``nano-os demo``: real crystals through the whole platform, by the commands anyone would type."""

from __future__ import annotations

import subprocess
import sys
import time
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.database import in_transaction
from api.cli.embed import embed_all
from api.cli.importing import import_files, print_report
from api.cli.output import err, out, show_table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.models import User
    from api.schemas.simulation import ResultDetail, SubmitReport
    from api.schemas.structure import StructureDetail
    from api.web.report import Compared, Neighbourhood

WORKFLOW = "equation_of_state"
PHONONS = "phonons"
PHONON_PARAMETERS = {"supercell_length": 7.0}
"""Quicker than by default; copper's frequencies are the same within 0.001 THz."""
SHAKEN = ("Copper",)
"""Metals whose phonons are calculated: one shows what it is like."""
ENGINE = "emt"
FCC = 225
"""Space group Fm-3m."""
LOOKED_AT = ("Halite", "Calcite", "Diamond")
"""Minerals whose neighbours are shown: a rock salt, a carbonate, a semiconductor."""
NEIGHBOURS_SHOWN = 5


def demo(
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder for the report.")] = Path(
        "demo"
    ),
    here: Annotated[
        bool, typer.Option("--here", help="Also on a database that is not the embedded one.")
    ] = False,
) -> None:
    """Take the example crystals through the whole platform, and write a report.

    Migrate, import, compute equations of state and phonons, compare with
    references, embed, report. What is done already is not done again, so it may
    be interrupted and run as often as you like.
    """
    _check_place(here)
    try:
        _take_all_steps(output)
    except KeyboardInterrupt:
        err.print("\nInterrupted. Run it again: what is done stays done.")
        raise


def _take_all_steps(output: Path) -> None:
    from api.settings import PROJECT_ROOT

    started = time.perf_counter()
    with _step(1, "Migrate the database"):
        _migrate()
    with _step(2, "Import the example crystals"):
        print_report(import_files([PROJECT_ROOT / "examples" / "crystals"], recursive=True))
    with _step(3, "Equations of state of the fcc metals, phonons of copper, by a worker"):
        report = in_transaction(_submit)
        out.print(f"{len(report.submitted)} submitted, {len(report.existing)} already there")
        _run_worker()
    with _step(4, "Compare with all-electron references"):
        compared = in_transaction(_compare)
        _print_comparison(compared)
        phonons = in_transaction(lambda session, _: _phonons(session, report))
    with _step(5, "Embed all structures and find neighbours"):
        embedded = embed_all()
        out.print(f"{embedded.embedded} embedded, {embedded.pairs} pairs of neighbours stored")
        neighbourhoods = in_transaction(_neighbourhoods)
        for place in neighbourhoods:
            _print_neighbours(place)
    with _step(6, "Write the report"):
        path = _write_report(output, compared, phonons, neighbourhoods)
        out.print(f"{path}", markup=False)
    err.print(f"\n[bold green]Done[/] in {time.perf_counter() - started:.0f} s. Try next:")
    for command in _next_steps(compared):
        err.print(f"  {command}", markup=False)


def _check_place(here: bool) -> None:
    """Refuse to put example crystals into a database somebody named, unless told to."""
    from api.db import database_url
    from api.errors import WrongUsage
    from pgsteady.url import EMBEDDED

    where = database_url()
    if where.source != EMBEDDED and not here:
        raise WrongUsage(
            f"The demo would write into {where.url.render_as_string(hide_password=True)}"
            f" (from {where.source}). Unset it to use the embedded database, or say --here."
        )


@contextmanager
def _step(number: int, title: str) -> Iterator[None]:
    err.print(f"\n[bold]{number}. {title}[/]")
    started = time.perf_counter()
    yield
    err.print(f"[dim]{time.perf_counter() - started:.1f} s[/]")


def _migrate() -> None:
    """Do what `alembic upgrade head` does in the project's folder."""
    from alembic import command
    from alembic.config import Config
    from alembic.script import ScriptDirectory

    from api.settings import PROJECT_ROOT

    config = Config(PROJECT_ROOT / "alembic.ini")
    command.upgrade(config, "head")
    err.print(f"at {ScriptDirectory.from_config(config).get_current_head()}")


def _run_worker() -> None:
    """Run `nano-os worker --drain` to its end; Ctrl-C lets it hand its jobs back first."""
    command = [sys.executable, "-m", "api.cli", "worker", "--drain", "--slots", "2"]
    with subprocess.Popen(command, start_new_session=True) as worker:
        try:
            code = worker.wait()
        except KeyboardInterrupt:
            worker.terminate()
            worker.wait()
            raise
    if code:
        raise typer.Exit(code)


async def _submit(session: AsyncSession, owner: User) -> SubmitReport:
    from api.services import simulations, structures
    from nanoos import plugins

    elements = plugins.get("nanoos.engines", ENGINE).elements
    metals = {
        row.id: row.name
        for row in await structures.details(session)
        if row.origin == "upload"
        and row.reduced_formula in elements
        and row.space_group_number_at_0_1 == FCC
    }
    curves = await simulations.submit(session, WORKFLOW, [*metals], owner=owner)
    shaken = [id_ for id_, name in metals.items() if name in SHAKEN]
    return curves + await simulations.submit(
        session, PHONONS, shaken, owner=owner, parameters=PHONON_PARAMETERS
    )


async def _compare(session: AsyncSession, _: User) -> list[Compared]:
    from api.services import methods, results
    from api.web.report import Compared
    from nanoos import plugins
    from nanoos.methods import sha256
    from nanoos.reference import compare

    found = await results.of_workflow(session, WORKFLOW)
    together = await methods.comparable(session, [r.method_sha256 for r in found], mix=True)
    own = sha256(plugins.get("nanoos.engines", ENGINE)().method())
    of_one_method = next((group for group in together.groups if own in group), ())
    compared = []
    for result in found:
        if result.method_sha256 not in of_one_method:
            continue
        volume = result.quantities["volume_a3_per_atom"]
        modulus = result.quantities["bulk_modulus_gpa"]
        if result.reduced_formula is None or volume is None or modulus is None:
            continue
        comparison = compare(result.reduced_formula, volume, modulus)
        if comparison is not None:
            compared.append(Compared(result.reduced_formula, result, comparison))
    return compared


async def _phonons(session: AsyncSession, report: SubmitReport) -> list[ResultDetail]:
    from api.services import results

    jobs = {*report.submitted, *report.existing}
    return [one for one in await results.of_workflow(session, PHONONS) if one.job_id in jobs]


def _print_comparison(compared: list[Compared]) -> None:
    show_table(
        None,
        ["metal", "V0 (Å³/atom)", "reference", "error", "B0 (GPa)", "reference", "error", "B0'"],
        [
            (
                row.element,
                f"{row.result.quantities['volume_a3_per_atom']:.3f}",
                f"{row.comparison.reference.volume_a3_per_atom:.3f}",
                f"{row.comparison.volume_error_percent:+.1f} %",
                f"{row.result.quantities['bulk_modulus_gpa']:.1f}",
                f"{row.comparison.reference.bulk_modulus_gpa:.1f}",
                f"{row.comparison.bulk_modulus_error_percent:+.1f} %",
                f"{row.result.quantities['bulk_modulus_derivative']:.2f}",
            )
            for row in compared
        ],
    )
    err.print("Reference: WIEN2k, PBE (ase.collections.dcdft). The errors are the potential's.")


async def _neighbourhoods(session: AsyncSession, _: User) -> list[Neighbourhood]:
    from api.services import embeddings, structures
    from api.web.report import Neighbourhood

    space = embeddings.space(embeddings.embedder())
    found = {row.name: row for row in await structures.details(session) if row.origin == "upload"}
    return [
        Neighbourhood(
            found[name],
            await embeddings.nearest(session, found[name].id, space, NEIGHBOURS_SHOWN),
        )
        for name in LOOKED_AT
        if name in found
    ]


def _print_neighbours(place: Neighbourhood) -> None:
    structure = place.structure
    show_table(
        f"Nearest to {structure.name} ({structure.reduced_formula},"
        f" {structure.space_group_symbol_at_0_1})",
        ["name", "formula", "space group", "distance"],
        [
            (
                near.name,
                near.reduced_formula,
                near.space_group_symbol_at_0_1,
                f"{near.distance:.4f}",
            )
            for near in place.neighbours
        ],
    )


def _write_report(
    output: Path,
    compared: list[Compared],
    phonons: list[ResultDetail],
    neighbourhoods: list[Neighbourhood],
) -> Path:
    from api.artifacts import Artifacts
    from api.services import structures
    from api.settings import settings
    from api.web.report import render

    async def uploads(session: AsyncSession, _: User) -> list[StructureDetail]:
        return [row for row in await structures.details(session) if row.origin == "upload"]

    artifacts = Artifacts(settings().artifacts)
    html = render(in_transaction(uploads), compared, phonons, neighbourhoods, artifacts)
    output.mkdir(parents=True, exist_ok=True)
    path = output / "report.html"
    unfinished = path.with_suffix(".unfinished")
    unfinished.write_text(html, encoding="utf-8")
    return unfinished.replace(path).absolute()


def _next_steps(compared: list[Compared]) -> list[str]:
    steps = ["nano-os structures search"]
    if compared:
        steps.append(f"nano-os results show {compared[0].result.id}")
    return [
        *steps,
        "nano-os structures import PATH/TO/YOUR/FILES --recursive",
        "nano-os jobs submit equation_of_state --all && nano-os worker --drain",
        "nano-os db shell",
    ]
