"""``nano-os results reproduce`` and ``compare``: whether the same comes out again."""

from __future__ import annotations

from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, err, out, print_json, show_table

if TYPE_CHECKING:
    from sqlalchemy.ext.asyncio import AsyncSession

    from api.models import User
    from api.schemas.reproduction import Reproduction
    from api.schemas.simulation import ResultDetail
    from api.services.reproduction import Recipe, Side

Relative = Annotated[
    float,
    typer.Option("--relative", min=0, help="Numbers that differ by less of themselves agree."),
]


def reproduce(
    id_: Annotated[UUID, typer.Argument(metavar="ID", help="Of the result or of its job.")],
    now: Annotated[
        bool, typer.Option("--now", help="Here, at once, storing nothing; compare then.")
    ] = False,
    relative: Relative = 1e-6,
    json: Json = False,
) -> None:
    """Calculate a result again, with the same structure, workflow, parameters and engine.

    It is queued as a job of its own, to be compared when it has ended.
    """
    if now:
        _report(_done_again(id_, relative), json=json)
        return
    from api.services import reproduction, results

    async def queue(session: AsyncSession, owner: User) -> UUID:
        return await reproduction.repeat(session, await results.show(session, id_), owner)

    job = in_transaction(queue)
    if json:
        print_json({"job_id": str(job)})
        return
    out.print(str(job))
    err.print(f"When it has ended: nano-os results compare {id_} {job}", markup=False)


def compare(
    id_: Annotated[UUID, typer.Argument(metavar="ID", help="Of a result or of its job.")],
    other: Annotated[UUID, typer.Argument(metavar="OTHER", help="That of the other.")],
    relative: Relative = 1e-6,
    json: Json = False,
) -> None:
    """Compare two results, number by number, and say what else differs."""
    from api.services import reproduction, results

    async def both(session: AsyncSession, _: User) -> tuple[ResultDetail, ResultDetail]:
        return await results.show(session, id_), await results.show(session, other)

    before, now = map(_side, in_transaction(both))
    _report(reproduction.compare(before, now, relative), json=json)


def _side(detail: ResultDetail) -> Side:
    from api.artifacts import Artifacts
    from api.services import arrays
    from api.services.reproduction import Side
    from api.settings import settings

    return Side.of(detail, arrays.restore(detail.data, Artifacts(settings().artifacts)))


def _done_again(id_: UUID, relative: float) -> Reproduction:
    """Calculate it in this process, in a folder that is gone afterwards, and compare."""
    from api.services import reproduction, results
    from api.services.reproduction import Side
    from api.worker.perform import Task, perform
    from nanoos.methods import sha256

    async def read(session: AsyncSession, _: User) -> tuple[ResultDetail, Recipe]:
        found = await results.show(session, id_)
        return found, await reproduction.recipe(session, found)

    detail, recipe = in_transaction(read)
    task = Task(
        job_id=recipe.job_id,
        workflow=recipe.workflow,
        workflow_version=recipe.workflow_version,
        engine=recipe.engine,
        parameters=recipe.parameters,
        engine_parameters=recipe.engine_parameters,
        structure=recipe.structure,
        wall_time_s=recipe.wall_time_s,
    )

    def progress(done: float, message: str, **_: float) -> None:
        err.print(f"{100 * done:3.0f} % {message}", markup=False)

    with TemporaryDirectory(prefix="nano-os-again-") as folder:
        run = perform(task, Path(folder), progress)
    again = Side(
        quantities=run.outcome.quantities,
        data=run.outcome.data,
        is_converged=bool(run.outcome.convergence.get("converged")),
        method_sha256=sha256(run.method),
        provenance=run.provenance,
    )
    return reproduction.compare(_side(detail), again, relative)


def _report(found: Reproduction, *, json: bool) -> None:
    """Print it; the exit code is 1 where numbers differ."""
    if json:
        print_json(found.model_dump(mode="json"))
    else:
        show_table(
            None,
            ["quantity", "before", "now", "difference", "tolerance", "agrees"],
            [
                (
                    one.name,
                    one.before,
                    one.now,
                    one.difference is not None and f"{one.difference:.3g}",
                    f"{one.tolerance:.1g}",
                    "yes" if one.agrees else "no",
                )
                for one in found.numbers
            ],
        )
        if found.changed:
            rows = [(one.what, one.before, one.now) for one in found.changed]
            show_table("Other than before", ["what", "before", "now"], rows)
        out.print("[green]All agree.[/]" if found.agrees else "[red]They differ.[/]")
    if not found.agrees:
        raise typer.Exit(1)
