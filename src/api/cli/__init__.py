"""The command ``nano-os``.

Each group of commands is a module of its own that imports nothing heavy at its
top: services, SQLAlchemy and engines are imported inside the commands.
"""

from __future__ import annotations

import gc
import signal
import sys

import typer

from api.cli import (
    artifacts,
    db,
    embed,
    engines,
    jobs,
    methods,
    results,
    structures,
    users,
    workflows,
)
from api.cli.demo import demo
from api.cli.hull import hull
from api.cli.output import fail
from api.cli.serve import serve
from api.cli.worker import worker
from pgsteady.cli.commands import Group

app = typer.Typer(
    name="nano-os",
    cls=Group,
    help="A research platform for atomic-scale materials.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    rich_markup_mode="rich",
)
app.command()(demo)
app.add_typer(structures.app, name="structures")
app.add_typer(workflows.app, name="workflows")
app.add_typer(engines.app, name="engines")
app.add_typer(jobs.app, name="jobs")
app.command()(worker)
app.add_typer(results.app, name="results")
app.add_typer(artifacts.app, name="artifacts")
app.add_typer(methods.app, name="methods")
app.command()(hull)
app.add_typer(embed.app, name="embed")
app.command()(serve)
app.add_typer(users.app, name="users")
app.add_typer(db.app, name="db")


_GC_OBJECTS = 50_000  # made before cycles are looked for: what is stored is many, cycles are few


def main() -> None:
    """Run ``nano-os``; an error of ours is one clear message and its exit code."""
    gc.set_threshold(_GC_OBJECTS)
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that the database is left tidily
    try:
        app()
    except KeyboardInterrupt:
        sys.stderr.write("Interrupted.\n")
        sys.exit(130)
    except Exception as error:  # noqa: BLE001 - the outermost edge: report, then exit
        sys.exit(fail(error))
