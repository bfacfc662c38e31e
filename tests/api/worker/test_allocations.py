"""Jobs on a real Slurm: few allocations, each job's end once, whatever is lost in between.

``make test-slurm`` sets up Slurm and Parsl and runs these.
"""

from __future__ import annotations

import json
import os
import re
import shutil
import signal
import subprocess
import time
from collections.abc import Callable, Iterator
from importlib.util import find_spec
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psutil
import psycopg2
import psycopg2.extras
import pytest
from ase.build import bulk
from samples import metal, stored
from sqlalchemy.ext.asyncio import AsyncSession, async_sessionmaker

from api.services.simulations import NO_TERMS, Terms, submit
from api.services.users import local_owner
from api.settings import PROJECT_ROOT
from nanoos.structures import Structure
from pgsteady.url import parse

if TYPE_CHECKING:
    from conftest import Invoke, Start, Started

pytestmark = [
    pytest.mark.slow,
    pytest.mark.timeout(600),
    pytest.mark.skipif("SLURM_CONF" not in os.environ, reason="no Slurm here: make test-slurm"),
    pytest.mark.skipif(find_spec("parsl") is None, reason="no Parsl here: make test-slurm"),
]

needs_espresso = pytest.mark.skipif(
    shutil.which("pw.x") is None, reason="Quantum ESPRESSO is not installed: make test-espresso"
)
QUICK = {"points_per_side": 2}
LONG = {"points_per_side": 20}
"""With cells of some hundred atoms: many seconds, and progress all along."""

ROGUE = Path(__file__).parents[2] / "fixtures" / "rogue_engine"
ROUGH = {"functional": "LDA", "cutoff_ev": 150, "k_spacing_per_a": 1.2}

OPEN = "SELECT id FROM simulation_jobs WHERE status IN ('queued', 'waiting', 'running')"

Rows = list[dict[str, Any]]
Query = Callable[..., Rows]


def slurm(*command: str) -> str:
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def allocations(*states: str) -> list[str]:
    """The numbers of ours in these states, or in any."""
    chosen = ",".join(states) or "all"
    return slurm("squeue", "--noheader", "--format=%i", f"--states={chosen}").split()


