"""``nano-os jobs watch``: how jobs fare, until all have ended."""

from __future__ import annotations

import asyncio
import json as json_
from datetime import UTC, datetime
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.database import transaction, with_database
from api.cli.output import Json, err, out

if TYPE_CHECKING:
    from rich.table import Table

    from api.db import Sessions
    from api.schemas.simulation import JobSummary

ENDED = frozenset({"succeeded", "failed", "cancelled"})
SHOWN = 30
"""Rows of the table at most; the others are counted."""


def watch(
    ids: Annotated[list[UUID] | None, typer.Argument(metavar="ID", help="Of jobs.")] = None,
    interval: Annotated[float, typer.Option(min=0.1, metavar="S", help="Between looks.")] = 1.0,
    json: Json = False,
) -> None:
    """Show how jobs fare until all have ended: step, energy, largest force, time left.

    Without ids, all that have not ended. With --json, a line for each change of a job.
    """
    with_database(lambda sessions: _watch(sessions, ids, interval, json=json))


async def _watch(
    sessions: Sessions, ids: list[UUID] | None, interval: float, *, json: bool
) -> None:
    from rich.live import Live

    chosen = ids or await _not_ended(sessions)
    if not chosen:
        err.print("No job that has not ended.")
        return
    known: dict[UUID, JobSummary] = {}
    with Live(console=out, auto_refresh=False, transient=False) as live:
        while True:
            rows = await _rows(sessions, chosen)
            if json:
                _tell(rows, known)
            else:
                live.update(_table(rows), refresh=True)
            if all(row.status in ENDED for row in rows):
                return
            await asyncio.sleep(interval)


async def _not_ended(sessions: Sessions) -> list[UUID]:
    from api.models.simulation_job import STATUSES
    from api.services import control

    async with transaction(sessions) as (session, owner):
        return await control.ids_of(session, owner, frozenset(STATUSES) - ENDED)


async def _rows(sessions: Sessions, ids: list[UUID]) -> list[JobSummary]:
    from api.errors import NotFound
    from api.services import simulations

    async with transaction(sessions) as (session, _):
        rows = await simulations.list_(session, ids=ids)
    found = {row.id for row in rows}
    if missing := [str(id_) for id_ in ids if id_ not in found]:
        raise NotFound(f"No job {', '.join(missing)}.")
    return rows


def _tell(rows: list[JobSummary], known: dict[UUID, JobSummary]) -> None:
    """Print a line of JSON for each job that is not as it was."""
    for row in rows:
        if known.get(row.id) != row:
            known[row.id] = row
            typer.echo(json_.dumps(row.model_dump(mode="json"), ensure_ascii=False))


def _table(rows: list[JobSummary]) -> Table:
    """Return the table: what runs first, then what waits, then what has ended."""
    from rich import box
    from rich.table import Table

    order = {"running": 0, "queued": 1, "waiting": 1, "paused": 1}
    rows = sorted(rows, key=lambda row: order.get(row.status, 2))
    ended = sum(row.status in ENDED for row in rows)
    more = f", {len(rows) - SHOWN} more not shown" if len(rows) > SHOWN else ""
    table = Table(
        box=box.SIMPLE_HEAD, pad_edge=False, caption=f"{ended} of {len(rows)} ended{more}"
    )
    for column in ("id", "workflow", "structure", "status", "done"):
        table.add_column(column)
    for column in ("step", "energy / eV", "fmax / eV/Å", "left"):
        table.add_column(column, justify="right")
    for row in rows[:SHOWN]:
        live = row.live or {}
        table.add_row(
            str(row.id),
            row.workflow,
            " ".join(filter(None, [row.reduced_formula, row.structure_name])),
            row.status,
            f"{row.progress:.0%}",
            _number(live.get("step"), "g"),
            _number(live.get("energy_ev"), ".4f"),
            _number(live.get("max_force_ev_per_a"), ".4f"),
            _left(row),
        )
    return table


def _number(value: float | None, how: str) -> str:
    return "" if value is None else f"{value:{how}}"


def _left(row: JobSummary) -> str:
    """Return the time left at the pace so far, h:mm:ss; nothing where there is no pace yet."""
    if row.status != "running" or row.started_at is None or row.progress <= 0:
        return ""
    so_far = datetime.now(UTC) - row.started_at
    return str(so_far * ((1 - row.progress) / row.progress)).partition(".")[0]
