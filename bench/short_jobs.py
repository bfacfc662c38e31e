"""Short jobs to measure what runs them: queued in a home of their own, and what became of them."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import NamedTuple

import numpy as np
import psycopg2
from ase.build import bulk

from api.db import connect
from api.services import simulations
from api.services.structure_import import Candidate, import_
from api.services.users import local_owner
from nanoos.structures import Structure, analyse


@contextmanager
def home() -> Iterator[Path]:
    """Have a database of its own at head in a temporary folder; yield the folder."""
    with tempfile.TemporaryDirectory(prefix="nano-os-bench-") as name:
        scratch = Path(name)
        scratch.chmod(0o711)
        os.environ["NANO_OS_HOME"] = str(scratch / "home")
        (scratch / "home").mkdir(mode=0o711)
        os.environ.pop("DATABASE_URL", None)
        subprocess.run([program("alembic"), "upgrade", "head"], check=True, capture_output=True)
        yield scratch


async def queue_up(jobs: int, engine: str = "emt", workflow: str = "equation_of_state") -> None:
    """Queue so many jobs of copper, of cells that differ a little; equations of five points."""
    parameters = {"points_per_side": 2} if workflow == "equation_of_state" else {}
    async with connect() as sessions, sessions.begin() as session:
        owner = await local_owner(session)
        ids = []
        for a in np.array_split(np.linspace(3.4, 3.9, jobs), max(1, jobs // 500)):
            batch = [_copper(float(one)) for one in a]
            ids += [row.id for row in await import_(session, batch, owner=owner)]
        await simulations.submit(
            session, workflow, ids, owner=owner, engine=engine, parameters=parameters
        )


def _copper(a: float) -> Candidate:
    """Return copper with this lattice parameter, in Å."""
    structure = Structure.from_ase(bulk("Cu", a=a))
    return Candidate(structure=structure, analysis=analyse(structure))


class Done(NamedTuple):
    """What became of an engine's jobs: how many succeeded, and their times in s."""

    succeeded: int
    results: int
    job_s: float
    """A job's own, in its engine's process, on average."""
    span_s: float
    """From the first result to the last."""

    @property
    def rate(self) -> float:
        """Finished jobs a second."""
        return (self.succeeded - 1) / self.span_s

    def overhead_ms(self, slots: int) -> float:
        """The time of a slot per job beside the job's own, in ms."""
        return (slots / self.rate - self.job_s) * 1e3


def done(engine: str = "emt") -> Done:
    """Ask the database in force."""
    url = subprocess.run(
        [program("nano-os"), "db", "url", "--psql"], capture_output=True, text=True, check=True
    ).stdout.strip()
    connection = psycopg2.connect(url)
    with connection, connection.cursor() as cursor:
        cursor.execute(_DONE, [engine])
        row = cursor.fetchone()
    connection.close()
    return Done(*row)  # type: ignore[misc]


_DONE = """
SELECT count(*) FILTER (WHERE status = 'succeeded'), count(DISTINCT result.id),
       CAST(avg(wall_time_s) AS float8),
       CAST(extract(epoch FROM max(finished_at) - min(finished_at)) AS float8)
FROM simulation_jobs AS job LEFT JOIN simulation_results AS result
  ON result.simulation_job_id = job.id
WHERE engine = %s
"""


def program(name: str) -> str:
    """Return the program of this environment."""
    return str(Path(sys.executable).with_name(name))
