"""How ``nano-os`` speaks: the result on stdout, for people or as one JSON document.

The result is what was asked for, or what was done. Progress, warnings, the next step and the
number of rows that were printed are said on stderr.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from typing import Any

from rich import box
from rich.console import Console
from rich.markup import escape
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    Task,
    TextColumn,
    TimeRemainingColumn,
)
from rich.table import Table
from rich.text import Text

from pgsteady.cli.output import Json, number, print_json

__all__ = [
    "Json",
    "err",
    "fail",
    "number",
    "of_option",
    "out",
    "print_json",
    "progress",
    "show_document",
    "show_fields",
    "show_table",
]

out = Console(highlight=False, soft_wrap=True)
if not out.is_terminal:
    out.width = 200  # what reads a pipe does not want lines broken at 80
err = Console(stderr=True, highlight=False, soft_wrap=True)


def fail(error: Exception) -> int:
    """Print ``error`` for a person and return its exit code; re-raise what is not ours."""
    from api.errors import OUTCOMES, outcome

    if not isinstance(error, tuple(OUTCOMES)):
        raise error
    err.print("[bold red]Error:[/] ", end="")
    err.print(str(error), markup=False)
    return outcome(error).exit_code


@contextmanager
def of_option(option: str) -> Iterator[None]:
    """Name the option whose value is refused."""
    from api.errors import WrongUsage
    from nanoos.errors import PluginNotFound

    try:
        yield
    except (PluginNotFound, WrongUsage) as error:
        raise type(error)(f"{option}: {error}") from error


def show_table(title: str | None, columns: Sequence[str], rows: Iterable[Sequence[Any]]) -> None:
    """Print rows as a table; None is shown as nothing, numbers stand at the right."""
    rows = [list(row) for row in rows]
    table = Table(
        title=title and escape(title), box=box.SIMPLE_HEAD, title_justify="left", pad_edge=False
    )
    for place, column in enumerate(columns):
        numeric = any(isinstance(row[place], int | float) for row in rows)
        table.add_column(
            column,
            justify="right" if numeric else "left",
            overflow="fold",
            no_wrap=column == "id",
        )
    for row in rows:
        table.add_row(*("" if cell is None else escape(str(cell)) for cell in row))
    out.print(table)


def show_document(document: Mapping[str, Any], *, as_json: bool) -> None:
    """Print one record: as JSON, or as names and values."""
    if as_json:
        print_json(document)
    else:
        show_fields(document)


_MOST_SHOWN = 12
_ENDS_SHOWN = 3


def show_fields(fields: Mapping[str, Any]) -> None:
    """Print names and values in two columns; what is nested is printed as JSON.

    Of lists of numbers that nobody reads, the ends are shown; ``--json`` has them whole.
    """
    width = max(map(len, fields), default=0)
    for name, value in fields.items():
        nested = isinstance(value, dict | list)
        shown = (
            json.dumps(_readable(value), default=str, ensure_ascii=False) if nested else str(value)
        )
        line = Text.assemble((name, "bold"))
        if value is not None and shown:
            line.append(f"{'':{width + 1 - len(name)}}{shown}")
        out.print(line)


def _readable(value: Any) -> Any:
    """Return a document, the middle of long lists of numbers, or of such lists, left out."""
    if isinstance(value, dict):
        return {name: _readable(of) for name, of in value.items()}
    if not isinstance(value, list):
        return value
    if len(value) > _MOST_SHOWN and all(isinstance(one, float | int | list) for one in value):
        ends = _ENDS_SHOWN
        left_out = f"… {len(value) - 2 * ends} more …"
        value = [*value[:ends], left_out, *value[-ends:]]
    return [_readable(one) for one in value]


class _Rate(ProgressColumn):
    """How many a second."""

    def render(self, task: Task) -> Text:
        return Text(f"{task.finished_speed or task.speed or 0:.0f}/s")


def progress() -> Progress:
    """Return a progress display on stderr with rate and time left; silent where no one looks."""
    return Progress(
        TextColumn("{task.description}"),
        BarColumn(),
        MofNCompleteColumn(),
        _Rate(),
        TimeRemainingColumn(),
        console=err,
        transient=True,
        disable=not err.is_terminal,
    )
