"""An Alembic project as its own, unmodified ``env.py`` describes it."""

from __future__ import annotations

import io
import logging
import re
import sys
from collections.abc import Callable, Iterator, Mapping
from configparser import InterpolationError
from contextlib import contextmanager, nullcontext, redirect_stdout
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import Any

from alembic.config import Config
from alembic.runtime.environment import EnvironmentContext
from alembic.script import ScriptDirectory
from alembic.util import CommandError
from sqlalchemy import MetaData, make_url
from sqlalchemy.exc import ArgumentError

from pgsteady.errors import ProjectUnreadable, UrlError
from pgsteady.url import DatabaseUrl, parse, resolve

_CREDENTIALS = re.compile(r"(?<=://)(\S+)(?=@)")


@dataclass(frozen=True)
class Project:
    """An Alembic project: its files, its models, and how it configures Alembic.

    ``options`` are the arguments that its ``env.py`` gives to ``context.configure``.
    """

    ini: Path
    config: Config
    script: ScriptDirectory
    options: Mapping[str, Any]
    fallback_url: Callable[[], str] | None = None

    @classmethod
    def load(cls, ini: Path, fallback_url: Callable[[], str] | None = None) -> Project:
        """Read the project whose ``alembic.ini`` is ``ini``, by running its ``env.py``.

        It runs as for ``--sql``, and no revision runs. ``fallback_url`` is as in
        :func:`pgsteady.url.resolve`.

        Raises:
            ProjectUnreadable: a file is missing, or ``env.py`` fails.
        """
        ini = ini.absolute()
        if not ini.is_file():
            raise ProjectUnreadable(
                f"{ini} is a folder." if ini.is_dir() else f"There is no file {ini}.",
                hint="Run in the project's folder, or name the file: -c PATH/alembic.ini",
            )
        config = Config(
            ini,
            toml_file=ini.with_name("pyproject.toml"),
            stdout=io.StringIO(),
            output_buffer=io.StringIO(),
        )
        try:
            script = ScriptDirectory.from_config(config)
            options = _configured(config, script)
        except CommandError as error:
            raise ProjectUnreadable(f"{ini}: {error}") from error
        return cls(ini, config, script, options, fallback_url)

    @cached_property
    def metadata(self) -> list[MetaData]:
        """The models, empty where ``env.py`` names none."""
        target = self.options.get("target_metadata")
        if target is None:
            return []
        return [target] if isinstance(target, MetaData) else list(target)

    def database(self) -> DatabaseUrl:
        """Return the database that ``alembic upgrade`` would change.

        It is the one that ``env.py`` configures; where that leaves it to pgsteady, the
        one that :func:`pgsteady.url.resolve` finds.

        Raises:
            UrlError: none is named, or its URL cannot be read.
        """
        if connection := self.options.get("connection"):
            named = connection.engine.url
        elif url := self.options.get("url"):
            try:
                named = make_url(url)
            except (ArgumentError, ValueError) as error:
                raise UrlError(
                    f"{self.script.env_py_location}: the URL that it configures cannot be read.",
                    hint="Write postgresql://user:password@host:port/database",
                ) from error
        else:
            return resolve(self.ini, self.fallback_url)
        if named.get_backend_name() == "postgresql":
            named = named.set(drivername="postgresql")
        source = f"{self.script.env_py_location}, or what it reads"
        return parse(named.render_as_string(hide_password=False), source)

    @property
    def named_by(self) -> list[str]:
        """The option by which a command typed here finds the project; none is needed beside it."""
        return [] if self.ini == Path.cwd() / "alembic.ini" else ["-c", str(self.ini)]

    @property
    def version_table(self) -> str:
        """The name of Alembic's own table."""
        return self.options.get("version_table") or "alembic_version"

    @property
    def version_table_schema(self) -> str | None:
        """The schema of Alembic's own table, None for the default one."""
        return self.options.get("version_table_schema")

    @property
    def on_our_env(self) -> bool:
        """Whether ``env.py`` calls :mod:`pgsteady.env`: it limits waits, and keeps the audit."""
        return "lock_timeout_s" in self.options

    @property
    def foreign_index_prefixes(self) -> tuple[str, ...]:
        """How the names of indexes begin that the running application makes."""
        return tuple(self.options.get("foreign_index_prefixes", ()))


def _configured(config: Config, script: ScriptDirectory) -> dict[str, Any]:
    """Run ``env.py`` and return what it gives to ``context.configure``."""
    environment = EnvironmentContext(
        config, script, fn=lambda *_: [], as_sql=True, destination_rev="heads"
    )
    caught: dict[str, Any] = {}
    configure = environment.configure

    def catch(connection: Any = None, url: Any = None, **options: Any) -> None:
        caught.update(connection=connection, url=url, **options)
        configure(**options | {"dialect_name": "postgresql"})

    # alembic.context hands each call on to this object.
    environment.configure = catch  # type: ignore[method-assign,assignment]
    environment.run_migrations = lambda **_: None  # type: ignore[method-assign]
    environment.begin_transaction = nullcontext  # type: ignore[method-assign]
    with environment, quiet():
        try:
            script.run_env()
        except CommandError:
            raise
        except InterpolationError as error:  # its words hold a part of the value: a password
            raise ProjectUnreadable(
                f"{config.config_file_name}: a % in the value of {error.option} is no escape.",
                hint="Write it twice: %%",
            ) from error
        except Exception as error:  # env.py is the user's: anything may come out of it
            raise ProjectUnreadable(
                f"{script.env_py_location} failed: {type(error).__name__}: "
                f"{_CREDENTIALS.sub('***', str(error))}",
                hint="It runs as for `alembic upgrade head --sql`; make that work first.",
            ) from error
    if not caught:
        raise ProjectUnreadable(f"{script.env_py_location} never calls context.configure().")
    return caught


@contextmanager
def quiet() -> Iterator[None]:
    """Keep what the project's own files print and log out of our output."""
    before = logging.root.manager.disable
    logging.disable(logging.INFO)
    try:
        with redirect_stdout(sys.stderr):
            yield
    finally:
        logging.disable(before)
