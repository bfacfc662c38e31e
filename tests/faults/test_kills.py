"""kill -9 of the client, or of the server, at many points of every command that changes things.

Whatever the moment: nothing is lost, nothing half done passes for done, ``repair`` (one
command) leaves the database as before or as after, the command works when it is given
again, and neither a server nor a folder of it stays behind.

CI takes a sample of the points, seeded by the case; ``FAULTS=full`` takes all of them on the
newest PostgreSQL, and a sample on the oldest.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, suppress
from dataclasses import dataclass
from pathlib import Path

import psutil
import psycopg2
import pytest

from pgsteady.server.private import PREFIX
from servers import NEWEST, ROLE, ExternalServer
from toy import Project

pytestmark = pytest.mark.slow

FULL = os.environ.get("FAULTS") == "full"
POINTS = 12
SAMPLE = 1
OLDER = 16
VICTIMS = ("client", "server")
OF_OLDER_IN_CI = [("upgrade", "server"), ("restore and switch", "client")]
FOLDERS = [Path("/dev/shm"), Path(tempfile.gettempdir())]
PATIENCE_S = 60

REVISIONS = {
    "001_items": (
        "op.execute('CREATE TABLE items (id int PRIMARY KEY, name text NOT NULL, size float8)')\n"
        "    op.execute(\"INSERT INTO items SELECT n, 'item ' || n, n / 8.0 \"\n"
        '        "FROM generate_series(8, 40000) n")',
        "op.execute('DROP TABLE items')",
    ),
    "002_colour": (
        "op.execute(\"ALTER TABLE items ADD colour text DEFAULT 'red'\")\n"
        "    op.execute(\"UPDATE items SET colour = 'blue' WHERE id % 2 = 0\")",
        "op.drop_column('items', 'colour')",
    ),
    "003_index": (
        "with op.get_context().autocommit_block():\n"
        "        op.execute('ALTER TABLE items ADD weight float8')\n"
        "        op.execute('CREATE INDEX CONCURRENTLY ix_items_inverse ON items "
        "((1 / (id + coalesce(weight, 0) - 7)))')",
        "with op.get_context().autocommit_block():\n"
        "        op.execute('DROP INDEX CONCURRENTLY ix_items_inverse')\n"
        "    op.drop_column('items', 'weight')",
    ),
    "004_size_real": (
        "op.execute('ALTER TABLE items ALTER size TYPE numeric USING size::numeric')",
        "op.execute('ALTER TABLE items ALTER size TYPE float8')",
    ),
}
"""A plain one, one with data, one outside of a transaction, one that rewrites the table."""

CHANGES = {"002_colour": {"items.colour": None}, "004_size_real": {"items.size": "size::numeric"}}


@dataclass(frozen=True)
class Case:
    """A command, and where the database stands before it."""

    command: tuple[str, ...]
    before: str = "001_items"
    half_done: bool = False
    """Whether 003_index failed on the way, outside of a transaction."""


CASES = {
    "verify": Case(("verify",)),
    "backup": Case(("backup",)),
    "restore": Case(("restore", "{backup}", "--into", "{database}_new")),
    "restore and switch": Case(("restore", "{backup}", "--switch")),
    "rehearse": Case(("rehearse",)),
    "upgrade": Case(
        (
            "upgrade",
            "--no-rehearsal=tried",
            "--accept-lint=update-locks-rows",
            "--accept-lint=type-rewrites",
        )
    ),
    "repair": Case(("repair",), before="002_colour", half_done=True),
    "downgrade": Case(("alembic", "downgrade", "-1"), before="002_colour"),
}
"""The last is plain alembic, guarded by a backup."""


class Place:
    """A filled database of the toy project, and how it is doing."""

    def __init__(self, server: ExternalServer, project: Project, case: Case, name: str) -> None:
        self.server, self.project, self.case, self.name = server, project, case, name
        self.backups = project.folder / "backups"
        with server.cluster.session() as cursor:
            template = "half_done" if case.half_done else case.before
            cursor.execute(f'CREATE DATABASE "{name}" OWNER {ROLE} TEMPLATE "{template}"')
        self.rows = self.content()

    @property
    def url(self) -> str:
        return self.server.url(self.name)

    def start(self, *command: str) -> subprocess.Popen[str]:
        """Start a command on the database."""
        backup = next(iter(sorted(self.backups.glob("[!.]*"))), Path("none"))
        words = [word.format(backup=backup, database=self.name) for word in command]
        module = [] if words[0] == "alembic" else ["pgsteady"]
        return subprocess.Popen(
            [sys.executable, "-m", *module, *_with_ini(words, self.project.ini)],
            env=os.environ | {"DATABASE_URL": self.url, "PGSTEADY_BACKUPS": str(self.backups)},
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
        )

    def finish(self, *command: str) -> str:
        """Run a command, which must succeed."""
        process = self.start(*command)
        said, _ = process.communicate(timeout=300)
        assert process.returncode == 0, f"{command}: {said}"
        return said

    def content(self) -> tuple[object, ...]:
        """Return what must never be lost, in words of our own."""
        ((found,),) = self.sql(
            "SELECT md5(string_agg(concat_ws(',', id, name, size::float8), ';' ORDER BY id)) "
            "FROM items"
        )
        return (found, self.sql("SELECT count(*) FROM items"))

    def revision(self) -> str:
        return str(self.sql("SELECT version_num FROM alembic_version")[0][0])

    def half_done(self) -> list[tuple[object, ...]]:
        """Return what is invalid, or of a revision that the database does not name."""
        if self.revision() in {"003_index", "004_size_real"}:
            return self.sql("SELECT indexrelid::regclass FROM pg_index WHERE NOT indisvalid")
        return self.sql(
            "SELECT attname::text FROM pg_attribute WHERE attrelid = 'items'::regclass "
            "AND attname = 'weight' UNION ALL SELECT relname::text FROM pg_class "
            "WHERE relname LIKE 'ix_items_inverse%'"
        )

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            cursor.execute(statement)
            return cursor.fetchall()

    def orphans(self) -> set[Path]:
        """Return the folders of private servers that stayed behind; they go within seconds."""
        deadline = time.monotonic() + PATIENCE_S
        while (left := _unguarded()) and time.monotonic() < deadline:
            time.sleep(0.1)
        return left


def _unguarded() -> set[Path]:
    """Return the folders of private servers that no process is to remove; others may run tests."""
    folders = {path for folder in FOLDERS for path in folder.glob(f"{PREFIX}*")}
    processes = psutil.process_iter(["cmdline"])
    words = {word for process in processes for word in process.info["cmdline"] or ()}
    return {path for path in folders if str(path) not in words and path.exists()}


def _with_ini(words: list[str], ini: Path) -> list[str]:
    head = ["alembic"] if words[0] == "alembic" else []
    return [*head, "-c", str(ini), *words[len(head) :]]


@pytest.fixture(scope="module")
def server(
    external_server: Callable[..., ExternalServer], request: pytest.FixtureRequest
) -> ExternalServer:
    return external_server(request.param)


@pytest.fixture(scope="module")
def project(server: ExternalServer, tmp_path_factory: pytest.TempPathFactory) -> Iterator[Project]:
    """The project, and a template database for each place where a case begins."""
    project = Project(tmp_path_factory.mktemp("toy"))
    down = None
    for id_, (up, undo) in REVISIONS.items():
        project.revision(id_, up, undo, down=down)
        declared = f"changes = {CHANGES.get(id_, {})!r}\n"
        file = project.versions / f"{id_}.py"
        file.write_text(file.read_text() + declared)
        down = id_
    with pytest.MonkeyPatch.context() as environment:
        for id_ in (*REVISIONS, "half_done"):
            server.create(id_, extension=False)
            environment.setenv("DATABASE_URL", server.url(id_))
            if id_ == "half_done":
                project.run("upgrade", "002_colour")
                _sql(server.url(id_), "INSERT INTO items VALUES (7, 'item 7', 0.875)")
                with pytest.raises(Exception, match="division by zero"):
                    project.run("upgrade", "003_index")
            else:
                project.run("upgrade", id_)
    yield project
    for id_ in (*REVISIONS, "half_done"):
        server.drop(id_)


def _sql(url: str, statement: str) -> None:
    with closing(psycopg2.connect(url)) as connection, connection, connection.cursor() as cursor:
        cursor.execute(statement)


@pytest.fixture
def place(
    server: ExternalServer, project: Project, request: pytest.FixtureRequest
) -> Iterator[Callable[[Case], Place]]:
    names: list[str] = []

    def make(case: Case) -> Place:
        names.append(f"kill_{len(names)}_{abs(hash(request.node.name)) % 10**6}")
        made = Place(server, project, case, names[-1])
        if any("{backup}" in word for word in case.command):
            made.finish("backup", "--no-proof")
        return made

    yield make
    with server.cluster.session() as cursor:
        for name in names:
            cursor.execute("SELECT datname FROM pg_database WHERE datname LIKE %s", (f"{name}%",))
            for (left,) in cursor.fetchall():
                server.drop(left)


def points(case: str, victim: str, *, every: bool) -> list[float]:
    """Return at which fractions of an undisturbed run to kill."""
    seeded = random.Random(f"{case} {victim}")
    found = [(point + seeded.random()) / POINTS for point in range(POINTS)]
    return found if every else seeded.sample(found, SAMPLE)


EVERY = [(name, victim) for name in CASES for victim in VICTIMS]
IN_CI = [(name, random.Random(name).choice(VICTIMS)) for name in CASES]
ON = [(NEWEST, *each) for each in (EVERY if FULL else IN_CI)] + [
    (OLDER, *each) for each in (EVERY if FULL else OF_OLDER_IN_CI)
]


@pytest.mark.timeout(1800)
@pytest.mark.parametrize(("server", "name", "victim"), ON, indirect=["server"])
def test_kill(
    server: ExternalServer, name: str, victim: str, place: Callable[[Case], Place]
) -> None:
    case = CASES[name]
    undisturbed = place(case)
    began = time.monotonic()
    undisturbed.finish(*case.command)
    takes_s = time.monotonic() - began
    assert undisturbed.rows == undisturbed.content()
    newest = server.cluster.binaries.major == NEWEST
    for fraction in points(name, victim, every=FULL and newest):
        killed(place(case), victim, fraction * takes_s)


def killed(place: Place, victim: str, after_s: float) -> None:
    """Kill the client or the server after a while, recover, and look at everything."""
    process = place.start(*place.case.command)
    with suppress(subprocess.TimeoutExpired):
        process.wait(after_s)
    if victim == "client":
        process.send_signal(signal.SIGKILL)
        process.communicate()
    else:
        place.server.crash()
        try:
            said, _ = process.communicate(timeout=PATIENCE_S)
        finally:
            place.server.start_again()
        assert "Traceback" not in said, said
    place.finish("repair")
    assert place.rows == place.content()
    assert not place.half_done()
    assert not list(place.backups.glob("*.partial*"))
    place.finish(*place.case.command)
    assert place.rows == place.content()
    assert not place.half_done()
    assert not place.orphans()
