"""The production path, from the gates to the proof."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any

import psycopg2
import pytest
from production import ANYHOW, Pgsteady

from toy import Project

Sql = Callable[..., list[tuple[Any, ...]]]
UPGRADES = "SELECT outcome, ended_at IS NOT NULL, backup, without_rehearsal FROM pgsteady.upgrade"


def backups(folder: Path) -> list[Path]:
    return sorted((folder / "backups").glob("*/manifest.json"))


@pytest.mark.slow
def test_a_rehearsed_change_is_made_and_on_record(
    shop: Project, pgsteady: Pgsteady, sql: Sql
) -> None:
    pgsteady("rehearse")
    done = pgsteady("upgrade", "--json").json
    assert (done["outcome"], done["current"]) == ("done", ["002_note"])
    (step,) = done["steps"]
    assert step["done"]
    assert len(step["attempts"]) == 1
    assert step["expected_s"] is not None
    assert done["findings"] == [] or {f["severity"] for f in done["findings"]} == {"info"}
    assert (Path(done["backup"]) / "manifest.json").exists()
    assert sql(UPGRADES) == [("done", True, done["backup"], None)]
    assert sql("SELECT count(*), count(note) FROM items") == [(500, 0)]
    assert "none changed" in pgsteady("audit", "--verify").stdout


@pytest.mark.slow
def test_at_head_there_is_nothing_to_do(shop: Project, pgsteady: Pgsteady, tmp_path: Path) -> None:
    pgsteady("upgrade", *ANYHOW)
    before = backups(tmp_path)
    assert "Nothing to do: the database is at 002_note." in pgsteady("upgrade").stdout
    assert pgsteady("upgrade", "--json").json["outcome"] == "nothing to do"
    assert backups(tmp_path) == before


@pytest.mark.slow
def test_what_was_not_rehearsed_is_refused(shop: Project, pgsteady: Pgsteady, sql: Sql) -> None:
    assert "nothing was ever rehearsed" in pgsteady("upgrade", exits=1).stderr
    pgsteady("rehearse", "+1")
    shop.revision("003_more", 'op.add_column("items", sa.Column("more", sa.Text()))',
                  'op.drop_column("items", "more")', down="002_note")  # fmt: skip
    assert "was of other revisions" in pgsteady("upgrade", exits=1).stderr
    file = shop.versions / "002_note.py"
    file.write_text(file.read_text().replace("sa.Text()", "sa.String(9)"))
    refused = pgsteady("upgrade", "002_note", "--json", exits=1).json
    assert refused["outcome"] == "refused"
    assert "a revision's file or the live schema was changed" in refused["error"]
    assert refused["current"] == ["001_items"]
    assert refused["go_back"] == []
    assert sql("SELECT count(*) FROM pgsteady.upgrade") == [(0,)]


@pytest.mark.slow
def test_a_live_schema_changed_since_is_refused(
    shop: Project, pgsteady: Pgsteady, sql: Sql
) -> None:
    pgsteady("rehearse")
    sql("CREATE INDEX by_hand ON items (price)")
    assert "the live schema was changed" in pgsteady("upgrade", exits=1).stderr


@pytest.mark.slow
def test_a_rehearsal_that_speaks_against_it_is_obeyed(shop: Project, pgsteady: Pgsteady) -> None:
    shop.revision("003_fails", 'op.execute("SELECT 1 / 0")', down="002_note")
    pgsteady("rehearse", exits=1)
    refused = pgsteady("upgrade", exits=1)
    assert "speaks against the change" in refused.stderr
    assert "division by zero" in refused.stderr


@pytest.mark.slow
def test_the_reason_for_no_rehearsal_is_on_record(
    shop: Project, pgsteady: Pgsteady, sql: Sql
) -> None:
    pgsteady("upgrade", "--no-rehearsal", "tried on staging by hand")
    ((outcome, ended, _, reason),) = sql(UPGRADES)
    assert (outcome, ended, reason) == ("done", True, "tried on staging by hand")
    told = pgsteady("audit").stdout
    assert "upgrade without rehearsal: tried on staging by hand" in told
    assert "none changed" in pgsteady("audit", "--verify").stdout


@pytest.mark.slow
def test_errors_of_lint_are_refused_unless_accepted(shop: Project, pgsteady: Pgsteady) -> None:
    shop.revision("003_price", 'op.alter_column("items", "price", nullable=False)', down="002_note")
    refused = pgsteady("upgrade", "--no-rehearsal", "a test", exits=1)
    assert "lint finds errors" in refused.stderr
    codes = refused.stderr.partition("If it is meant so: ")[2].split()
    assert "--accept-lint" in codes
    pgsteady("upgrade", "--no-rehearsal", "a test", *codes)


@pytest.mark.slow
def test_what_prevents_work_is_refused(
    shop: Project, pgsteady: Pgsteady, external_server: Any, database: str
) -> None:
    shop.models('Table("items", metadata, Column("id", sa.Integer, primary_key=True))')
    with external_server().cluster.session(database.rpartition("/")[2]) as administrator:
        administrator.execute("ALTER TABLE items OWNER TO postgres")
    refused = pgsteady("upgrade", *ANYHOW, exits=1)
    assert "The doctor finds what prevents work" in refused.stderr
    assert "ALTER TABLE items OWNER TO orion;" in refused.stderr


@pytest.mark.slow
def test_what_is_not_where_the_version_table_says_is_refused(
    shop: Project, pgsteady: Pgsteady, sql: Sql, tmp_path: Path
) -> None:
    sql("DELETE FROM alembic_version")
    refused = pgsteady("upgrade", *ANYHOW, exits=1)
    assert "It names no revision, but tables are there: items." in refused.stderr
    assert "Stamp nothing yet" in refused.stderr or "alembic stamp 001_items" in refused.stderr
    assert backups(tmp_path) == []

    sql("INSERT INTO alembic_version VALUES ('gone')")
    refused = pgsteady("upgrade", *ANYHOW, exits=1)
    assert "revision gone: The version table names it, but no file" in refused.stderr
    assert "git log --all --oneline -- '*gone*'" in refused.stderr
    assert pgsteady("upgrade", "--json", exits=1).json["outcome"] == "refused"


@pytest.mark.slow
def test_a_version_that_is_not_true_is_refused(shop: Project, pgsteady: Pgsteady, sql: Sql) -> None:
    shop.revision("003_more", 'op.execute("SELECT 1")', down="002_note")
    pgsteady("catalog")
    sql("UPDATE alembic_version SET version_num = '002_note'")
    refused = pgsteady("upgrade", *ANYHOW, exits=1)
    assert "The version table says so, but it is not true." in refused.stderr
    assert "alembic stamp 001_items" in refused.stderr


@pytest.mark.slow
def test_errors_that_do_not_prevent_it_stop_nothing(
    shop: Project, pgsteady: Pgsteady, database: str
) -> None:
    file = shop.versions / "001_items.py"
    file.write_text(file.read_text() + "# edited\n")
    with closing(psycopg2.connect(database)) as connection:
        connection.autocommit = True
        with pytest.raises(psycopg2.errors.UniqueViolation):
            connection.cursor().execute(
                "CREATE UNIQUE INDEX CONCURRENTLY by_hand ON items ((price / 2))"
            )
    told = pgsteady("doctor", exits=1).stdout
    assert "landed-revision-edited" in told
    assert "index-invalid" in told
    answer = pgsteady("upgrade", *ANYHOW, "--json", exits=1).json  # verify tells of the index
    assert answer["current"] == ["002_note"]


@pytest.mark.slow
def test_a_backup_made_just_before_is_good_enough(
    shop: Project, pgsteady: Pgsteady, tmp_path: Path
) -> None:
    pgsteady("backup")
    (manifest,) = backups(tmp_path)
    done = pgsteady("upgrade", *ANYHOW, "--backup", manifest.parent, "--json").json
    assert (done["outcome"], done["backup"]) == ("done", str(manifest.parent))
    shop.revision("003_more", 'op.execute("SELECT 1")', down="002_note")
    refused = pgsteady("upgrade", *ANYHOW, "--backup", manifest.parent, exits=1)
    assert "it is of revision 001_items" in refused.stderr
    assert "is no backup" in pgsteady("upgrade", *ANYHOW, "--backup", tmp_path, exits=1).stderr


@pytest.mark.slow
def test_a_declared_change_is_proved_and_another_is_not(
    shop: Project, pgsteady: Pgsteady, sql: Sql
) -> None:
    shop.revision("003_double", 'op.execute("UPDATE items SET price = price * 2")', down="002_note")
    file = shop.versions / "003_double.py"
    file.write_text(file.read_text() + 'changes = {"items.price": "price * 2"}\n')
    assert pgsteady("upgrade", *ANYHOW, "--json").json["outcome"] == "done"

    shop.revision("004_lose", 'op.execute("UPDATE items SET name = 1")', down="003_double")
    answer = pgsteady("upgrade", *ANYHOW, "--json", exits=1).json
    assert answer["outcome"] == "done, and not as it should be"
    assert [(f["code"], f["object"]) for f in answer["findings"] if f["severity"] == "error"] == [
        ("changed-values", "column public.items.name")
    ]
    downgrade, restore = answer["go_back"]
    assert downgrade == "alembic downgrade 003_double"
    assert f"restore {answer['backup']} --switch" in restore


@pytest.mark.slow
def test_differences_that_others_may_have_written_are_warnings(
    shop: Project, pgsteady: Pgsteady, session: Any
) -> None:
    shop.revision("003_lose", 'op.execute("UPDATE items SET name = 1")', down="002_note")
    with session("SELECT 1"):
        answer = pgsteady("upgrade", *ANYHOW, "--json").json
    (finding,) = (f for f in answer["findings"] if f["code"] == "changed-values")
    assert finding["severity"] == "warning"
    assert "others were connected and may have written it" in finding["message"]


def test_a_target_that_is_not_there(shop: Project, pgsteady: Pgsteady) -> None:
    assert "nonsense" in pgsteady("upgrade", "nonsense", exits=2).stderr


@pytest.mark.parametrize("typed", ["soon", "5 weeks"])
def test_a_duration_that_is_none(shop: Project, pgsteady: Pgsteady, typed: str) -> None:
    assert "is no duration" in pgsteady("upgrade", f"--patience={typed}", exits=2).stderr


@pytest.mark.slow
@pytest.mark.parametrize("target", ["base", "001_items"])
def test_back_is_not_forth(shop: Project, pgsteady: Pgsteady, target: str) -> None:
    shop.run("upgrade", "head")
    told = pgsteady("upgrade", target).stdout
    assert "Nothing to do: the database is at 002_note." in told
    assert f"alembic downgrade {target}" in told
    assert pgsteady("upgrade", target, "--json").json["go_back"] == [f"alembic downgrade {target}"]
    for there in ("002_note", "001_items+1", "head"):
        assert "downgrade" not in pgsteady("upgrade", there).stdout


@pytest.mark.parametrize("reason", ["", " \t"])
def test_maintenance_wants_a_reason(shop: Project, pgsteady: Pgsteady, reason: str) -> None:
    assert "--reason" in pgsteady("maintenance", "on", "--reason", reason, exits=2).stderr
    assert pgsteady("maintenance", "--json").json == {"on": False}


@pytest.mark.slow
def test_only_as_far_as_asked(shop: Project, pgsteady: Pgsteady) -> None:
    shop.revision("003_more", 'op.execute("SELECT 1")', down="002_note")
    assert pgsteady("upgrade", "+1", *ANYHOW, "--json").json["current"] == ["002_note"]


@pytest.mark.slow
def test_maintenance_lasts_as_long_as_the_change(
    shop: Project, pgsteady: Pgsteady, sql: Sql
) -> None:
    shop.revision(
        "003_seen", 'op.execute("CREATE TABLE seen AS SELECT reason FROM pgsteady.maintenance")',
        'op.drop_table("seen")', down="002_note",
    )  # fmt: skip
    assert not pgsteady("upgrade", *ANYHOW, "--maintenance", "--json").json["maintenance"]
    assert sql("SELECT * FROM seen") == [("The database is being upgraded",)]
    assert pgsteady("maintenance", "--json").json == {"on": False}

    shop.revision("004_fails", 'op.execute("SELECT 1 / 0")', down="003_seen")
    failed = pgsteady("upgrade", *ANYHOW, "--maintenance", exits=1)
    assert "python -m pgsteady maintenance off" in failed.stdout
    assert pgsteady("maintenance", "--json").json["on"]

    (shop.versions / "004_fails.py").unlink()
    shop.revision("004_works", 'op.execute("SELECT 1")', down="003_seen")
    assert pgsteady("upgrade", *ANYHOW, "--json").json["outcome"] == "done"
    assert pgsteady("maintenance", "--json").json["on"], "who switched it on switches it off"
