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
    """List what is stored of your results."""
    from api.services import stored_artifacts

    mine = in_transaction(lambda session, _: stored_artifacts.in_view(session))
    found = [one for one in _store().all() if one.sha256 in mine]
    if json:
        print_json({"artifacts": [one._asdict() for one in found]})
        return
    show_table(None, ["sha256", "bytes"], found)


@app.command()
def get(
    sha256: Annotated[str, typer.Argument(metavar="SHA256", help="As `results show` has it.")],
    output: Annotated[Path, typer.Option("--output", "-o", help="File to write.")],
) -> None:
    """Write an artifact of a result of yours to a file, once it is found to be what it was."""
    from api.services import stored_artifacts
    from nanoos.writers.files import write_blocks

    in_transaction(lambda session, _: stored_artifacts.of_result(session, sha256))
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
    delete: Annotated[bool, typer.Option("--delete", help="Remove it. Else it is told.")] = False,
    json: Json = False,
) -> None:
    """Say what no result of this database has, and remove it with --delete.

    Databases that share a NANO_OS_HOME share its artifacts: what only another one has goes too.
    """
    store, grace_s = _store(), 3600 * older_than
    unwanted = store.unwanted(_wanted(), grace_s)
    if delete:
        store.remove(unwanted, grace_s)
    _print_unwanted(unwanted, is_deleted=delete, json=json)


def _print_unwanted(unwanted: list[Artifact], *, is_deleted: bool, json: bool) -> None:
    if json:
        print_json({"unwanted": [one._asdict() for one in unwanted], "is_deleted": is_deleted})
        return
    size = sum(one.size_bytes for one in unwanted)
    what = "removed" if is_deleted else "would go: --delete removes them"
    out.print(f"{len(unwanted)} artifacts, {size:,} bytes, {what}")
