"""What a project's ``env.py`` calls: every Alembic command, offline and online."""

from __future__ import annotations

import logging.config
from collections.abc import Callable
from contextlib import nullcontext
from functools import partial
from pathlib import Path
from typing import Any

import alembic.command
from alembic.ddl import postgresql
from alembic.runtime.environment import EnvironmentContext
from alembic.util import CommandError
from sqlalchemy import Connection, MetaData, String, Table, event, text
from sqlalchemy.exc import DBAPIError, ObjectNotExecutableError

from pgsteady.autogenerate import Autogenerate
from pgsteady.connection import connect, revision_failure
from pgsteady.errors import PgSteadyError
from pgsteady.guard import Guard
from pgsteady.lock import direct, limit_waits, mark_at_work, migration_lock
from pgsteady.recorder import Recorder
from pgsteady.revisions import next_id
from pgsteady.url import resolve

VERSION_LENGTH = 255
"""Width of ``alembic_version.version_num``; Alembic's own 32 is too narrow for ``NNN_slug``."""


class PostgresqlImpl(postgresql.PostgresqlImpl):
    """Alembic's PostgreSQL with a wide version table, and lock_timeout in ``--sql`` scripts.

    Alembic takes the class defined last for a dialect, and logs the class's name.
    """

    __dialect__ = "postgresql"

    def version_table_impl(self, **options: Any) -> Table:
        """Return the version table, wide enough for long ids."""
        table = super().version_table_impl(**options)
        table.c.version_num.type = String(VERSION_LENGTH)
        return table

    def emit_begin(self) -> None:
        """Begin a revision's transaction in a script."""
        super().emit_begin()
        if timeout := self.context_opts.get("lock_timeout_s"):
            self.static_output(f"SET LOCAL lock_timeout = '{timeout:g}s';")


def run(
    context: Any,
    target_metadata: MetaData,
    *,
    fallback_url: Callable[[], str] | None = None,
    foreign_index_prefixes: tuple[str, ...] = (),
    lock_timeout_s: float = 5,
) -> None:
    """Run the Alembic command in hand.

    ``context`` is the module ``alembic.context``. ``fallback_url`` starts the project's
    embedded database and returns its URL; it is called only when nothing else names a
    database and the command needs one. Indexes named with one of
    ``foreign_index_prefixes`` are made by the application, and comparison leaves them
    alone. ``lock_timeout_s`` bounds the wait for each lock in a revision's transaction,
    not in an ``autocommit_block``, where giving up would leave an invalid index.

    ``revision_environment = true`` in ``alembic.ini`` gives empty revisions their ids too.

    Raises:
        CommandError: it could not be done; the message names the cause and the next step.
    """
    # The module hands on the methods of this object, but not the options of the command.
    environment: EnvironmentContext = getattr(context, "_proxy", context)
    config = environment.config
    if config.cmd_opts is not None and config.config_file_name is not None:
        logging.config.fileConfig(config.config_file_name, disable_existing_loggers=False)
    _name_new_revision(environment)
    settings: dict[str, Any] = {
        "target_metadata": target_metadata,
        "transaction_per_migration": True,
        "lock_timeout_s": lock_timeout_s,
        "foreign_index_prefixes": foreign_index_prefixes,
    }
    if environment.is_offline_mode():
        environment.configure(
            dialect_name="postgresql",
            literal_binds=True,
            dialect_opts={"paramstyle": "named"},
            **settings,
        )
        _run(environment)
    elif _needs_database(environment):
        try:
            _online(environment, fallback_url, foreign_index_prefixes, settings)
        except PgSteadyError as error:
            raise CommandError(str(error)) from error
    elif "revision_context" not in environment.context_opts:  # history, merge
        environment.context_opts["fn"]((), None)


def _online(
    environment: EnvironmentContext,
    fallback_url: Callable[[], str] | None,
    foreign_index_prefixes: tuple[str, ...],
    settings: dict[str, Any],
) -> None:
    ini = Path(environment.config.config_file_name or "alembic.ini").absolute()
    database = resolve(ini, fallback_url)
    changes = "destination_rev" in environment.context_opts  # upgrade, downgrade, stamp
    if changes:
        database = direct(database, ini)
    # Alembic reads the current heads in run_migrations, so after the lock is held.
    with (
        migration_lock(database) if changes else nullcontext(),
        Recorder(environment, database, ini.parent) as recorder,
        connect(database) as connection,
    ):
        limit = partial(limit_waits, lock_timeout_s=settings["lock_timeout_s"])
        event.listen(connection, "begin", limit)
        try:
            if changes:
                mark_at_work(connection)
                _widen_version_table(environment, connection)
            hooks = Autogenerate(
                settings["target_metadata"], connection, foreign_index_prefixes
            ).options()
            migrate = partial(_run, environment)
            if changes:
                guard = Guard(environment, database, connection, settings)
                hooks |= recorder.watch(connection)
                migrate = partial(guard.run, migrate)
            environment.configure(connection=connection, **settings, **hooks)
            migrate()
        except (DBAPIError, ObjectNotExecutableError) as error:
            raise revision_failure(error, database) from error


def _run(environment: EnvironmentContext) -> None:
    with environment.begin_transaction():
        environment.run_migrations()


def _widen_version_table(environment: EnvironmentContext, connection: Connection) -> None:
    """Make room in a version table of 32 characters, if an id of this project is longer."""
    longest = max((len(r.revision) for r in environment.script.walk_revisions()), default=0)
    with connection.begin():
        width = connection.scalar(
            text(
                "SELECT character_maximum_length FROM information_schema.columns "
                "WHERE table_schema = current_schema() AND table_name = 'alembic_version' "
                "AND column_name = 'version_num'"
            )
        )
        if width is not None and width < longest:
            wide = f"varchar({VERSION_LENGTH})"
            connection.execute(text(f"ALTER TABLE alembic_version ALTER version_num TYPE {wide}"))


def _needs_database(environment: EnvironmentContext) -> bool:
    """Tell whether the command reads or changes the database, rather than files alone.

    ``revision_environment`` makes Alembic run env.py for ``revision``, ``merge`` and
    ``history`` too.
    """
    options, typed = environment.context_opts, environment.config.cmd_opts
    if "revision_context" in options:  # revision, check
        return bool(options["revision_context"].command_args["autogenerate"])
    if "template_args" in options:  # merge
        return False
    if typed is not None and typed.cmd[0] is alembic.command.history:
        return bool(typed.indicate_current or "current" in (typed.rev_range or ""))
    return True


def _name_new_revision(environment: EnvironmentContext) -> None:
    revision_context = environment.context_opts.get("revision_context")
    if revision_context is not None and revision_context.command_args["rev_id"] is None:
        for revision in revision_context.generated_revisions:
            revision.rev_id = next_id(environment.script, revision.message)
