"""``nano-os worker``: take jobs from the queue and run them."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.database import with_database
from api.cli.output import err, out

if TYPE_CHECKING:
    from api.db import Sessions
    from api.services.queue import Claim
    from api.worker.cluster import Cluster

Where = Literal["process", "parsl"]


def worker(
    drain: Annotated[
        bool, typer.Option("--drain", help="End when nothing is left to claim.")
    ] = False,
    slots: Annotated[int, typer.Option(min=1, help="Jobs run at once.")] = 1,
    executor: Annotated[
        Where, typer.Option(help="Run jobs on this machine, or on a cluster with Slurm.")
    ] = "process",
    config: Annotated[
        Path | None,
        typer.Option(
            metavar="FILE", help="Describes the cluster (TOML); for parsl, which sets the slots."
        ),
    ] = None,
    check: Annotated[
        bool, typer.Option("--check", help="Print what would be asked of Slurm, and end.")
    ] = False,
) -> None:
    """Take jobs from the queue and run them, each in a process of its own.

    With --executor parsl they run on the nodes of a cluster, which need not see the database.

    Ctrl-C or SIGTERM hands running jobs back to the queue; a second one ends at once.
    """
    cluster = _cluster(executor, config)
    if check:
        _check(cluster)
    else:
        with_database(lambda sessions: _work(sessions, cluster, drain=drain, slots=slots))


def _cluster(executor: Where, config: Path | None) -> Cluster | None:
    from api.errors import WrongUsage
    from api.worker.cluster import read_cluster

    if (executor == "parsl") != (config is not None):
        raise WrongUsage("--executor parsl and --config FILE belong together.")
    return None if config is None else read_cluster(config)


def _check(cluster: Cluster | None) -> None:
    from api.errors import WrongUsage
    from api.worker.allocations import rehearse

    if cluster is None:
        raise WrongUsage("--check tells what is asked of a cluster: add --executor parsl.")
    out.print(rehearse(cluster), markup=False)


async def _work(sessions: Sessions, cluster: Cluster | None, *, drain: bool, slots: int) -> None:
    from api.settings import settings
    from api.worker.allocations import Allocations
    from api.worker.loop import Worker
    from api.worker.processes import Processes

    ours = Worker(
        sessions,
        settings(),
        Processes(slots) if cluster is None else Allocations(cluster),
        cluster.folder if cluster else settings().home.expanduser().absolute() / "scratch",
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
