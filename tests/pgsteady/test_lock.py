"""Of several migrators one works; and a pooler, which would break that, is recognised."""

from __future__ import annotations

import subprocess
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from alembic.util import CommandError
from pooler import pooler

from pgsteady.lock import KEY
from toy import Project

Sql = Callable[..., list[tuple[object, ...]]]

WAIT_FOR_FILE = """import pathlib, time
    while not pathlib.Path({file!r}).exists():
        time.sleep(0.02)
    """


def read_until(process: subprocess.Popen[str], words: str) -> str:
    """Read the process's log up to the line that holds ``words``."""
    lines = ""
    for line in process.stderr or ():
        lines += line
        if words in line:
            return lines
    pytest.fail(f"{words!r} was never said: {lines}")


def test_a_waiting_migrator_lets_an_index_be_built_concurrently_and_then_has_nothing_to_do(
    project: Project, database: str, sql: Sql
) -> None:
    sql("CREATE TABLE a (id int)")
    go = project.folder / "go"
    project.revision(
        "001_first",
        WAIT_FOR_FILE.format(file=str(go)) + "with op.get_context().autocommit_block():\n"
        '        op.execute("CREATE INDEX CONCURRENTLY ix_a_id ON a (id)")',
    )
    worker = project.process("upgrade", "head")
    read_until(worker, "Running upgrade")
    waiter = project.process("upgrade", "head")
    read_until(waiter, "Another migration is running (pid")
    assert project.run("current") == ""  # reading does not wait
    go.touch()
    assert "Running" not in waiter.communicate()[1]
    worker.communicate()
    assert (worker.returncode, waiter.returncode) == (0, 0)
    assert sql("SELECT indisvalid FROM pg_index WHERE indrelid = 'a'::regclass") == [(True,)]


def test_a_killed_migrator_leaves_no_lock(project: Project, database: str, sql: Sql) -> None:
    go = project.folder / "go"
    wait = WAIT_FOR_FILE.format(file=str(go))
    project.revision("001_first", f'{wait}op.execute("CREATE TABLE a (id int)")')
    worker = project.process("upgrade", "head")
    read_until(worker, "Running upgrade")
    waiter = project.process("upgrade", "head")
    read_until(waiter, "Another migration is running")
    worker.kill()
    worker.communicate()
    go.touch()
    assert "Running upgrade" in waiter.communicate()[1]
    assert waiter.returncode == 0
    assert sql("SELECT count(*) FROM a") == [(0,)]


@pytest.mark.parametrize("command", [("downgrade", "base"), ("stamp", "base")])
def test_every_command_that_changes_the_database_waits(
    project: Project, database: str, command: tuple[str, str]
) -> None:
    project.revision("001_first")
    project.run("upgrade", "head")
    with closing(psycopg2.connect(database)) as holder, holder.cursor() as cursor:
        cursor.execute("SELECT pg_advisory_lock(%s)", (KEY,))
        process = project.process(*command)
        read_until(process, f"(pid {holder.info.backend_pid}, 127.0.0.1)")
    process.communicate()
    assert process.returncode == 0
    assert project.run("current") == ""


def test_a_pooler_is_refused_for_changes_unless_the_direct_url_is_known(
    project: Project, database: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    project.revision("001_first")
    port = int(database.rpartition(":")[2].partition("/")[0])
    with pooler(port) as pooled:
        monkeypatch.setenv("DATABASE_URL", database.replace(f":{port}/", f":{pooled}/"))
        assert project.run("current") == ""
        with pytest.raises(CommandError, match=r"(?s)pooler answers at 127.*DATABASE_URL_DIRECT"):
            project.run("upgrade", "head")
        Path(project.folder / ".env").write_text(f"DATABASE_URL_DIRECT={database}\n")
        project.run("upgrade", "head")
        assert project.run("current") == "001_first (head)\n"
