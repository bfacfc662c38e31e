"""``nano-os artifacts``: files that results have beside their numbers."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, err, out, print_json, show_table
from pgsteady.cli.commands import Group

if TYPE_CHECKING:
    from api.artifacts import Artifact, Artifacts

app = typer.Typer(
    cls=Group, no_args_is_help=True, help="Files that results have beside their numbers."
)


def _store() -> Artifacts:
    from api.artifacts import Artifacts
    from api.settings import settings

    return Artifacts(settings().artifacts)


def _wanted() -> set[str]:
    from api.services import stored_artifacts

    return in_transaction(lambda session, _: stored_artifacts.wanted(session))


@app.command("list")
def list_(json: Json = False) -> None:
    """List what is stored, and whether a result has it."""
    wanted = _wanted()
    found = [one._asdict() | {"is_wanted": one.sha256 in wanted} for one in _store().all()]
    if json:
        print_json({"artifacts": found})
        return
    show_table(None, ["sha256", "bytes", "of a result"], [tuple(one.values()) for one in found])


@app.command()
def get(
    sha256: Annotated[str, typer.Argument(metavar="SHA256", help="As `results show` has it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
) -> None:
    """Write an artifact to a file, once its content is found to be what it was."""
    from nanoos.writers.files import write_blocks

    write_blocks(output, _store().blocks(sha256))
    err.print(f"Written to {output}.", markup=False)


@app.command()
def verify(json: Json = False) -> None:
    """Read all of them: whether each is whole, and none that a result has is missing."""
    problems = list(_store().verify(_wanted()))
    if json:
        print_json({"problems": problems})
    else:
        for problem in problems:
            err.print(problem, markup=False)
        out.print(f"{len(problems)} problems")
    if problems:
        raise typer.Exit(1)


@app.command()
def gc(
    older_than: Annotated[
        float, typer.Option(min=0, metavar="HOURS", help="Younger ones may be about to be used.")
    ] = 24,
    dry_run: Annotated[bool, typer.Option("--dry-run", help="Only say what would go.")] = False,
    json: Json = False,
) -> None:
    """Remove what no result of this database has.

    Databases that share a NANO_OS_HOME share its artifacts: what only another one has goes too.
    """
    store, grace_s = _store(), 3600 * older_than
    unwanted = store.unwanted(_wanted(), grace_s)
    if not dry_run:
        store.remove(unwanted, grace_s)
    _print_removed(unwanted, dry_run=dry_run, json=json)


def _print_removed(removed: list[Artifact], *, dry_run: bool, json: bool) -> None:
    if json:
        print_json({"removed": [one._asdict() for one in removed], "dry_run": dry_run})
        return
    size = sum(one.size_bytes for one in removed)
    out.print(f"{len(removed)} {'would go' if dry_run else 'removed'}, {size:,} bytes")
