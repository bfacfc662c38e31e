"""Every block of the guide, typed as it stands, in the state that its section presumes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest
from blocks import BLOCKS, COVERED, GUIDE, NOT_RUN, NOT_TYPED, ROOT, Block, expected, follows
from packaging.version import Version
from places import COMMON, EXTERNAL, FIRST, HEAD, NEXT, REVISIONS, Place, Project

from api.models import Base

on_servers = pytest.mark.parametrize("place", EXTERNAL, indirect=True)

INFO = expected("1. Verify Configuration")
TABLES = set(re.findall(r"^- `(\w+)` - ", GUIDE.read_text().partition("Apply Initial")[2], re.M))
"""What the first revision makes, and all later ones keep."""
TABLES_AT_HEAD = set(Base.metadata.tables)
SOMEBODY = """
    WITH owner AS (INSERT INTO users (email, username) VALUES ('a@b.c', 'a') RETURNING id)
    INSERT INTO materials (reduced_formula, anonymous_formula, hill_formula, chemical_system,
                           elements, owner_id)
    SELECT 'Cu', 'A', 'Cu', 'Cu', '{Cu}', id FROM owner
"""


def tables(place: Place) -> set[str]:
    """Return the names of the tables, without Alembic's own."""
    rows = place.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
    return {str(name) for (name,) in rows} - {"alembic_version"}


def test_every_block_is_run_once_or_excepted_with_a_reason() -> None:
    runnable = {key for key in BLOCKS if key[1]}
    assert set(COVERED) | set(NOT_RUN) == runnable
    assert not set(COVERED) & set(NOT_RUN)
    assert max(COVERED.values()) == 1
    typed = [line.partition("  #")[0].strip() for line in GUIDE.read_text().splitlines()]
    assert set(NOT_TYPED) <= set(typed)


@on_servers
@follows("2. PostgreSQL Setup")
def test_the_extension_is_enabled_in_psql(block: Block, project: Project) -> None:
    connect, create = block.commands
    project.type(connect, stdin=create)
    assert "does not exist" not in project.type("alembic upgrade head").stderr


@on_servers
@follows("3. Configure Database Connection")
def test_the_url_is_set(block: Block, place: Place, project: Project) -> None:
    """By the line as it stands, in the shell and in ``.env``, or in ``alembic.ini``."""
    url = project.environment.pop("DATABASE_URL")
    (export,) = (
        line.replace("your_password", url.split(":")[2].partition("@")[0]).replace(
            "localhost:5432", f"localhost:{place.environment['PGPORT']}"
        )
        for line in block.commands
    )
    project.type(export, "alembic upgrade head")
    at_head = f"{HEAD} (head)\n"
    (project.folder / ".env").write_text(f"# in your .env file\n{export}\n")
    assert project.type("alembic current").stdout == at_head
    (project.folder / ".env").unlink()
    project.edit("alembic.ini", "sqlalchemy.url =", f"sqlalchemy.url = {url}")
    assert project.type("alembic current").stdout == at_head
    assert not (project.folder.parent / "home").exists()  # no embedded database was started


@follows("1. Verify Configuration")
def test_current_on_a_fresh_database(block: Block, place: Place, project: Project) -> None:
    done = project.type(*block.commands)
    assert (done.stdout, done.stderr) == ("", INFO)


@follows("2. Apply Initial Migration", "Upgrade to Latest Version")
def test_upgrade_from_nothing(block: Block, place: Place, project: Project) -> None:
    assert project.type(*block.commands).stderr.startswith(INFO)
    assert tables(place) == TABLES_AT_HEAD
    assert place.version() == [HEAD]


@follows("Upgrade One Step")
def test_upgrade_one_step(block: Block, place: Place, project: Project) -> None:
    assert project.type(*block.commands).stderr.startswith(INFO)
    assert len(TABLES) == 8
    assert tables(place) == TABLES
    assert place.version() == [FIRST]


@follows("3. Verify Migration", "Check Current Database Version")
def test_current_after_the_migration(block: Block, project: Project) -> None:
    """The guide's revision is not head any more; ``(head)`` stands behind the one that is."""
    project.type(f"alembic upgrade {FIRST}")
    done = project.type(*block.commands)
    assert f"{done.stdout.strip()} (head)\n" == expected("3. Verify Migration")
    assert done.stderr == INFO
    project.type("alembic upgrade head")
    assert project.type(*block.commands).stdout == f"{HEAD} (head)\n"


@follows("Downgrade One Step")
def test_downgrade_one_step(block: Block, place: Place, migrated: Project) -> None:
    migrated.type(*block.commands)
    assert place.version() == [REVISIONS[-2]]
    migrated.type(f"alembic downgrade {FIRST}", *block.commands)
    assert tables(place) == set()
    assert place.version() == []


