"""``nano-os structures import``: any number of structures in, from files, archives and pipes."""

from __future__ import annotations

import os
import threading
import time
from collections.abc import Callable, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from itertools import islice
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import rich.progress
import typer

from api.cli.database import transaction, with_database
from api.cli.output import Json, err, of_option, out, print_json

if TYPE_CHECKING:
    from api.db import Sessions
    from api.intake.batches import Progress
    from api.schemas.structure import FailedFile, ImportReport

SHOWN = 50
"""Failures that are shown to a person."""
COMMON = 3
"""Failures of one cause that are shown one by one; more of them share a line."""
NO_FILES = ("-", "optimade:")
"""How arguments begin that name no file."""

SHOWN_S = 0.1
"""Between two looks at the bar on a terminal."""
SILENCE_S = 60.0
"""Between two lines in a log, where a terminal would have the bar."""
PACKED = 4
"""About how many times as long structure files are when they are unpacked."""


Workers = Annotated[
    int | None, typer.Option(min=1, help="Processes that read; without it, one a core.")
]
Failures = Annotated[
    Path | None, typer.Option(help="File for all failures, one JSON document a line.")
]


def import_(
    paths: Annotated[
        list[str],
        typer.Argument(
            metavar="PATH",
            help="Files, folders, archives; - is standard input, optimade:URL?filter a provider.",
        ),
    ],
    recursive: Annotated[
        bool, typer.Option("--recursive", help="Also look into folders of folders.")
    ] = False,
    public: Annotated[
        bool, typer.Option("--public", help="Everyone may read them; needs a licence.")
    ] = False,
    licence: Annotated[
        str | None,
        typer.Option(metavar="SPDX", help="Of those whose file states none, such as CC-BY-4.0."),
    ] = None,
    source: Annotated[
        str | None, typer.Option(help="Collection that those come from whose file states none.")
    ] = None,
    tag: Annotated[
        list[str] | None,
        typer.Option(metavar="TAG", help="Of those that are new; may be repeated."),
    ] = None,
    workers: Workers = None,
    format_: Annotated[
        str | None,
        typer.Option("--format", help="Read all as this, such as cif; else the content tells."),
    ] = None,
    again: Annotated[
        bool, typer.Option("--again", help="Also read files that are known already.")
    ] = False,
    report: Failures = None,
    json: Json = False,
) -> None:
    """Import structure files, also compressed and in archives.

    What is there already is not stored twice. A file, or a structure of one, that
    cannot be read is reported, and the others go in; the exit code is then 1.
    """
    from api.cli.reanalysing import hint
    from api.schemas.structure import ImportReport

    terms = checked_terms(public=public, licence=licence, tag=tag) | {"source": source}
    done = ImportReport()
    with telling_of_interruption(done):
        import_files(
            paths,
            recursive=recursive,
            terms=terms,
            workers=workers,
            format_=format_,
            again=again,
            failures=report,
            report=done,
        )
    if json:
        print_json(done.model_dump(mode="json", exclude_none=True))
    _check_found(done, paths, recursive)
    if not json:
        print_report(done)
        hint()
    if done.failed:
        raise typer.Exit(1)


def import_files(
    paths: Sequence[str | Path],
    *,
    recursive: bool = False,
    terms: Mapping[str, Any] | None = None,
    workers: int | None = None,
    format_: str | None = None,
    again: bool = False,
    failures: Path | None = None,
    report: ImportReport | None = None,
) -> ImportReport:
    """Read, analyse and store what the paths name, with a progress bar; return what came of it.

    ``terms`` are those of `api.services.structure_import.Terms`; ``failures`` names a file for
    all failures. With ``again`` known files are read, too. ``report`` is filled on the way.
    Raises WrongUsage, and PluginNotFound where ``format_`` names none.
    """
    from api.schemas.structure import ImportReport
    from nanoos import plugins

    check_paths(paths)
    if format_ is not None:
        with of_option("--format"):
            plugins.get("nanoos.parsers", format_)
    report = report or ImportReport()

    async def work(sessions: Sessions) -> ImportReport:
        from api.intake.structures import Intake
        from api.services.structure_import import Terms
        from nanoos.parsers import find
        from nanoos.processes import cores

        async with transaction(sessions) as (_, owner):
            whose = Terms(owner.id, **terms or {})
        with bar(paths, recursive=recursive) as show, writing(failures) as write:
            intake = Intake(
                sessions,
                whose,
                workers or cores(),
                report,
                format_=format_,
                again=again,
                failed=write,
                progress=show,
            )
            return await intake.run(find(paths, recursive=recursive))

    return with_database(work)


def checked_terms(*, public: bool, licence: str | None, tag: list[str] | None) -> dict[str, Any]:
    """Return what these options say of `api.services.structure_import.Terms`; or WrongUsage."""
    from api.services import licences, tags

    with of_option("--tag"):
        tags.check(tag or ())
    with of_option("--licence"):
        known = None if licence is None else licences.licence(licence)
    return {
        "visibility": "public" if public else "private",
        "licence": known,
        "tags": tuple(sorted(set(tag or ()))),
    }


