"""Claim: verification reads as fast as pg_dump, which reads the same rows.

Jobs of this project, each with a result, on a private server in memory. `take` digests every
value, `sampled` those of one row in a hundred; `examine` looks each constraint up anew and
reads every index. The least of two runs.

What it does not show: a disk. All four read each table from beginning to end, so that on a
disk they come closer to each other.

Run: python bench/verify.py [ROWS …]
"""

from __future__ import annotations

import os
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

from alembic import command
from alembic.config import Config
from sqlalchemy import Connection, text

from pgsteady.backup.files import client_for, environment
from pgsteady.connection import connect
from pgsteady.project import Project
from pgsteady.server import BUNDLED_MAJORS, private_server, url_of
from pgsteady.url import DatabaseUrl
from pgsteady.verify import Sample, examine, take

INI = Path(__file__).parents[1] / "alembic.ini"
BYTES_OF_A_JOB = 4000
"""More than a job and its result take on disk, with their indexes and the log."""

FILL = """
INSERT INTO users (email, username) VALUES ('a@example.org', 'a');
INSERT INTO materials (reduced_formula, anonymous_formula, hill_formula, chemical_system, elements,
  owner_id) SELECT 'Cu', 'A', 'Cu', 'Cu', '{Cu}', id FROM users;
INSERT INTO structures (material_id, positions_a, species, species_at_sites, dimension_types,
  number_of_sites, is_ordered, fingerprint, fingerprint_version, owner_id)
  SELECT m.id, '{{0,0,0}}', '[{"name": "Cu"}]', '{Cu}', '{0,0,0}', 1, true, repeat('0', 64), 1,
    owner_id FROM materials m;
INSERT INTO workflow_templates (name, version, title, engine, steps, parameters_schema)
  VALUES ('w', 1, 'W', 'emt', '[]', '{}');
INSERT INTO simulation_jobs (owner_id, structure_id, workflow_template_id, engine, parameters,
    parameters_sha256, status, progress, finished_at)
  SELECT s.owner_id, s.id, w.id, 'emt', jsonb_build_object('seed', n, 'scale', n * 0.001),
    encode(sha256(n::text::bytea), 'hex'), 'succeeded', 1, now()
  FROM structures s, workflow_templates w, generate_series(1, :rows) n;
INSERT INTO simulation_results (simulation_job_id, energy_ev, volume_a3, method, method_sha256,
    provenance)
  SELECT id, random(), 11.8, '{"code": "emt"}', repeat('0', 64), '{"host": "here"}'
  FROM simulation_jobs;
"""


def main(sizes: list[int]) -> None:
    """Print one line for each number of jobs."""
    print(f"{'jobs':>9} {'pg_dump':>9} {'take':>9} {'sampled':>9} {'examine':>9}  take/pg_dump")
    for rows in sizes:
        room = 2**28 + rows * BYTES_OF_A_JOB
        with private_server(BUNDLED_MAJORS[-1], room_bytes=room) as cluster:
            url = url_of(cluster, "postgres")
            project = _filled(url, rows)
            times = [
                _least(lambda url=url: _pg_dump(url)),
                _least(lambda url=url, p=project: _reading(url, lambda c: take(c, p))),
                _least(
                    lambda url=url, p=project: _reading(
                        url, lambda c: take(c, p, sample=Sample(100, above_bytes=0))
                    )
                ),
                _least(lambda url=url, p=project: _reading(url, lambda c: examine(c, p))),
            ]
            figures = " ".join(f"{time_s:7.2f} s" for time_s in times)
            print(f"{rows:9,} {figures}  {times[1] / times[0]:.1f}", flush=True)


def _filled(url: DatabaseUrl, rows: int) -> Project:
    os.environ["DATABASE_URL"] = url.url.render_as_string(hide_password=False)
    command.upgrade(Config(INI), "head")
    with connect(url) as connection:
        with connection.begin():
            connection.execute(text(FILL), {"rows": rows})
        connection.execution_options(isolation_level="AUTOCOMMIT")
        connection.execute(text("VACUUM ANALYZE"))
    return Project.load(INI)


def _pg_dump(url: DatabaseUrl) -> None:
    dump = [client_for("pg_dump", url), "--format=plain", "--file=/dev/null"]
    subprocess.run(dump, env=environment(url), check=True)


def _reading(url: DatabaseUrl, read: Callable[[Connection], object]) -> None:
    with connect(url) as connection, connection.begin():
        read(connection)


def _least(run: Callable[[], None]) -> float:
    return min(_time_s(run) for _ in range(2))


def _time_s(run: Callable[[], None]) -> float:
    began = time.perf_counter()
    run()
    return time.perf_counter() - began


if __name__ == "__main__":
    main([int(size) for size in sys.argv[1:]] or [10_000, 100_000, 1_000_000])
