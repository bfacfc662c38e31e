"""The rest of a half-done revision, run as the revision would have, and its version."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from functools import partial
from typing import Any

from alembic.runtime.environment import EnvironmentContext
from alembic.runtime.migration import MigrationContext
from sqlalchemy import event, text
from sqlalchemy.exc import DBAPIError

from pgsteady.connection import connect, revision_failure
from pgsteady.lint.rules.data import inner, repeats
from pgsteady.lint.schema import Schema
from pgsteady.lint.sql import Statement, columns_named
from pgsteady.lock import limit_waits, mark_at_work
from pgsteady.project import Project, quiet
from pgsteady.recorder import Recorder
from pgsteady.repair.stages import Attempt, Part
from pgsteady.url import DatabaseUrl

LOCK_TIMEOUT_S = 5.0
"""For projects whose env.py names none."""


def not_to_be_finished(attempt: Attempt, reached: Sequence[int]) -> str:
    """Return why the rest cannot be run, empty if it can."""
    if problems := attempt.run.problems:
        return f"what it sends depends on the database ({problems[0].detail.splitlines()[0]})"
    for part in attempt.parts[reached[0] : reached[-1]]:
        for statement in part.statements:
            if not _may_run_again(statement):
                first = " ".join(statement.text.split())[:60]
                return f"whether this ran, the schema does not tell: {first}"
    return ""


def finish(project: Project, database: DatabaseUrl, attempt: Attempt, reached: int) -> None:
    """Run what is left of ``attempt`` and stamp it, with its record in the audit.

    Raises:
        RevisionFailed: a statement failed; what it did outside of a transaction stays.
    """
    script = project.script

    def steps(heads: Sequence[str], context: MigrationContext) -> Iterator[Any]:
        found: Sequence[Any] = (
            script._upgrade_revs(attempt.script.revision, heads)  # type: ignore[arg-type]
            if attempt.direction == "upgrade"
            else script._downgrade_revs("-1", heads)  # type: ignore[arg-type]
        )
        for step in found:
            step.migration_fn = partial(_run, context, attempt.parts[reached:])
            yield step

    environment = EnvironmentContext(
        project.config, script, fn=steps, destination_rev=attempt.script.revision
    )
    lock_timeout_s = project.options.get("lock_timeout_s", LOCK_TIMEOUT_S)
    with (
        Recorder(environment, database, project.ini.parent) as recorder,
        connect(database) as connection,
        environment,
        quiet(),
    ):
        mark_at_work(connection)
        event.listen(connection, "begin", partial(limit_waits, lock_timeout_s=lock_timeout_s))
        environment.configure(
            connection=connection,
            transaction_per_migration=True,
            version_table=project.version_table,
            version_table_schema=project.version_table_schema,
            **recorder.watch(connection),
        )
        try:
            with environment.begin_transaction():
                environment.run_migrations()
        except DBAPIError as error:
            raise revision_failure(error, database) from error


def _run(context: MigrationContext, parts: Sequence[Part], **_: Any) -> None:
    for part in parts:
        if part.in_transaction:
            _send(context, part)
        else:
            with context.autocommit_block():
                _send(context, part)


def _send(context: MigrationContext, part: Part) -> None:
    for statement in part.statements:
        assert context.connection is not None  # noqa: S101 - it is no script
        context.connection.execute(text(statement.text.replace(":", r"\:")))


def _may_run_again(statement: Statement) -> bool:
    """Tell whether running a statement twice comes to the same as running it once."""
    tree = statement.tree
    match statement.kind:
        case "do_stmt":
            within = inner(statement, Schema())
            return bool(within) and all(_may_run_again(one) for one in within)
        case "update_stmt":
            targets = [node["res_target"] for node in tree.get("target_list", [])]
            return not {t["name"] for t in targets} & columns_named([t.get("val") for t in targets])
        case "insert_stmt":
            return "on_conflict_clause" in tree
        case "delete_stmt" | "truncate_stmt" | "variable_set_stmt" | "vacuum_stmt":
            return True
        case _:
            return repeats(statement) or "if_not_exists" in tree or "missing_ok" in tree
