"""Plain alembic makes a backup before it destroys rows, and stops where it cannot."""

from __future__ import annotations

import json
import re
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pytest
from alembic.util import CommandError

from pgsteady.backup import Backup, backups, restored
from pgsteady.connection import connect
from pgsteady.project import Project as Read
from servers import ExternalServer
from toy import Project

Sql = Callable[..., list[tuple[object, ...]]]

EXISTS = 'op.execute("CREATE TABLE a (id int PRIMARY KEY, b text)")'
DROPS = 'op.execute("DROP TABLE a")'
FILLED = "INSERT INTO a SELECT n, 'row ' || n FROM generate_series(1, 1234) n"


@pytest.fixture
def folder(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Where the backups go."""
    folder = tmp_path / "kept"
    monkeypatch.setenv("PGSTEADY_BACKUPS", str(folder))
    return folder


@pytest.fixture
def filled(project: Project, database: str, sql: Sql) -> Project:
    """A project at 001, with 1,234 rows in table a."""
    project.revision("001_a", EXISTS, DROPS)
    project.run("upgrade", "head")
    sql(FILLED)
    return project


def typed(project: Project, *arguments: str, exits: int = 0) -> str:
    """Type a command of alembic and return what it logged."""
    process: subprocess.Popen[str] = project.process(*arguments)
    _, log = process.communicate()
    assert process.returncode == exits, log
    return log


def only(folder: Path) -> Backup:
    (backup,) = backups(folder)
    return backup


def test_a_downgrade_that_drops_rows_leaves_a_backup_of_them(
    filled: Project, folder: Path, sql: Sql
) -> None:
    log = typed(filled, "downgrade", "-1")
    backup = only(folder)
    assert "001_a drops table a (1,234 rows): a backup is made first." in log
    assert sql("SELECT to_regclass('a')") == [(None,)]
    assert backup.manifest.proved
    with restored(backup, Read.load(filled.ini)) as copy, connect(copy) as connection:
        assert connection.exec_driver_sql("SELECT count(*) FROM a").scalar() == 1234


def test_the_hint_undoes_it(
    filled: Project,
    folder: Path,
    sql: Sql,
    tmp_path: Path,
    database: str,
    external_server: Callable[..., ExternalServer],
) -> None:
    server, name = external_server(), database.rpartition("/")[2]
    with server.cluster.session(name) as administrator:
        administrator.execute("DROP EXTENSION vector")  # which orion may not make anew
    log = typed(filled, "downgrade", "-1")
    (hint,) = re.findall(r"\(undo with: (.*)\)", log)
    python, *arguments = shlex.split(hint)
    assert python == "python"
    command = [sys.executable, *arguments, "--json"]
    done = subprocess.run(command, check=False, cwd=tmp_path, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    server.drop(json.loads(done.stdout)["kept"])
    assert sql("SELECT count(*) FROM a") == [(1234,)]
    assert sql("SELECT version_num FROM alembic_version") == [("001_a",)]


def test_rows_that_do_not_exist_make_no_noise(
    project: Project, database: str, folder: Path
) -> None:
    project.revision("001_a", EXISTS, DROPS)
    seeds = f"op.execute({FILLED!r})"
    project.revision("002_b", seeds, 'op.execute("DELETE FROM a")', down="001_a")
    project.revision("003_c", DROPS, EXISTS, down="002_b")
    up = typed(project, "upgrade", "head")  # drops rows that this very command put in
    down = typed(project, "downgrade", "base")
    said = [line for line in (up + down).splitlines() if "Running" not in line]
    assert all(line.startswith("INFO  [alembic.runtime.migration]") for line in said), said
    assert not folder.exists()


@pytest.mark.parametrize(
    ("statement", "lost"),
    [
        ("ALTER TABLE a DROP COLUMN b", "drops column a.b (1,234 rows)"),
        ("TRUNCATE a", "empties table a (1,234 rows)"),
        ("DELETE FROM a WHERE id > 1000", "deletes rows of a (234 rows)"),
        ("DELETE FROM a USING generate_series(1, 3) n WHERE id = n", "deletes rows of a (3 rows)"),
        ("WITH d AS (DELETE FROM a RETURNING id) SELECT count(*) FROM d", "deletes rows of a"),
        ("UPDATE a x SET b = upper(b) WHERE x.id = 1", "overwrites a.b (1 row)"),
        ("DO $$ BEGIN UPDATE a SET b = 'x'; END $$", "overwrites a.b (1,234 rows)"),
        ("INSERT INTO a VALUES (1) ON CONFLICT (id) DO UPDATE SET b = 'x'", "may overwrite a.b"),
        ("MERGE INTO a USING a x ON a.id = x.id WHEN MATCHED THEN DELETE", "may delete rows of a"),
        ("ALTER TABLE a ALTER b TYPE int USING length(b)", "changes values of a.b (1,234 rows)"),
        ("ALTER TABLE a ALTER id TYPE smallint USING id / 2", "changes values of a.id"),
        ("ALTER TABLE a RENAME TO z; DROP TABLE z", "drops table a (1,234 rows)"),
        ("DROP TABLE a CASCADE", "drops table a (1,234 rows)"),
        ("DROP SCHEMA more CASCADE", "drops table more.c (1 row)"),
        ("DROP TYPE colour CASCADE", "drops column d.of (2 rows)"),
        ("TRUNCATE d CASCADE", "empties table e (1 row)"),
        ("DROP TABLE parts", "drops table part_1 (1 row)"),
        ("DROP MATERIALIZED VIEW m", "drops materialized view m (1,234 rows)"),
        ("DROP OWNED BY orion", "drops table a (1,234 rows)"),
    ],
)
def test_what_counts(
    filled: Project,
    sql: Sql,
    monkeypatch: pytest.MonkeyPatch,
    statement: str,
    lost: str,
) -> None:
    sql(MORE)
    filled.revision("002_b", f"op.execute({statement!r})", down="001_a")
    monkeypatch.setenv("PGSTEADY_BACKUPS", str(filled.ini / "no folder"))
    with pytest.raises(CommandError, match=re.escape(lost)):
        filled.run("upgrade", "head")
    assert filled.run("current") == "001_a\n"
    assert sql("SELECT count(*), count(b) FROM a") == [(1234, 1234)]


@pytest.mark.parametrize(
    "statement",
    [
        "ALTER TABLE a ADD c text; UPDATE a SET c = b",
        "ALTER TABLE a ADD c text DEFAULT 'x'; ALTER TABLE a DROP c",
        "CREATE TABLE z AS SELECT * FROM a; UPDATE z SET b = 'x'; DROP TABLE z",
        "UPDATE a SET nothing = 1",
        "UPDATE a SET nothing = 1 WHERE nothing IS NULL",
        "DELETE FROM a WHERE id > 1234",
        "ALTER TABLE a DROP nothing",
        "ALTER TABLE a ALTER id TYPE bigint, ALTER b TYPE varchar(99)",
        "ALTER TABLE a ALTER id TYPE numeric(9, 2)",
        "ALTER TABLE a ALTER b TYPE varchar(99) USING b::varchar(99)",
        "DROP VIEW v; DROP INDEX i; TRUNCATE empty; DROP TABLE empty CASCADE",
        "CREATE TRIGGER t BEFORE UPDATE ON a EXECUTE FUNCTION suppress_redundant_updates_trigger()",
        "CREATE RULE r AS ON INSERT TO a DO ALSO DELETE FROM a",
    ],
)
def test_what_does_not_count(
    filled: Project, sql: Sql, monkeypatch: pytest.MonkeyPatch, statement: str
) -> None:
    sql("ALTER TABLE a ADD nothing int; CREATE VIEW v AS SELECT id FROM a; CREATE TABLE empty ()")
    sql("CREATE INDEX i ON a (nothing)")
    if "ALTER id TYPE" in statement:
        sql("DROP VIEW v")
    filled.revision("002_b", f"op.execute({statement!r})", down="001_a")
    monkeypatch.setenv("PGSTEADY_BACKUPS", str(filled.ini / "no folder"))
    filled.run("upgrade", "head")
    assert filled.run("current") == "002_b (head)\n"


ASKS = """for name, in op.get_bind().execute(sa.text("SELECT 'a'")):
        {body}"""


def test_what_only_the_run_shows_is_stopped_before_it_is_sent(
    filled: Project, folder: Path, sql: Sql
) -> None:
    body = """try:
            op.execute("CREATE TABLE made (); " + f"DELETE FROM {name} WHERE id <= 34")
        except Exception:
            pass"""
    filled.revision("002_b", ASKS.format(body=body), down="001_a")
    filled.revision("003_c", 'op.execute("TRUNCATE a")', down="002_b")
    log = typed(filled, "upgrade", "head")
    assert "002_b deletes rows of a (34 rows): a backup is made first." in log
    assert log.count("Running upgrade 001_a -> 002_b") == 2
    assert only(folder).manifest.rows["public.a"] == 1234
    assert only(folder).manifest.revisions == ("001_a",)
    assert sql("SELECT to_regclass('made')::text") == [("made",)]
    outcomes = "SELECT to_revisions[1], outcome FROM pgsteady.audit ORDER BY number"
    assert sql(outcomes) == [("001_a", "done"), ("002_b", "done"), ("003_c", "done")]


def test_a_step_that_is_begun_again_moves_no_target(
    filled: Project, folder: Path, sql: Sql
) -> None:
    asks = ASKS.format(body='op.execute(f"TRUNCATE {name}")')
    filled.revision("002_b", "pass", asks, down="001_a")
    filled.revision("003_c", down="002_b")
    filled.run("upgrade", "head")
    filled.run("downgrade", "-2")
    assert filled.run("current") == "001_a\n"
    assert only(folder).manifest.revisions == ("002_b",)


def test_in_an_autocommit_block_it_is_too_late_for_a_backup(
    filled: Project, folder: Path, sql: Sql
) -> None:
    block = """with op.get_context().autocommit_block():
        for name, in op.get_bind().execute(sa.text("SELECT 'a'")):
            try:
                op.execute(f"DELETE FROM {name}")
            except Exception:
                pass"""
    filled.revision("002_b", block, down="001_a")
    log = typed(filled, "upgrade", "head", exits=255)
    assert "002_b deletes rows of a (1,234 rows), in an autocommit block: it was stopped" in log
    assert "alembic -x no-backup" in log
    assert sql("SELECT count(*) FROM a") == [(1234,)]
    typed(filled, "-x", "no-backup", "upgrade", "head")
    assert sql("SELECT count(*) FROM a") == [(0,)]
    assert not folder.exists()


def test_an_autocommit_block_that_can_be_read_is_backed_up(
    filled: Project, folder: Path, sql: Sql
) -> None:
    block = """with op.get_context().autocommit_block():
        op.execute("DELETE FROM a")"""
    filled.revision("002_b", block, down="001_a")
    filled.run("upgrade", "head")
    assert only(folder).manifest.rows["public.a"] == 1234


@pytest.mark.parametrize("place", ["in a file", "full"])
def test_without_room_for_a_backup_nothing_is_changed(
    filled: Project, sql: Sql, monkeypatch: pytest.MonkeyPatch, tmp_path: Path, place: str
) -> None:
    before = sql("SELECT * FROM a ORDER BY id")
    sql("CREATE TABLE big AS SELECT md5(n::text) FROM generate_series(1, 20000) n")
    with small_disk(tmp_path / "disk") as disk:
        folder = disk if place == "full" else filled.ini / "backups"
        monkeypatch.setenv("PGSTEADY_BACKUPS", str(folder))
        log = typed(filled, "downgrade", "base", exits=255)
    assert "001_a drops table a (1,234 rows). No backup of that could be made, so it was not" in log
    assert "alembic -x no-backup" in log
    assert "Traceback" not in log
    assert sql("SELECT * FROM a ORDER BY id") == before
    assert filled.run("current") == "001_a (head)\n"
    typed(filled, "-x", "no-backup", "downgrade", "base")
    assert sql("SELECT to_regclass('a')") == [(None,)]


@contextmanager
def small_disk(folder: Path) -> Iterator[Path]:
    folder.mkdir()
    mount = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", str(folder)]
    if subprocess.run(mount, check=False, capture_output=True).returncode != 0:
        pytest.skip("only root mounts a disk of its own")
    try:
        yield folder
    finally:
        subprocess.run(["umount", str(folder)], check=True)


def test_stamp_and_scripts_destroy_nothing(filled: Project, folder: Path) -> None:
    assert "DROP TABLE a" in filled.run("downgrade", "001_a:base", sql=True)
    filled.run("stamp", "base")
    assert not folder.exists()


MORE = """
    CREATE SCHEMA more; CREATE TABLE more.c AS SELECT 1 AS id;
    CREATE TYPE colour AS ENUM ('red'); CREATE TABLE d (id int PRIMARY KEY, of colour);
    INSERT INTO d VALUES (1, 'red'), (2, 'red'), (3, NULL);
    CREATE TABLE e (id int REFERENCES d); INSERT INTO e VALUES (1);
    CREATE TABLE parts (id int) PARTITION BY LIST (id);
    CREATE TABLE part_1 PARTITION OF parts FOR VALUES IN (1); INSERT INTO parts VALUES (1);
    CREATE MATERIALIZED VIEW m AS SELECT * FROM a
"""
