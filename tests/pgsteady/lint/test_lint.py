"""Revisions of a real project, read without a database."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest
from look import Look, codes

from pgsteady.errors import ProjectUnreadable, RevisionUnknown
from pgsteady.finding import Severity
from pgsteady.lint import lint
from pgsteady.project import Project
from toy import Project as Toy

ROOT = Path(__file__).parents[3]

# What becomes SQL


def test_finding_says_where_what_to_whom_and_the_safe_form(look: Look) -> None:
    (found,) = look("op.create_index('ix_users_name', 'users', ['name'])")
    assert (found.code, found.object, found.line) == ("index-blocks-writes", "users", 7)
    assert found.file is not None
    assert found.file.name == "002_next.py"
    assert "nobody can write" in found.message
    assert "concurrently" in found.cure


def test_table_of_the_same_revision_is_nobodys_yet(look: Look) -> None:
    upgrade = (
        "op.create_table('notes', sa.Column('id', sa.BigInteger), sa.Column('text', sa.Text))\n"
        "    op.create_index('ix_notes', 'notes', ['text'])\n"
        "    op.create_primary_key('pk_notes', 'notes', ['id'])\n"
        "    op.alter_column('notes', 'text', nullable=False)"
    )
    assert not [f for f in look(upgrade) if f.severity != Severity.INFO]


def test_revisions_before_are_known(look: Look, toy: Toy) -> None:
    toy.revision(
        "001_users",
        "op.create_table('users', sa.Column('name', sa.String(20), nullable=False))",
        "op.drop_table('users')",
    )
    assert "type-rewrites" not in codes(
        look("op.alter_column('users', 'name', type_=sa.String(40))")
    )
    assert "type-rewrites" in codes(look("op.alter_column('users', 'name', type_=sa.String(10))"))
    assert "not-null-scans" not in codes(look("op.alter_column('users', 'name', nullable=False)"))


def test_autocommit_block_is_no_transaction(look: Look) -> None:
    create = "op.create_index('i', 'users', ['name'], postgresql_concurrently=True)"
    assert "cannot-run-in-transaction" in codes(look(create))
    inside = f"with op.get_context().autocommit_block():\n        {create}"
    assert "cannot-run-in-transaction" not in codes(look(inside))
    after = f"op.add_column('users', sa.Column('n', sa.Integer))\n    {inside}"
    assert "autocommit-mixed" in codes(look(after))


def test_interrupted_index_is_safe_after_a_drop(look: Look) -> None:
    create = "op.create_index('i', 'users', ['name'], postgresql_concurrently=True)"
    drop = "op.drop_index('i', 'users', postgresql_concurrently=True, if_exists=True)"
    block = "with op.get_context().autocommit_block():\n        "
    assert "interrupted-index" in codes(look(f"{block}{create}"))
    assert "interrupted-index" not in codes(look(f"{block}{drop}\n        {create}"))


def test_analyze_after_an_expression(look: Look) -> None:
    create = "op.create_index('i', 'users', [sa.text('lower(name)')])"
    assert "missing-analyze" in codes(look(create))
    assert "missing-analyze" not in codes(look(f"{create}\n    op.execute('ANALYZE users')"))


def test_index_over_a_constant(look: Look) -> None:
    assert "index-over-constant" in codes(
        look("op.create_index('i', 'users', [sa.func.lower('name')])")
    )


def test_memory_of_a_graph(look: Look) -> None:
    found = look(
        "op.execute('CREATE INDEX i ON users USING hnsw ((name::vector(256)) vector_l2_ops)')"
    )
    (memory,) = [one for one in found if one.code == "vector-build-memory"]
    assert "1,740 bytes a row" in memory.message


# What never becomes SQL


def test_bare_string_is_named_once_and_its_sql_looked_at(look: Look) -> None:
    found = look("connection = op.get_bind()\n    connection.execute('UPDATE users SET name = 1')")
    assert [one.code for one in found].count("bare-string") == 1
    assert "update-locks-rows" in codes(found)


def test_bare_string_in_a_variable(look: Look) -> None:
    assert "bare-string" in codes(look("sql = 'SELECT 1'\n    op.get_bind().execute(sql)"))
    assert "bare-string" not in codes(look("op.execute('SELECT 1')"))


def test_data_change_that_reads_is_reported_and_no_crash(look: Look) -> None:
    upgrade = (
        "rows = op.get_bind().execute(sa.text('SELECT id FROM users WHERE id = :i'), {'i': 1})\n"
        "    for row in rows.fetchall():\n        print(row)\n"
        "    op.drop_column('users', 'name')"
    )
    found = look(upgrade)
    assert {"needs-database", "drop-column"} <= codes(found)


def test_values_sent_beside_the_sql_are_not_in_a_script(look: Look) -> None:
    update = "op.get_bind().execute(sa.text('UPDATE users SET name = {} WHERE id = 1'){})"
    assert "needs-database" in codes(look(update.format(":name", ", {'name': 'x'}")))
    assert not codes(look(update.format("\\'x\\'", "")))


def test_enum_that_loses_a_value(look: Look, toy: Toy) -> None:
    toy.revision(
        "001_users",
        "op.execute(\"CREATE TYPE mood AS ENUM ('sad', 'glad')\")\n"
        "    op.execute('CREATE TABLE users (mood mood)')",
    )
    swap = (
        "op.execute('ALTER TYPE mood RENAME TO old_mood')\n"
        '    op.execute("CREATE TYPE mood AS ENUM ({})")\n'
        "    op.execute('ALTER TABLE users ALTER mood TYPE mood USING mood::text::mood')"
    )
    found = {one.code: one.message for one in look(swap.format("'glad', 'calm'"))}
    assert found["enum-value-removed"].startswith("sad:")
    assert "enum-value-removed" not in codes(look(swap.format("'glad', 'calm', 'sad'")))


def test_inspector_needs_the_database(look: Look) -> None:
    found = look("sa.inspect(op.get_bind()).get_table_names()")
    assert codes(found) == {"needs-database"}


def test_guarded_for_offline_mode(look: Look) -> None:
    upgrade = "context.is_offline_mode() or op.get_bind().execute(sa.text('SELECT 1')).all()"
    assert not look(upgrade)


def test_revision_that_fails(look: Look) -> None:
    (found,) = look("op.nonsense()")
    assert (found.code, found.line) == ("cannot-run", 7)
    assert "nonsense" in found.message


def test_revision_that_cannot_be_imported(look: Look) -> None:
    with pytest.raises(ProjectUnreadable, match="nonsense"):
        look("pass", above="import nonsense\n")


def test_sql_that_postgresql_does_not_understand(look: Look) -> None:
    (found,) = look("op.execute('CREATE TABEL x ()')")
    assert found.code == "syntax-error"
    assert "TABEL" in found.message


@pytest.mark.parametrize(
    ("upgrade", "code"),
    [
        ("with op.batch_alter_table('users') as b:\n        b.alter_column('name')", "batch-mode"),
        (
            "with op.batch_alter_table('users', recreate='always') as b:\n        pass",
            "batch-mode-copies",
        ),
        (
            "op.create_index('i', 'users', [sa.text('name text_pattern_ops')])",
            "operator-class-in-text",
        ),
    ],
)
def test_source(look: Look, upgrade: str, code: str) -> None:
    assert code in codes(look(upgrade))


def test_docstring_that_says_nothing(look: Look, toy: Toy) -> None:
    look("pass")
    file = toy.versions / "002_next.py"
    file.write_text(
        file.read_text().replace(
            "What it is for.", "\n\nRevision ID: 002_next\nRevises: 001_users\n"
        )
    )
    assert codes(lint(Project.load(toy.ini), ["002_next"]).findings) == {"empty-docstring"}


@pytest.mark.parametrize(
    ("downgrade", "code"),
    [
        ("pass", "missing-downgrade"),
        ("op.drop_table('users')", "destructive-downgrade"),
        ("op.drop_column('users', 'name')", "destructive-downgrade"),
        ("op.execute('DROP EXTENSION vector')", "destructive-downgrade"),
        ("op.drop_column('users', 'age')", None),
        ("raise NotImplementedError('kept')", None),
    ],
)
def test_downgrade(look: Look, downgrade: str, code: str | None) -> None:
    found = codes(look("op.add_column('users', sa.Column('age', sa.BigInteger))", downgrade))
    assert found == ({code} if code else set())


def test_several_logical_changes(look: Look, toy: Toy) -> None:
    toy.revision(
        "001_users",
        "op.create_table('users', sa.Column('name', sa.Text))\n"
        "    op.create_table('notes', sa.Column('text', sa.Text))",
    )
    column = "op.add_column('users', sa.Column('age', sa.BigInteger))"
    index = "op.create_index('i', '{}', ['age'])"
    assert "several-changes" in codes(look(f"{column}\n    {index.format('notes')}"))
    assert "several-changes" not in codes(look(f"{column}\n    {index.format('users')}"))


# The history


def test_history(toy: Toy) -> None:
    toy.revision("003_a", down="001_users")
    toy.revision("003_b", down="003_a")
    toy.revision("002_late", down="003_b")
    found = {f.code: f.object for f in lint(Project.load(toy.ini)).findings}
    assert found["duplicate-number"] == "003_b"
    assert found["number-out-of-order"] == "002_late"
    assert "several-heads" not in found
    toy.revision("004_other", down="001_users")
    assert "several-heads" in codes(lint(Project.load(toy.ini)).findings)


def test_merged_branches_keep_their_numbers(toy: Toy) -> None:
    toy.revision("002_a", down="001_users")
    toy.revision("002_b", down="001_users")
    toy.run("merge", revisions="heads", rev_id="003_merge", message="both")
    assert "duplicate-number" not in codes(lint(Project.load(toy.ini)).findings)


def test_long_id_where_the_version_table_is_narrow(toy: Toy) -> None:
    toy.revision("002_" + "x" * 40, down="001_users")
    assert "long-revision-id" not in codes(lint(Project.load(toy.ini)).findings)
    env = toy.folder / "alembic" / "env.py"
    env.write_text("from alembic import context\ncontext.configure(dialect_name='postgresql')\n")
    assert "one-transaction" in codes(lint(Project.load(toy.ini)).findings)
    assert "long-revision-id" in codes(lint(Project.load(toy.ini)).findings)


def test_edited_landed_revision(toy: Toy, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("GIT_AUTHOR_NAME", "GIT_COMMITTER_NAME", "EMAIL"):
        monkeypatch.setenv(name, "a@example.org")
    for command in ("init -q", "add .", "commit -q -m landed", "branch landed"):
        subprocess.run(["git", *command.split()], cwd=toy.folder, check=True)
    file = toy.versions / "001_users.py"
    file.write_text(f"# a remark\n{file.read_text()}")
    project = Project.load(toy.ini)
    assert "edited-revision" not in codes(lint(project, base="landed").findings)
    file.write_text(file.read_text().replace("'name'", "'title'"))
    project = Project.load(toy.ini)
    assert "edited-revision" in codes(lint(project, base="landed").findings)
    assert "edited-revision" not in codes(lint(project).findings)


def test_foreign_env_without_lock_timeout(look: Look, toy: Toy) -> None:
    column = "op.add_column('users', sa.Column('age', sa.BigInteger))"
    assert "no-lock-timeout" not in codes(look(column))
    env = toy.folder / "alembic" / "env.py"
    env.write_text("from alembic import context\ncontext.configure(dialect_name='postgresql')\n")
    assert "no-lock-timeout" in codes(look(column))
    assert "no-lock-timeout" not in codes(look(f"op.execute('SET lock_timeout = 1')\n    {column}"))


# What is looked at


def test_revisions_are_chosen(toy: Toy) -> None:
    toy.revision("002_a", down="001_users")
    toy.revision("003_b", down="002_a")
    project = Project.load(toy.ini)
    assert lint(project).revisions == ["001_users", "002_a", "003_b"]
    assert lint(project, ["head"]).revisions == ["003_b"]
    assert lint(project, ["002_a:"]).revisions == ["002_a", "003_b"]
    with pytest.raises(RevisionUnknown):
        lint(project, ["nonsense"])


def test_our_own_revisions_pass() -> None:
    assert not lint(Project.load(ROOT / "alembic.ini")).failed


def test_what_autogenerate_writes_for_safe_changes_passes(toy: Toy, database: str) -> None:
    toy.run("upgrade", "head")
    before = (
        "Table('users', metadata, Column('id', sa.BigInteger, sa.Identity(), primary_key=True), "
        "Column('name', sa.Text), {})\n"
    )
    toy.models(before.format("Column('email_verified', sa.Boolean, server_default=text('false'))"))
    toy.generate("add email_verified column to users")
    toy.models(
        before.format("Column('email_verified', sa.Boolean, server_default=text('false'))")
        + "Table('results', metadata, Column('id', sa.BigInteger, primary_key=True), "
        "Column('user_id', sa.ForeignKey('users.id'), index=True), Column('value', sa.Float))\n"
    )
    toy.run("upgrade", "head")
    toy.generate("add experiment_results table")
    found = lint(Project.load(toy.ini), ["001_users:"])
    assert [
        f for f in found.findings if f.severity != Severity.INFO and "001" not in str(f.file)
    ] == []
    assert len(found.revisions) == 3
