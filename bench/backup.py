"""Figures: backup, restore check, rehearsal and verification beside plain pg_dump and pg_restore.

A database of this project with 10⁴, 10⁵ and 10⁶ jobs, each with its result, made by
multiplying those of a real run. One revision is pending, which adds a column and an index
built concurrently; its rehearsal begins with a backup. Beside it, in the same run and on the
same server: pg_dump in its own compressed format and pg_restore with two jobs into an empty
database, which is what people do who have a backup and have tried it.

What it does not show: a server on another machine, with its disk and its network; here both
sides write to one disk, and the server runs with fsync off.

Run: python bench/backup.py [ROWS]...
"""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

import servers  # noqa: E402
from pgsteady.backup import back_up, client_for, environment, load, restored  # noqa: E402
from pgsteady.connection import connect  # noqa: E402
from pgsteady.project import Project  # noqa: E402
from pgsteady.rehearse import rehearse  # noqa: E402
from pgsteady.url import DatabaseUrl, parse  # noqa: E402
from pgsteady.verify import examine, take  # noqa: E402

ROWS = (10_000, 100_000, 1_000_000)
PICTURE = ROOT / "docs" / "pictures" / "backup.svg"
PLAIN = "pg_dump + pg_restore"
OURS = ("backup", "restore --check", "rehearse", "verify")

PENDING = '''"""Jobs have a cost.

Revision ID: 999_cost
"""

import sqlalchemy as sa
from alembic import op

revision = "999_cost"
down_revision = "{head}"


def upgrade() -> None:
    """Add the column, and its index while others write."""
    op.add_column("simulation_jobs", sa.Column("cost_eur", sa.Float()))
    with op.get_context().autocommit_block():
        op.create_index(
            "ix_simulation_jobs_cost_eur",
            "simulation_jobs",
            ["cost_eur"],
            postgresql_concurrently=True,
        )


def downgrade() -> None:
    """Drop both."""
    with op.get_context().autocommit_block():
        op.drop_index("ix_simulation_jobs_cost_eur", postgresql_concurrently=True)
    op.drop_column("simulation_jobs", "cost_eur")
'''


def timed(work: Callable[[], object]) -> float:
    """Return the seconds that ``work`` takes."""
    began = time.perf_counter()
    work()
    return time.perf_counter() - began


def fill(url: str, rows: int) -> None:
    """Multiply the finished jobs of the database, and their results, to ``rows``."""
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        for table, fresh in (
            ("simulation_jobs", {"id": "fresh.id", "parameters_sha256": "md5(fresh.n::text)"}),
            ("simulation_results", {"id": "gen_random_uuid()", "simulation_job_id": "fresh.id"}),
        ):
            cursor.execute(
                "SELECT attname FROM pg_attribute WHERE attrelid = %s::regclass AND attnum > 0 "
                "AND NOT attisdropped AND attgenerated = ''",
                (table,),
            )
            names = [name for (name,) in cursor.fetchall()]
            values = ", ".join(fresh.get(name, f"t.{name}") for name in names)
            if table == "simulation_jobs":
                cursor.execute(
                    "CREATE TEMP TABLE fresh AS SELECT gen_random_uuid() AS id, n, j.id AS model "
                    "FROM generate_series(1, %s) n JOIN (SELECT id, row_number() OVER () - 1 AS k, "
                    "count(*) OVER () AS of FROM simulation_jobs WHERE status = 'succeeded') j "
                    "ON n %% j.of = j.k",
                    (rows,),
                )
            model = "id" if table == "simulation_jobs" else "simulation_job_id"
            cursor.execute(
                f"INSERT INTO {table} ({', '.join(names)}) SELECT {values} FROM fresh "
                f"JOIN {table} t ON t.{model} = fresh.model"
            )
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        with connection.cursor() as cursor:
            cursor.execute("VACUUM ANALYZE")