@contextmanager
def telling_of_interruption(report: ImportReport) -> Iterator[None]:
    """Say after Ctrl-C what stays, and how to go on."""
    try:
        yield
    except KeyboardInterrupt:
        stored = f"{report.imported} imported, and they stay"
        err.print(
            f"Interrupted: {stored if report.imported else 'nothing was imported yet'}."
            " Give the command again to go on; what is stored is recognised."
        )
        raise


def check_paths(paths: Sequence[str | Path]) -> None:
    """Raise WrongUsage where one of the paths is not there."""
    from api.errors import WrongUsage

    for path in map(str, paths):
        if not path.startswith(NO_FILES) and not Path(path).exists():
            raise WrongUsage(f"There is no file or folder {path}.")


def _check_found(report: ImportReport, paths: Sequence[str], recursive: bool) -> None:
    """Raise NotFound where an import met with nothing at all."""
    from api.errors import NotFound

    if report.imported or report.existing or report.failed:
        return
    deeper = not recursive and any(
        one.is_dir() for path in paths if Path(path).is_dir() for one in Path(path).iterdir()
    )
    hint = "; --recursive looks into its folders too" if deeper else ""
    raise NotFound(f"No files in {', '.join(paths)}{hint}.")


@contextmanager
def bar(
    paths: Sequence[str | Path], *, recursive: bool, what: str = "structures"
) -> Iterator[Callable[[Progress], None]]:
    """Show how far it is, with rate and time left, and give the function that is told.

    Where nobody looks, such as in the log of a batch job, a line a minute says it.
    """
    columns = (
        f"{{task.fields[stored]}} {what}",
        "{task.fields[rate]:.0f}/s",
        "{task.fields[failed]} failed",
    )
    with rich.progress.Progress(
        rich.progress.TextColumn("{task.description}"),
        rich.progress.BarColumn(),
        *map(rich.progress.TextColumn, columns),
        rich.progress.TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    ) as shown:
        task = shown.add_task("Importing", total=None, stored=0, rate=0, failed=0)
        began = told = time.monotonic()
        is_shown = err.is_terminal
        silence_s = SHOWN_S if is_shown else SILENCE_S

        def show(now: Progress) -> None:
            nonlocal told
            moment = time.monotonic()
            if moment - told < silence_s:
                return
            told = moment
            rate = now.stored / (moment - began)
            if is_shown:
                shown.update(
                    task, completed=now.bytes, stored=now.stored, rate=rate, failed=now.failed
                )
            else:
                err.print(f"{now.stored} {what}, {rate:.0f}/s, {now.failed} failed")

        def measure() -> None:
            shown.update(task, total=expected_bytes(paths, recursive=recursive))

        if is_shown:
            threading.Thread(target=measure, daemon=True).start()
        yield show


def expected_bytes(paths: Sequence[str | Path], *, recursive: bool) -> int | None:
    """Return about how many bytes there are to read, members of archives uncompressed.

    None where that cannot be known before: of a pipe, or another provider.
    """
    total = 0
    for path in paths:
        if str(path).startswith(NO_FILES):
            return None
        for folder, inner, names in os.walk(path):
            total += sum(_expected(Path(folder, name)) for name in names if name[0] != ".")
            inner[:] = [name for name in inner if recursive and name[0] != "."]
        if Path(path).is_file():
            total += _expected(Path(path))
    return total


def _expected(path: Path) -> int:
    try:
        size = path.stat().st_size
    except OSError:
        return 0
    is_packed = path.suffix in {".zip", ".tgz"} or ".tar." in path.name
    return size * PACKED if is_packed else size


@contextmanager
def writing(path: Path | None) -> Iterator[Callable[[FailedFile], None]]:
    """Give the function that writes a failure to the file, where there is to be one."""
    from api.errors import WrongUsage

    if path is None:
        yield lambda _: None
        return
    try:
        stream = path.open("w", encoding="utf-8")
    except OSError as error:
        raise WrongUsage(f"{path} cannot be written: {error.strerror}.") from error
    with stream:
        yield lambda failed: print(failed.model_dump_json(exclude_none=True), file=stream)


def print_report(report: ImportReport, further: str = "") -> None:
    """Print what an import did; the failures go to stderr."""
    n_failed, shown = report.n_failed, 0
    out.print(
        f"[green]{report.imported} imported[/], {report.existing} already there,"
        f" {'[red]' if n_failed else ''}{n_failed} failed{'[/]' if n_failed else ''}{further}"
    )
    for error, failures in islice(_by_cause(report.failed), SHOWN):
        first, others = failures[0], len(failures) - 1
        line = f":{first.line}" if first.line else ""
        place = f", structure {first.place}" if first.place else ""
        where = f" and {others} more" if others else f"{line}{place}"
        err.print(f"  {first.file}{where}: {error}", markup=False)
        shown += len(failures)
    if n_failed > shown:
        err.print(f"  and {n_failed - shown} more; --report FILE writes them all down.")


def _by_cause(failures: Iterable[FailedFile]) -> Iterator[tuple[str, list[FailedFile]]]:
    """Yield failures in their order, those of a cause that `COMMON` share together."""
    causes: dict[str, list[FailedFile]] = {}
    for failed in failures:
        causes.setdefault(failed.error, []).append(failed)
    for error, alike in causes.items():
        for some in [alike] if len(alike) > COMMON else [[one] for one in alike]:
            yield error, some