@pytest.fixture(autouse=True)
def lively(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let workers look at the queue often, so that tests do not wait."""
    monkeypatch.setenv("NANO_OS_POLL_S", "0.2")
    monkeypatch.setenv("NANO_OS_RETRY_AFTER_S", "0.1")


@pytest.fixture(autouse=True)
def empty() -> Iterator[None]:
    """Begin and end with no allocation, and both nodes up."""
    yield
    slurm("scancel", "--user=root")
    resume = ["scontrol", "update", "nodename=node[1-2]", "state=resume"]
    subprocess.run(resume, check=False, capture_output=True)  # refused where they are up
    until(lambda: not allocations("PD", "R", "CG"))


@pytest.fixture
def query(database: str) -> Iterator[Query]:
    connection = psycopg2.connect(parse(database, "the test").libpq())
    connection.autocommit = True

    def run(statement: str) -> Rows:
        with connection.cursor(cursor_factory=psycopg2.extras.RealDictCursor) as cursor:
            cursor.execute(statement)
            return [dict(row) for row in cursor.fetchall()]

    yield run
    connection.close()


@pytest.fixture
def queue_up(sessions: async_sessionmaker[AsyncSession]) -> Callable[..., Any]:
    """Queue one job for each structure, in this order."""

    async def run(
        *structures: Any,
        workflow: str = "equation_of_state",
        parameters: dict[str, Any] = QUICK,
        engine: str | None = None,
        of_engine: dict[str, Any] | None = None,
        terms: Terms = NO_TERMS,
    ) -> None:
        async with sessions.begin() as session:
            owner = await local_owner(session)
            ids = await stored(session, owner, *structures)
            asked = {"parameters": parameters, "engine": engine, "engine_parameters": of_engine}
            await submit(session, workflow, ids, owner=owner, terms=terms, **asked)

    return run


@pytest.fixture
def cluster(tmp_path: Path) -> Callable[..., Path]:
    """Describe the test's cluster, with further lines."""

    def write(*lines: str) -> Path:
        file = tmp_path / "cluster.toml"
        file.write_text(f"""
folder = "{tmp_path / "shared"}"
partition = "batch"
max_allocations = 2
cores_per_node = 2
address = "127.0.0.1"
silence_s = 8
poll_s = 1
idle_s = 300
{chr(10).join(lines)}
""")
        return file

    return write


def until(condition: Callable[[], Any], worker: Started | None = None, s: float = 240) -> Any:
    """Wait until the condition holds, and return what it gave."""
    deadline = time.monotonic() + s
    while not (found := condition()):
        assert worker is None or worker.poll() is None, worker.output()
        assert time.monotonic() < deadline, worker.output() if worker else condition
        time.sleep(0.2)
    return found


def under_way(query: Query) -> Rows:
    return query("SELECT id FROM simulation_jobs WHERE status = 'running' AND progress > 0")


def sleepers() -> list[psutil.Process]:
    """The programs that a rogue engine starts to last."""
    commands = (["sleep", "1001"], ["sleep", "1002"])
    return [one for one in psutil.process_iter(["cmdline"]) if one.info["cmdline"] in commands]


def finish(worker: Started, query: Query) -> None:
    """Wait until no job is left, and end the worker, which gives all allocations back."""
    until(lambda: not query(OPEN), worker)
    worker.terminate()
    worker.end()
    assert not allocations("PD", "R")


def assert_done_once(query: Query, jobs: int) -> None:
    assert query("SELECT status, count(*) FROM simulation_jobs GROUP BY 1") == [
        {"status": "succeeded", "count": jobs}
    ]
    assert query("SELECT count(*) FROM simulation_results") == [{"count": jobs}]


def test_what_would_be_asked_is_printed_and_not_asked(
    invoke: Invoke, cluster: Callable[..., Path]
) -> None:
    before = allocations()
    file = cluster(
        'wall_time = "00:30:00"', 'setup = ["module load x"]', "[environment]", 'A = "b"'
    )
    answer = invoke("worker", "--executor", "parsl", "--config", file, "--check").stdout
    for line in ("#SBATCH --partition=batch", "#SBATCH --time=30", "module load x", "export A=b"):
        assert f"\n{line}\n" in answer
    assert "using 2 processors on nodes node" in answer
    assert allocations() == before


def test_what_slurm_would_refuse_is_told(invoke: Invoke, cluster: Callable[..., Path]) -> None:
    file = cluster('options = ["--constraint=none-has-it"]')
    answer = invoke("worker", "--executor", "parsl", "--config", file, "--check", exits=3)
    assert "Invalid feature specification" in answer.stderr


async def test_many_jobs_need_few_allocations_and_see_no_database(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path], tmp_path: Path
) -> None:
    before = set(allocations())
    await queue_up(*(metal("Cu", a=3.5 + 0.01 * n) for n in range(24)))
    file = cluster(f'setup = ["env > {tmp_path}/seen"]')
    worker = start("worker", "--executor", "parsl", "--config", file, "--drain")
    assert worker.end(400) == 0, worker.output()
    assert_done_once(query, 24)
    assert 1 <= len(set(allocations()) - before) <= 2
    assert not allocations("PD", "R")
    seen = (tmp_path / "seen").read_text()
    assert "SLURM_JOB_ID=" in seen
    assert "DATABASE_URL" not in seen
    assert {path.name for path in (tmp_path / "shared").iterdir()} <= {"left", "parsl.log"}


@needs_espresso
async def test_a_parallel_program_is_started_on_nodes_of_its_own(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path], tmp_path: Path
) -> None:
    launch = tmp_path / "launch"
    launch.write_text(f"""#!/bin/sh
echo "$1 nodes, $2 ranks: $3" > {tmp_path}/launched
shift 3
exec mpirun --allow-run-as-root --oversubscribe -np 2 "$@"
""")
    launch.chmod(0o755)
    silicon = Structure.from_ase(bulk("Si"))
    terms = Terms(resources={"nodes": 2, "ranks": 2})
    asked = {"workflow": "single_point", "engine": "espresso", "of_engine": ROUGH}
    await queue_up(silicon, parameters={}, terms=terms, **asked)
    file = cluster("nodes = 2", f'launcher = "{launch} {{nodes}} {{ranks}} {{hosts}}"')
    worker = start("worker", "--executor", "parsl", "--config", file, "--drain")
    assert worker.end(400) == 0, worker.output()
    assert_done_once(query, 1)
    assert query("SELECT n_cores FROM simulation_results") == [{"n_cores": 2}]
    assert (tmp_path / "launched").read_text() == "2 nodes, 2 ranks: node1,node2\n"


