"""A database to measure on: the embedded server with the settings everybody has, filled once."""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager
from pathlib import Path

import alembic.command
import psycopg2
from alembic.config import Config

from api import embedded
from api.db import database_url

INI = Path(__file__).parents[1] / "alembic.ini"


@contextmanager
def filled(
    home: Path | None, fill: Callable[[psycopg2.extensions.cursor], None], what: str
) -> Iterator[None]:
    """Have the embedded database in ``home`` at head and filled, as ``NANO_OS_HOME``.

    It is kept there for the next time, when ``fill`` is not called again; without ``home`` it
    lies in a temporary folder and is removed.
    """
    folder = home or Path(tempfile.mkdtemp(prefix="nano-os-bench-"))
    folder.mkdir(parents=True, exist_ok=True)
    folder.chmod(0o711)
    os.environ["NANO_OS_HOME"] = str(folder)
    os.environ.pop("DATABASE_URL", None)
    try:
        alembic.command.upgrade(Config(INI), "head")
        done = folder / "filled"
        if done.exists() and done.read_text() != what:
            raise SystemExit(f"{folder} holds {done.read_text()}, not {what}; name another folder.")
        if not done.exists():
            began = time.perf_counter()
            with closing(psycopg2.connect(database_url().libpq())) as connection:
                connection.autocommit = True
                fill(connection.cursor())
            done.write_text(what)
            print(f"{what} made in {time.perf_counter() - began:.0f} s", flush=True)
        yield
    finally:
        embedded.stop(folder)
        if home is None:
            shutil.rmtree(folder, ignore_errors=True)