@follows("Downgrade to Specific Version")
def test_downgrade_to_a_version(block: Block, place: Place, migrated: Project) -> None:
    migrated.add_revision("more", 'op.execute("CREATE TABLE more ()")', 'op.drop_table("more")')
    migrated.type("alembic upgrade head")
    assert "more" in tables(place)
    migrated.type(*block.commands)
    assert place.version() == [FIRST]
    assert tables(place) == TABLES


@follows("View Migration History", "View Pending Migrations")
def test_history_and_show(block: Block, project: Project) -> None:
    shown = project.type(*block.commands).stdout
    assert f"Rev: {HEAD} (head)" in shown
    assert "eight tables" in project.type(f"alembic show {FIRST}").stdout


@pytest.mark.slow
@follows("Auto-Generate Migration from Model Changes")
def test_a_column_is_added_to_users(block: Block, place: Place, migrated: Project) -> None:
    place.sql(SOMEBODY)
    migrated.add_to_model(
        "user", 'email_verified: Mapped[bool] = mapped_column(server_default=text("false"))'
    )
    migrated.type(*block.commands)
    assert place.version() == [f"{NEXT}_add_email_verified_column_to_users"]
    assert place.sql("SELECT email_verified FROM users") == [(False,)]
    migrated.type("alembic check; alembic downgrade -1; alembic upgrade +1")


@follows("Create Empty Migration Template")
def test_an_empty_revision_is_filled_in(block: Block, place: Place, migrated: Project) -> None:
    place.sql(SOMEBODY)
    revision, upgrade = block.commands
    migrated.type(revision)
    migrated.edit(
        migrated.revision(f"{NEXT}_migrate_old_data_format"),
        "    pass",
        "    op.execute(sa.text(\"UPDATE materials SET name = 'copper'\"))",
    )
    migrated.type(upgrade)
    assert place.sql("SELECT name FROM materials") == [("copper",)]


@follows("Stamp Database Without Running Migrations")
def test_tables_made_by_hand_are_marked(block: Block, place: Place, migrated: Project) -> None:
    place.sql("DROP TABLE alembic_version")
    migrated.type(*block.commands)
    assert place.version() == [HEAD]
    assert "No new upgrade operations detected" in migrated.type("alembic check").stdout


@follows('Error: "relation already exists"')
def test_tables_that_exist_already(block: Block, place: Place, migrated: Project) -> None:
    place.sql("DROP TABLE alembic_version")
    failed = migrated.type("alembic upgrade head", exits=255)
    assert f"{FIRST} failed" in failed.stderr
    assert 'relation "users" already exists' in failed.stderr
    migrated.type(*block.commands, "alembic upgrade head")
    assert place.version() == [HEAD]


@follows("Show SQL Without Running Migrations")
def test_sql_is_shown_without_a_server(block: Block, tmp_path: Path) -> None:
    home = tmp_path / "home"
    project = Project(tmp_path / "project", COMMON | {"NANO_OS_HOME": str(home)})
    for nowhere in ({}, {"DATABASE_URL": "postgresql+asyncpg://orion:secret@127.0.0.1:1/orion_db"}):
        project.environment = project.environment | nowhere
        shown = project.type(*block.commands).stdout
        assert shown.startswith("BEGIN;")
        assert all(f"CREATE TABLE {table}" in shown for table in TABLES)
    assert not home.exists()


@follows("Generate SQL Script for Offline Migration")
def test_the_script_makes_the_same_database(block: Block, place: Place, project: Project) -> None:
    project.type(*block.commands)
    project.type(f"psql '{place.url}' -v ON_ERROR_STOP=1 -f migration.sql")
    by_script, version = place.catalog(), place.version()
    place.empty()
    project.type("alembic upgrade head")
    assert by_script == place.catalog()
    assert version == place.version() == [HEAD]


@follows('Error: "Target database is not up to date"')
def test_a_database_that_is_behind(block: Block, place: Place, project: Project) -> None:
    autogenerate = 'alembic revision --autogenerate -m "more"'
    assert "Target database is not up to date" in project.type(autogenerate, exits=255).stderr
    project.type(*block.commands, autogenerate)


@follows('Error: "Can\'t locate revision identified by..."')
def test_a_revision_that_is_unknown(block: Block, place: Place, migrated: Project) -> None:
    """The guide's cure fails with the error that it is to cure; ``--purge`` is what it means."""
    place.sql("UPDATE alembic_version SET version_num = 'abc123'")
    unknown = "Can't locate revision identified by 'abc123'"
    assert unknown in migrated.type("alembic upgrade head", exits=255).stderr
    assert unknown in migrated.type(*block.commands, exits=255).stderr
    migrated.type(f"{block.commands[0]} --purge")
    assert place.version() == [HEAD]