async def test_the_page_can_be_followed(
    start: Start, query: Query, queue_up: Any, tmp_path: Path
) -> None:
    """With what is another there: folder, cores, address and modules."""
    page = (PROJECT_ROOT / "docs" / "cluster.md").read_text()
    (described,) = re.findall(r"```toml\n(.*?)```", page, re.DOTALL)
    here = {
        "/scratch/materials/nano-os": str(tmp_path / "shared"),
        "cores_per_node = 64": "cores_per_node = 2",
        "cores_per_job = 4": "cores_per_job = 1",
        "04:00:00": "00:10:00",
        "10.0.0.1": "127.0.0.1",
        "module load quantum-espresso": "true",
    }
    for there, instead in here.items():
        assert there in described
        described = described.replace(there, instead)
    file = tmp_path / "cluster.toml"
    file.write_text(described)
    await queue_up(metal("Cu"))
    typed = re.findall(r"^nano-os (.*--config cluster.toml.*)$", page, re.MULTILINE)
    assert len(typed) == 2
    for line in typed:
        command = start(*line.replace("cluster.toml", str(file)).split())
        assert command.end(400) == 0, command.output()
    assert_done_once(query, 1)


async def test_jobs_of_a_cancelled_allocation_come_back(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path]
) -> None:
    await queue_up(*(metal(one, cells=7) for one in ("Cu", "Al", "Ni")), parameters=LONG)
    file = cluster("cores_per_job = 2")
    worker = start("worker", "--executor", "parsl", "--config", file)
    until(lambda: len(under_way(query)) == 2, worker)
    slurm("scancel", allocations("R")[0])
    finish(worker, query)
    assert_done_once(query, 3)
    tries = query("SELECT error_type FROM simulation_attempts WHERE error_type IS NOT NULL")
    assert tries == [{"error_type": "AllocationLost"}]


