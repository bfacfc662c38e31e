"""The options that say which results: those of a `ResultQuery`."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, TypeVar, get_type_hints
from uuid import UUID

import typer

from api.cli.filters import with_filters

if TYPE_CHECKING:
    from api.schemas.results import ResultQuery
    from api.schemas.search import Query

Command = TypeVar("Command", bound=Callable[..., Any])

PANEL = "Of results"
OPTIONS: dict[str, Any] = {
    "project": Annotated[str | None, typer.Option(help="Of this project.", rich_help_panel=PANEL)],
    "workflow": Annotated[
        str | None,
        typer.Option(help="Of this workflow; of imported runs, task.", rich_help_panel=PANEL),
    ],
    "engine": Annotated[
        str | None,
        typer.Option(help="Of this engine; of imported runs, program.", rich_help_panel=PANEL),
    ],
    "origin": Annotated[
        str | None,
        typer.Option(metavar="imported", help="Or submitted.", rich_help_panel=PANEL),
    ],
    "is_converged": Annotated[
        bool | None,
        typer.Option(
            "--converged/--unconverged",
            help="Whether they converged; else both.",
            rich_help_panel=PANEL,
            show_default=False,
        ),
    ],
}
"""Every option by the field of `ResultQuery` that it is."""

Ids = Annotated[list[UUID] | None, typer.Argument(metavar="ID", help="Of results, or of jobs.")]
All = Annotated[bool, typer.Option("--all", help="All of them.")]


def with_result_filters(command: Command) -> Command:
    """Give ``command``, which takes a `ResultQuery` as its argument ``query``, the options of one.

    Those of a `Query` for structures are among them. Use it below ``@app.command()``.
    """

    @wraps(command)
    def with_result_query(query: Query, **arguments: Any) -> Any:
        given = {name: arguments.pop(name) for name in OPTIONS}
        return command(query=_read(query, given), **arguments)

    hints = get_type_hints(command, localns={"ResultQuery": object}, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "query"
    ]
    added = [
        inspect.Parameter(name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation)
        for name, annotation in OPTIONS.items()
    ]
    query = inspect.Parameter("query", inspect.Parameter.KEYWORD_ONLY, annotation=object)
    with_result_query.__signature__ = inspect.Signature([query, *own, *added])  # type: ignore[attr-defined]
    with_result_query.__annotations__ = {p.name: p.annotation for p in [query, *own, *added]}
    del with_result_query.__wrapped__
    return with_filters(with_result_query)  # type: ignore[return-value]


def _read(query: Query, given: dict[str, Any]) -> ResultQuery:
    from pydantic import ValidationError

    from api.errors import WrongUsage
    from api.schemas.results import ResultQuery

    said = {name: value for name, value in given.items() if value is not None}
    try:
        return ResultQuery(structures=query, **said)
    except ValidationError as error:
        first = error.errors()[0]
        raise WrongUsage(f"--{first['loc'][0]} {first['input']}: {first['msg']}.") from None


def chosen(query: ResultQuery, ids: list[UUID] | None, *, all_: bool) -> ResultQuery:
    """Return the query that the ids, the filters or ``--all`` say. Raises WrongUsage."""
    from api.errors import WrongUsage

    if [bool(ids), all_, bool(query.given())].count(True) != 1:
        raise WrongUsage("Name results by their ids, say what to search for, or say --all.")
    return query.model_copy(update={"ids": tuple(ids)}) if ids else query
