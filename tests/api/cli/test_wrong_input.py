"""What goes wrong is one clear message and the right exit code, and tells no secret."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING
from urllib.parse import quote

import pytest
from samples import metal

from api.db import database_url
from nanoos.writers import write
from servers import PASSWORD, ExternalServer, free_port

if TYPE_CHECKING:
    from conftest import Invoke, Start

UNKNOWN = "01900000-0000-7000-8000-000000000000"

WRONG: list[tuple[str, int, str]] = [
    (f"structures show {UNKNOWN}", 1, UNKNOWN),
    (f"structures similar {UNKNOWN}", 1, UNKNOWN),
    (f"structures export {UNKNOWN} -o out.cif", 1, UNKNOWN),
    ("structures show here", 2, "UUID"),
    ("structures import nowhere.cif", 2, "nowhere.cif"),
    ("structures import", 2, "PATH"),
    ("structures export -o out.cif", 2, "--all"),
    (f"structures export {UNKNOWN} --all -o out.cif", 2, "--all"),
    ("structures export --all --format docx -o out", 2, "docx"),
    (f"structures similar {UNKNOWN} -k 0", 2, "-k"),
    ("structures search --text *", 2, "quar*"),
    ("structures list --limit 0", 2, "limit"),
    ("structures duplicates --page 2", 2, "--page: say of which --tier"),
    ("structures duplicates --tier exact --workers 2", 2, "--workers"),
    (f"jobs submit alchemy {UNKNOWN}", 1, "equation_of_state"),
    (f"jobs submit equation_of_state {UNKNOWN}", 1, UNKNOWN),
    (f"jobs submit equation_of_state {UNKNOWN} --engine oracle", 2, "oracle"),
    (f"jobs submit equation_of_state {UNKNOWN} --param points", 2, "NAME=VALUE"),
    (f"jobs submit equation_of_state {UNKNOWN} --param =3", 2, "NAME=VALUE"),
    (f"jobs submit equation_of_state {UNKNOWN} --param points=3", 2, "points_per_side"),
    (f"jobs submit equation_of_state {UNKNOWN} --param points_per_side=many", 2, "points_per_side"),
    (f"jobs submit equation_of_state {UNKNOWN} --param volume_range=NaN", 2, "volume_range"),
    (f"jobs submit equation_of_state {UNKNOWN} --param volume_range=", 2, "volume_range"),
    (f"jobs submit equation_of_state {UNKNOWN} --priority 101", 2, "priority"),
    ("jobs submit equation_of_state", 2, "--all"),
    (f"jobs submit equation_of_state {UNKNOWN} --all", 2, "--all"),
    (f"jobs show {UNKNOWN}", 1, UNKNOWN),
    ("jobs list --status done", 2, "succeeded"),
    (f"results show {UNKNOWN}", 1, UNKNOWN),
    ("workflows show alchemy", 1, "equation_of_state"),
    ("embed run --model palm", 2, "soap"),
    ("worker --slots 0", 2, "slots"),
    ("serve --port 65536", 2, "port"),
    ("conquer", 2, "conquer"),
]


@pytest.mark.parametrize(("command", "exits", "says"), WRONG, ids=[case[0] for case in WRONG])
def test_wrong_input_is_said(
    invoke: Invoke,
    monkeypatch: pytest.MonkeyPatch,
    tmp_path: Path,
    command: str,
    exits: int,
    says: str,
) -> None:
    monkeypatch.chdir(tmp_path)
    monkeypatch.setenv("COLUMNS", "300")
    answer = invoke(*command.split(), exits=exits)
    assert says in answer.stderr
    assert answer.stdout == ""
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("change", [["--role", "root"], ["--email", "rita"]])
def test_an_account_that_cannot_be_is_refused(
    invoke: Invoke, monkeypatch: pytest.MonkeyPatch, change: list[str]
) -> None:
    monkeypatch.setenv("NANO_OS_PASSWORD", "correct horse battery")
    answer = invoke("users", "create", "rita", "--email", "rita@example.org", *change, exits=2)
    assert change[1] in answer.stderr


Point = Callable[[str], None]

COMMANDS = [
    ("structures", "list"),
    ("jobs", "list", "--json"),
    ("worker", "--drain"),
    ("embed", "run"),
]


@pytest.fixture
def point(monkeypatch: pytest.MonkeyPatch, database: str) -> Point:
    """Point DATABASE_URL somewhere else for this test."""

    def to(url: str) -> None:
        monkeypatch.setenv("DATABASE_URL", url)
        database_url.cache_clear()

    return to


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_a_server_the_address_is_named(
    invoke: Invoke, point: Point, command: tuple[str, ...]
) -> None:
    port = free_port()
    point(f"postgresql://orion:{quote(PASSWORD, safe='')}@127.0.0.1:{port}/orion_db")
    answer = invoke(*command, exits=3)
    assert str(port) in answer.stderr
    assert_no_secret(answer.stderr)


@pytest.mark.parametrize("command", COMMANDS, ids=" ".join)
def test_without_tables_the_next_step_is_named(
    invoke: Invoke, point: Point, fresh_database: Callable[..., str], command: tuple[str, ...]
) -> None:
    point(fresh_database())
    assert "alembic upgrade head" in invoke(*command, exits=3).stderr


def test_a_wrong_password_is_not_repeated(
    invoke: Invoke, point: Point, external_server: Callable[[], ExternalServer]
) -> None:
    point(external_server().url("with_vector", password="not p%a@b/c:d?e"))
    answer = invoke("structures", "list", exits=3)
    assert "password" in answer.stderr
    assert_no_secret(answer.stderr)


def test_a_missing_database_is_named(
    invoke: Invoke, point: Point, external_server: Callable[[], ExternalServer]
) -> None:
    point(external_server().url("nowhere"))
    assert "nowhere" in invoke("structures", "list", exits=3).stderr


def test_a_url_that_is_none_is_said(invoke: Invoke, point: Point) -> None:
    point("mysql://orion:secret-word@localhost/orion_db")
    answer = invoke("structures", "list", exits=3)
    assert "PostgreSQL" in answer.stderr
    assert "secret-word" not in answer.stderr


def test_a_server_that_goes_away_in_the_middle_is_said(
    start: Start,
    tmp_path: Path,
    database: str,
    external_server: Callable[[], ExternalServer],
) -> None:
    """Its sessions are ended, as by a restart, while a command is in its transaction."""
    (tmp_path / "cu.cif").write_text(write([metal("Cu")], "cif"))
    with external_server().cluster.session("of_one_test") as cursor:
        cursor.execute("BEGIN; LOCK TABLE users")
        command = start("structures", "import", tmp_path / "cu.cif")
        pids: list[tuple[int]] = []
        with external_server().cluster.session() as watcher:
            while not pids:
                watcher.execute("SELECT pid FROM pg_locks WHERE NOT granted")
                pids = watcher.fetchall()
            watcher.execute("SELECT pg_terminate_backend(%s)", pids[0])
        assert command.end() == 3
    assert "Traceback" not in command.output()


def assert_no_secret(text: str) -> None:
    assert PASSWORD not in text
    assert quote(PASSWORD, safe="") not in text