async def test_jobs_of_an_allocation_whose_time_slurm_ends_are_done_once(
    start: Start,
    query: Query,
    queue_up: Any,
    cluster: Callable[..., Path],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Slurm ends it before the time that jobs were told of: no process of theirs stays.

    The first try of the job starts programs that would last; the second ends soon.
    """
    monkeypatch.setenv("PYTHONPATH", str(ROGUE))
    once = tmp_path / "began"
    await queue_up(metal("Cu"))
    habit = json.dumps({"does": "linger", "once": str(once)})
    query(
        f"UPDATE simulation_jobs SET engine = 'rogue', engine_parameters = '{habit}' RETURNING id"
    )
    worker = start("worker", "--executor", "parsl", "--config", cluster())
    until(lambda: once.exists() and len(sleepers()) == 2, worker)
    (first,) = allocations("R")
    slurm("scontrol", "update", f"jobid={first}", "endtime=now+1")
    until(lambda: first in allocations("TO"), worker)
    until(lambda: not sleepers(), worker, s=10)
    finish(worker, query)
    assert_done_once(query, 1)
    tries = query("SELECT attempt, outcome, error_type FROM simulation_attempts ORDER BY attempt")
    assert [tuple(one.values()) for one in tries] == [
        (1, "failed", "AllocationLost"),
        (2, "succeeded", None),
    ]


async def test_jobs_outlast_allocations_and_none_fails_for_their_end(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path]
) -> None:
    """An allocation that has no time left takes none: it would be done with each at once."""
    before = set(allocations())
    await queue_up(*(metal("Cu", a=3.5 + 0.005 * n, cells=4) for n in range(40)), parameters=LONG)
    file = cluster('wall_time = "00:01:00"', "max_allocations = 1")
    file.write_text(file.read_text().replace("max_allocations = 2\n", "", 1))
    worker = start("worker", "--executor", "parsl", "--config", file, "--drain")
    assert worker.end(500) == 0, worker.output()
    assert_done_once(query, 40)
    asked = set(allocations()) - before
    assert len(asked) >= 2
    (lost,) = query("SELECT sum(failures) FROM simulation_jobs")
    assert lost["sum"] <= 2 * len(asked)  # those that an end came upon


@needs_espresso
async def test_a_long_job_goes_on_from_allocation_to_allocation(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path], tmp_path: Path
) -> None:
    """What was calculated in one is not calculated in the next: no core-hour is lost twice."""
    command = tmp_path / "pw"
    command.write_text(f'#!/bin/sh\npwd >> {tmp_path}/starts\nexec pw.x "$@"\n')
    command.chmod(0o755)
    fine = {"functional": "LDA", "cutoff_ev": 200, "k_spacing_per_a": 0.4}
    silicon = Structure.from_ase(bulk("Si", a=5.38))
    await queue_up(silicon, engine="espresso", parameters=LONG, of_engine=fine)
    file = cluster('wall_time = "00:01:00"', "[environment]", f'NANO_OS_PW_COMMAND = "{command}"')
    worker = start("worker", "--executor", "parsl", "--config", file, "--drain")
    assert worker.end(550) == 0, worker.output()
    tries = query("SELECT outcome, error FROM simulation_attempts ORDER BY attempt")
    assert {one["outcome"] for one in tries[:-1]} == {"handed back"}, tries
    assert_done_once(query, 1)
    starts = (tmp_path / "starts").read_text().split()
    assert len(starts) <= len({Path(one).name for one in starts}) + len(tries) - 1


async def test_jobs_of_a_node_whose_slurmd_was_killed_end_once(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path]
) -> None:
    await queue_up(*(metal(one, cells=7) for one in ("Cu", "Al", "Ni")), parameters=LONG)
    file = cluster("cores_per_job = 2")
    worker = start("worker", "--executor", "parsl", "--config", file)
    until(lambda: len(under_way(query)) == 2, worker)
    run = Path(os.environ["SLURM_CONF"]).parent / "run"
    os.kill(int((run / "slurmd-node1.pid").read_text()), signal.SIGKILL)
    try:
        finish(worker, query)
        assert_done_once(query, 3)
    finally:
        subprocess.run(["slurmd", "-N", "node1"], check=True)


async def test_a_full_cluster_is_told_of_and_waited_for(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path], tmp_path: Path
) -> None:
    script = tmp_path / "others.sh"
    script.write_text("#!/bin/sh\nsleep 600\n")
    options = ("--parsable", "--nodes=2", "--exclusive", f"--output={tmp_path}/others")
    others = slurm("sbatch", *options, str(script)).strip()
    until(lambda: others in allocations("R"))
    await queue_up(metal("Cu"))
    worker = start("worker", "--executor", "parsl", "--config", cluster(), "--drain")
    told = "SELECT progress_message AS told FROM simulation_jobs WHERE progress_message ~ 'Slurm'"
    ((said),) = until(lambda: query(told), worker)
    assert said["told"].startswith("waits for Slurm: allocation ")
    assert "is pending (" in said["told"]
    slurm("scancel", others)
    assert worker.end(400) == 0, worker.output()
    assert_done_once(query, 1)


async def test_allocations_of_a_killed_worker_end_and_its_jobs_go_on(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path]
) -> None:
    await queue_up(*(metal(one, cells=7) for one in ("Cu", "Al", "Ni")), parameters=LONG)
    file = cluster("cores_per_job = 2")
    killed = start("worker", "--executor", "parsl", "--config", file)
    until(lambda: under_way(query), killed)
    family = killed.children(recursive=True)
    killed.kill()
    _, left = psutil.wait_procs(family, timeout=30)
    assert not left
    until(lambda: not allocations("PD", "R"), s=60)
    worker = start("worker", "--executor", "parsl", "--config", file)
    finish(worker, query)
    assert_done_once(query, 3)


async def test_a_cluster_that_refuses_ends_the_worker_and_keeps_the_jobs(
    start: Start, query: Query, queue_up: Any, cluster: Callable[..., Path]
) -> None:
    await queue_up(metal("Cu"))
    file = cluster('options = ["--constraint=none-has-it"]')
    worker = start("worker", "--executor", "parsl", "--config", file, "--drain")
    assert worker.end(400) == 3, worker.output()
    assert "The cluster takes no jobs" in worker.output()
    assert "nvalid feature specification" in worker.output()
    assert query("SELECT status, failures, worker_deaths FROM simulation_jobs") == [
        {"status": "queued", "failures": 0, "worker_deaths": 0}
    ]
