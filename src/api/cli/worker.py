"""``nano-os worker``: take jobs from the queue and run them."""

from __future__ import annotations

import asyncio
import signal
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from api.cli.database import with_database
from api.cli.output import err, of_option, out

Where = Literal["process", "parsl"]

if TYPE_CHECKING:
    from api.db import Sessions
    from api.services.queue import Claim
    from api.worker.cluster import Cluster
    from api.worker.loop import Worker


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
    engines: Annotated[
        list[str] | None,
        typer.Option(
            metavar="NAME",
            help="Claim only jobs with this one; may be repeated. [all that run here]",
        ),
    ] = None,
    grace: Annotated[
        float, typer.Option(min=0, metavar="S", help="Seconds that running jobs get to finish.")
    ] = 10.0,
    scratch: Annotated[
        Path | None,
        typer.Option(help="Where jobs work. [scratch in NANO_OS_HOME]", file_okay=False),
    ] = None,
    keep_failed: Annotated[
        bool, typer.Option("--keep-failed", help="Keep the folders of failed jobs.")
    ] = False,
    max_worker_deaths: Annotated[
        int | None,
        typer.Option(min=1, help="Deaths of workers after which a job fails. [the setting]"),
    ] = None,
) -> None:
    """Take jobs from the queue and run them, each in a process of its own.

    With --executor parsl they run on the nodes of a cluster, which need not see the database.

    After Ctrl-C or SIGTERM, jobs that end within --grace are finished, the others go back to the
    queue; a second one ends at once.
    """
    from api.settings import settings

    cluster = _cluster(executor, config)
    if check:
        _check(cluster)
        return
    deaths = {} if max_worker_deaths is None else {"max_worker_deaths": max_worker_deaths}
    ours = settings().model_copy(update=deaths)
    place = scratch or (cluster.folder if cluster else ours.home / "scratch")
    offered = _offered(engines, anywhere=cluster is not None)

    from api.services.queue import PLANNED_ONCE

    async def work(sessions: Sessions) -> None:
        from api.worker.allocations import Allocations
        from api.worker.folders import Folders
        from api.worker.loop import Worker
        from api.worker.processes import Processes

        await _until_stopped(
            Worker(
                sessions,
                ours,
                Processes(slots) if cluster is None else Allocations(cluster),
                Folders(place.expanduser().absolute(), keep_failed=keep_failed),
                offered,
                drain=drain,
                grace_s=grace,
                listener=_say,
                note=_note,
            ),
            grace,
        )

    with_database(work, **PLANNED_ONCE)


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


def _offered(wanted: list[str] | None, *, anywhere: bool) -> list[str]:
    """Return the engines whose jobs are claimed: those named, or all that run here.

    Whether one runs ``anywhere`` else, on the nodes of a cluster, is not known here.
    """
    from nanoos import plugins
    from nanoos.engines import make
    from nanoos.errors import InvalidParameters

    if wanted:
        with of_option("--engines"):
            for name in wanted:
                plugins.get("nanoos.engines", name)
        return wanted
    offered = []
    for name in sorted(plugins.load("nanoos.engines")):
        try:
            reason = make(name).probe()
        except InvalidParameters:  # it runs here or not as its parameters say
            reason = None
        if anywhere or reason is None:
            offered.append(name)
    return offered


async def _until_stopped(ours: Worker, grace_s: float) -> None:
    loop = asyncio.get_running_loop()
    numbers = (signal.SIGINT, signal.SIGTERM)

    def stop() -> None:
        err.print(
            f"Stopping: what ends within {grace_s:g} s is finished, the rest goes back to the"
            " queue. Once more ends at once."
        )
        ours.stop()
        for number in numbers:
            loop.remove_signal_handler(number)
            signal.signal(number, signal.SIG_DFL)

    for number in numbers:
        loop.add_signal_handler(number, stop)
    await ours.run()


def _say(event: str, claim: Claim, message: str) -> None:
    colour = {
        "succeeded": "green",
        "failed": "red",
        "lost": "yellow",
        "tried again later": "yellow",
    }.get(event, "dim")
    name = claim.structure_name or claim.structure_id
    err.print(f"[{colour}]{event:>17}[/] {claim.workflow} ", end="")
    err.print(f"{name} {message}", markup=False)


def _note(message: str) -> None:
    err.print(message, markup=False)