@on_servers
@follows('Error: "pgvector extension not found"')
def test_a_database_without_the_extension(block: Block, place: Place, project: Project) -> None:
    """orion may not create it; the message names the line that an administrator runs."""
    assert place.server is not None
    place.server.drop("orion_db")
    place.server.create("orion_db", extension=False)
    refused = project.type("alembic upgrade head", exits=255).stderr
    assert 'The database has no extension "vector"' in refused
    assert "permission denied" in project.type(*block.commands, exits=1).stderr
    (line,) = re.findall(r'in database "orion_db": (CREATE EXTENSION .*;)', refused)
    with place.server.cluster.session("orion_db") as administrator:
        administrator.execute(line)
    project.type(*block.commands, "alembic upgrade head")
    assert place.version() == [HEAD]


@follows('Error: "No such file or directory: alembic.ini"')
def test_outside_of_the_project(block: Block, place: Place, project: Project) -> None:
    outside = project.folder.parent
    lost = project.type("alembic upgrade head", folder=outside, exits=255)
    assert lost.stdout.count("\n") == 1
    project.type(*block.commands, folder=outside)
    assert place.version() == [HEAD]
    project.type(f"alembic -c {project.folder}/alembic.ini check", folder=outside)


@on_servers
@follows("Connection Errors")
def test_the_connection_is_tried(block: Block, place: Place, project: Project) -> None:
    """psql reads no ``+asyncpg``; without that, or by ``nano-os db url --psql``, it connects."""
    (command,) = block.commands
    project.type(command, exits=2)
    project.environment = project.environment | {"DATABASE_URL": place.url}
    assert "PostgreSQL 1" in project.type(command).stdout


def test_psql_connects_to_whatever_database_is_in_force(project: Project) -> None:
    command = 'psql "$(nano-os db url --psql)" -c "SELECT version();"'
    assert "PostgreSQL 1" in project.type(command).stdout


@pytest.mark.slow
@follows("2. Test Migrations Locally First")
def test_up_down_and_up(block: Block, place: Place, project: Project) -> None:
    up, down, again = block.commands
    project.type(f"alembic upgrade {REVISIONS[-2]}")
    before = place.catalog()
    project.type(up)
    full = place.catalog()
    project.type(down)
    assert place.catalog() == before != full
    project.type(again)
    assert place.catalog() == full


@on_servers
@follows("3. Backup Before Production Migrations")
def test_backup(block: Block, place: Place, migrated: Project) -> None:
    place.sql(SOMEBODY)
    migrated.type(*block.commands)
    (backup,) = migrated.folder.glob("backup_*.sql")
    assert all(f"CREATE TABLE public.{table} " in backup.read_text() for table in TABLES)
    before = place.sql("SELECT materials::text FROM materials")
    migrated.type("alembic downgrade base", f"psql -U orion -d orion_db -f {backup.name}")
    assert tables(place) == TABLES_AT_HEAD
    assert place.version() == [HEAD]
    assert place.sql("SELECT materials::text FROM materials") == before


@pytest.mark.slow
@follows("5. Handle Data Migrations Carefully", language="python")
def test_a_data_migration(block: Block, place: Place, migrated: Project) -> None:
    """SQLAlchemy 2 executes no bare string: it says so, and ``sa.text`` is what to write."""
    place.sql(SOMEBODY)
    place.sql("ALTER TABLE materials ADD old_field text DEFAULT 'kept'")
    migrated.type('alembic revision -m "data"')
    file = migrated.revision(f"{NEXT}_data")
    head, _, tail = file.read_text().partition("def upgrade")
    downgrade = "def downgrade" + tail.partition("def downgrade")[2]
    file.write_text(f"{head}{block.text}\n\n{downgrade}")
    refused = migrated.type("alembic upgrade head", exits=255).stderr
    assert f"{NEXT}_data failed" in refused
    assert 'connection.execute(sa.text("…"))' in refused
    migrated.edit(file, '"UPDATE materials', 'sa.text("UPDATE materials')
    migrated.edit(file, 'IS NOT NULL"', 'IS NOT NULL")')
    migrated.type("alembic upgrade head")
    assert place.sql("SELECT new_field FROM materials") == [("kept",)]


@follows("7. Use Batch Operations for Large Tables", language="python")
def test_batch_operations(block: Block, place: Place, migrated: Project) -> None:
    migrated.add_revision("batch", textwrap.indent(block.text, "    ").strip())
    migrated.type("alembic upgrade head")
    assert any("ix_materials_new_field" in line for line in place.catalog())