def copied_project(folder: Path) -> Path:
    """Copy the project, add a pending revision and return its alembic.ini."""
    for name in ("src", "alembic"):
        shutil.copytree(ROOT / name, folder / name)
    shutil.copy(ROOT / "alembic.ini", folder)
    head = max(file.stem for file in (folder / "alembic" / "versions").glob("*.py"))
    pending = folder / "alembic" / "versions" / "999_cost.py"
    pending.write_text(PENDING.format(head=head))
    return folder / "alembic.ini"


def plainly(server: servers.ExternalServer, database: DatabaseUrl, folder: Path) -> None:
    """Dump and restore as people do."""
    file, name = folder / "plain.dump", server.create(extension=False)
    there = parse(server.url(name), "the benchmark")
    dump = [client_for("pg_dump", database), "--format=custom", f"--file={file}"]
    subprocess.run(dump, check=True, env=environment(database))
    restore = [client_for("pg_restore", there), "--jobs=2", "--no-owner", f"--dbname={name}"]
    # As superuser, who may create the extension.
    where = environment(there) | {
        "PGUSER": "postgres",
        "PGPASSWORD": server.cluster.password,
    }
    subprocess.run([*restore, file], check=True, env=where)
    file.unlink()
    server.drop(name)


def measured(server: servers.ExternalServer, rows: int, folder: Path) -> dict[str, float]:
    """Return the seconds of each, on a database with ``rows`` jobs."""
    name = server.create()
    url = server.url(name)
    database = parse(url, "the benchmark")
    load(database, max((ROOT / "tests" / "migrations" / "releases").glob("*.dump")))
    fill(url, rows)
    os.environ |= {"DATABASE_URL": url, "PGSTEADY_BACKUPS": str(folder / "backups")}
    project = Project.load(copied_project(folder / "project"))
    found = {PLAIN: timed(lambda: plainly(server, database, folder))}
    made = []
    found["backup"] = timed(lambda: made.append(back_up(project)))

    def check() -> None:
        with restored(made[0], project):
            pass

    def verify() -> None:
        with connect(database) as connection, connection.begin():
            take(connection, project)
            list(examine(connection, project))

    found["restore --check"] = timed(check)
    found["verify"] = timed(verify)
    found["rehearse"] = timed(lambda: rehearse(project))
    server.drop(name)
    return found


def draw(figures: dict[int, dict[str, float]]) -> None:
    """Draw the seconds over the rows, both in decades."""
    import matplotlib as mpl

    mpl.use("svg")
    mpl.rcParams["svg.hashsalt"] = "backup"
    from matplotlib import pyplot

    figure, axes = pyplot.subplots(figsize=(6.4, 4))
    for what in (PLAIN, *OURS):
        style = "k--o" if what == PLAIN else "-o"
        axes.loglog(list(figures), [found[what] for found in figures.values()], style, label=what)
    axes.set_xlabel("jobs, each with its result")
    axes.set_ylabel("seconds")
    axes.grid(which="major", alpha=0.3)
    axes.legend()
    figure.tight_layout()
    figure.savefig(PICTURE, metadata={"Date": None})


def main() -> None:
    """Measure, print and draw."""
    rows = [int(word) for word in sys.argv[1:]] or list(ROWS)
    server = servers._start(servers.NEWEST)
    figures: dict[int, dict[str, float]] = {}
    print(f"{'jobs':>9} {PLAIN:>22} " + " ".join(f"{name:>24}" for name in OURS))
    try:
        for number in rows:
            with tempfile.TemporaryDirectory() as folder:
                found = figures[number] = measured(server, number, Path(folder))
            plain = found[PLAIN]
            ratios = [f"{found[name]:.1f} s, {found[name] / plain:.2f} times" for name in OURS]
            print(f"{number:>9} {plain:>20.1f} s " + " ".join(f"{r:>24}" for r in ratios))
    finally:
        server.cluster.stop()
        shutil.rmtree(server.cluster.folder.parent, ignore_errors=True)
    if len(figures) > 1:
        draw(figures)


if __name__ == "__main__":
    main()
