"""``nano-os embed``: structures as vectors."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from api.cli.database import transaction, with_database
from api.cli.output import Json, err, of_option, out, print_json, progress
from pgsteady.cli.commands import Group

if TYPE_CHECKING:
    from api.db import Sessions

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Structures as vectors, for similarity search."
)

BATCH = 100
"""Structures embedded in one transaction."""


@app.callback()
def embed() -> None:
    """Structures as vectors, for similarity search."""


@dataclass
class EmbedReport:
    """What a run of a model did: how many vectors, stored pairs, and what could not be embedded."""

    model: str
    embedded: int = 0
    pairs: int = 0
    failed: list[dict[str, Any]] = field(default_factory=list)


@app.command()
def run(
    model: Annotated[str, typer.Option(help="The embedder.")] = "soap",
    json: Json = False,
) -> None:
    """Embed every structure that has no vector yet, and renew the nearest neighbours of all."""
    from api.services import embeddings

    with of_option("--model"):
        embeddings.embedder(model)
    report = embed_all(model)
    if json:
        print_json(vars(report))
        return
    out.print(
        f"[green]{report.embedded} embedded[/] by {report.model}, {len(report.failed)} failed"
    )
    for failed in report.failed:
        err.print(f"  {failed['id']}: {failed['reason']}", markup=False)


def embed_all(model: str = "soap") -> EmbedReport:
    """Embed what is missing, with a progress bar; return what came of it."""
    return with_database(lambda sessions: _embed(sessions, model))


async def _embed(sessions: Sessions, model: str) -> EmbedReport:
    from api.services import embeddings

    embedder = embeddings.embedder(model)
    space = embeddings.space(embedder)
    report = EmbedReport(model=f"{space.model} {space.version}")
    async with transaction(sessions) as (session, _):
        ids = await embeddings.missing(session, space)
    with progress() as bar:
        task = bar.add_task("Embedding", total=len(ids))
        for start in range(0, len(ids), BATCH):
            batch: list[UUID] = ids[start : start + BATCH]
            async with transaction(sessions) as (session, _):
                failed = await embeddings.embed(session, embedder, batch)
            report.failed += [{"id": id_, "reason": reason} for id_, reason in failed]
            report.embedded += len(batch) - len(failed)
            bar.advance(task, len(batch))
    async with sessions() as session:
        await embeddings.create_index(session, space)
    async with transaction(sessions) as (session, _):
        report.pairs = await embeddings.renew_similarities(session, space)
    return report
