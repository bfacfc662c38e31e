"""``maintenance``: the application answers "later" and begins nothing, until it is off again."""

from __future__ import annotations

from dataclasses import asdict
from enum import StrEnum
from typing import Annotated

import typer

from pgsteady import maintenance as mode
from pgsteady.cli.output import Json, err, out, print_json
from pgsteady.cli.progress import Shown
from pgsteady.cli.source import Source
from pgsteady.connection import connect
from pgsteady.progress import SILENT
from pgsteady.url import DatabaseUrl


class Action(StrEnum):
    """What to do."""

    ON = "on"
    OFF = "off"
    STATUS = "status"


def maintenance(
    context: typer.Context,
    action: Annotated[Action, typer.Argument()] = Action.STATUS,
    reason: Annotated[str, typer.Option(help="What users are told.")] = mode.REASON,
    retry_after: Annotated[
        int, typer.Option(min=1, help="Seconds after which users are told to come again.")
    ] = mode.RETRY_AFTER_S,
    wait: Annotated[bool, typer.Option("--wait", help="Wait until nothing is at work.")] = False,
    as_json: Json = False,
) -> None:
    """Let the application answer "later" and begin nothing; switch that off; or ask.

    What runs goes on to its end, and what is queued stays queued.
    """
    if not reason.strip():
        raise typer.BadParameter("say what users are told.", param_hint="--reason")
    source: Source = context.obj
    project = source.project()
    query = mode.work_query(project.ini) if wait else None
    if wait and (action is not Action.ON or query is None):
        raise typer.BadParameter(
            "it goes with `on`, and needs at_work in [tool.pgsteady.maintenance] of "
            f"{project.ini.with_name('pyproject.toml')}: a SELECT that names what is at work.",
            param_hint="--wait",
        )
    database = project.database()
    if action is Action.ON:
        switch_on(database, reason, retry_after)
    elif action is Action.OFF:
        switch_off(database)
    if query is not None:
        mode.wait_until_idle(database, query, SILENT if as_json else Shown())
    raise typer.Exit(run(database, as_json=as_json))


def switch_on(database: DatabaseUrl, reason: str, retry_after_s: int) -> None:
    """Switch maintenance on."""
    mode.prepare(database)
    with connect(database) as connection, connection.begin():
        mode.on(connection, reason, retry_after_s)


def switch_off(database: DatabaseUrl) -> None:
    """Switch maintenance off."""
    with connect(database) as connection, connection.begin():
        if not mode.off(connection):
            err.print("It was not on.")


def run(database: DatabaseUrl, *, as_json: bool = False) -> int:
    """Print whether maintenance is on; return 0."""
    with connect(database) as connection, connection.begin():
        now = mode.current(connection)
    if as_json:
        print_json({"on": now is not None, **(asdict(now) if now else {})})
    elif now is None:
        out.print("Maintenance is off.")
    else:
        out.print(
            f"Maintenance is on since {now.since.astimezone():%Y-%m-%d %H:%M:%S} (by {now.by}): "
            f"{now.reason}. Users are told to come again after {now.retry_after_s} s.",
            markup=False,
        )
    return 0