MODEL = '''
"""Results of experiments."""

from sqlalchemy.orm import Mapped

from api.models.base import Base, Identified


class ExperimentResult(Identified, Base):
    """A measured quantity."""

    __tablename__ = "experiment_results"

    value: Mapped[float]
'''


@follows("Adding a New Table")
def test_a_table_is_added(block: Block, place: Place, migrated: Project) -> None:
    models = migrated.folder / "src" / "api" / "models"
    (models / "experiment_result.py").write_text(MODEL)
    with (models / "__init__.py").open("a") as package:
        package.write("from api.models.experiment_result import ExperimentResult\n")
    migrated.type(*block.commands)
    assert tables(place) == TABLES_AT_HEAD | {"experiment_results"}
    migrated.type("alembic check; alembic downgrade -1; alembic upgrade +1")


@follows("Adding a Column")
def test_a_column_is_added_to_structures(block: Block, place: Place, migrated: Project) -> None:
    migrated.add_to_model(
        "structure", 'temperature_k: Mapped[float | None] = mapped_column(comment="In K")'
    )
    before = place.catalog()
    assert "op.add_column('structures'" in migrated.type(*block.commands).stdout
    after = place.catalog()
    assert len(after - before) == 1
    migrated.type("alembic downgrade -1")
    assert place.catalog() == before
    migrated.type("alembic upgrade head")
    assert place.catalog() == after


@follows("Renaming a Column (with data preservation)")
def test_a_column_is_renamed(block: Block, place: Place, migrated: Project) -> None:
    place.sql(SOMEBODY)
    place.sql("ALTER TABLE materials ADD old_name text DEFAULT 'kept'")
    revision, upgrade = block.commands
    migrated.type(revision)
    file = migrated.revision(f"{NEXT}_rename_old_name_to_new_name_in_materials")
    head = file.read_text().partition("def upgrade")[0]
    body = re.findall(r"^# (def .*|    op\..*)$", block.text, re.M)
    file.write_text(head + "\n".join(body) + "\n")
    migrated.type(upgrade)
    assert place.sql("SELECT new_name FROM materials") == [("kept",)]
    migrated.type("alembic downgrade -1")
    assert place.sql("SELECT old_name FROM materials") == [("kept",)]


def test_of_five_migrators_at_once_one_works(place: Place, project: Project) -> None:
    done = project.type(
        "for n in 1 2 3 4 5; do alembic upgrade head 2> log.$n & pids+=($!); done",
        'for pid in "${pids[@]}"; do wait $pid; done; cat log.*',
    )
    assert done.stdout.count("Running upgrade") == len(REVISIONS)
    assert place.version() == [HEAD]
    assert tables(place) == TABLES_AT_HEAD


@on_servers
@pytest.mark.parametrize(
    ("variable", "value", "said"),
    [
        ("PGPORT", "1", "PostgreSQL cannot be reached at 127.0.0.1:1: Connection refused."),
        ("PGPASSWORD", "wrong", 'refused the user "orion": password authentication failed'),
    ],
)
def test_one_clear_message_when_the_connection_fails(
    place: Place, project: Project, variable: str, value: str, said: str
) -> None:
    parts = place.environment | {variable: value}
    url = "postgresql+asyncpg://orion:{PGPASSWORD}@{PGHOST}:{PGPORT}/orion_db".format(**parts)
    project.environment = project.environment | {"DATABASE_URL": url}
    failed = project.type("alembic upgrade head", exits=255)
    assert said in failed.stderr
    assert "environment DATABASE_URL" in failed.stderr
    assert failed.stderr.count("\n") == 2
    assert place.environment["PGPASSWORD"] not in failed.stdout + failed.stderr


@pytest.mark.slow
@pytest.mark.timeout(900)
@follows("1. Install Required Packages")
def test_requirements_are_all_that_is_needed(
    block: Block, tmp_path: Path, server_folder: Path
) -> None:
    """An empty environment, in which the project is not installed."""
    venv = tmp_path / "venv"
    subprocess.run([sys.executable, "-m", "venv", venv], check=True)
    environment = os.environ | {
        "PATH": f"{venv}/bin:/usr/bin:/bin",
        "NANO_OS_HOME": str(server_folder),
        "DATABASE_URL": "",
    }
    project = Project(tmp_path / "project", environment)
    required = (ROOT / "requirements.txt").read_text()
    for package, minimum in re.findall(r"^- `([\w-]+)>=([\d.]+)`", GUIDE.read_text(), re.M):
        (ours,) = re.findall(rf"^{package}\S*>=([\d.]+)", required, re.M)
        assert Version(ours) >= Version(minimum)
    project.type(*block.commands)
    assert "nano-os" not in project.type("pip list").stdout
    project.type("alembic upgrade head")
    assert project.type("alembic current").stdout == f"{HEAD} (head)\n"
