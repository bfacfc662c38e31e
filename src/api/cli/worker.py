"""``nano-os worker``: take jobs from the queue and run them."""

from __future__ import annotations

import asyncio
import signal
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.database import with_database
from api.cli.output import err

if TYPE_CHECKING:
    from api.db import Sessions
    from api.services.queue import Claim


def worker(
    drain: Annotated[
        bool, typer.Option("--drain", help="End when nothing is left to claim.")
    ] = False,
    slots: Annotated[int, typer.Option(min=1, help="Jobs run at once.")] = 1,
) -> None:
    """Take jobs from the queue and run them, each in a process of its own.

    Ctrl-C or SIGTERM hands running jobs back to the queue; a second one ends at once.
    """
    with_database(lambda sessions: _work(sessions, drain=drain, slots=slots))


async def _work(sessions: Sessions, *, drain: bool, slots: int) -> None:
    from api.settings import settings
    from api.worker.loop import Worker
    from api.worker.processes import Processes

    ours = Worker(
        sessions,
        settings(),
        Processes(slots),
        settings().home.expanduser().absolute() / "scratch",
        drain=drain,
        listener=_say,
        note=_note,
    )
    loop = asyncio.get_running_loop()

    def stop(number: signal.Signals) -> None:
        err.print("Stopping: running jobs go back to the queue.")
        ours.stop()
        loop.remove_signal_handler(number)
        signal.signal(number, signal.SIG_DFL)

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, stop, number)
    await ours.run()


def _say(event: str, claim: Claim, message: str) -> None:
    colour = {"succeeded": "green", "failed": "red", "lost": "yellow"}.get(event, "dim")
    name = claim.structure_name or claim.structure_id
    err.print(f"[{colour}]{event:>11}[/] {claim.workflow} ", end="")
    err.print(f"{name} {message}", markup=False)


def _note(message: str) -> None:
    err.print(message, markup=False)
