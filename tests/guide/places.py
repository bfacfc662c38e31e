"""Where a reader of the guide may stand: a database, and a project of the reader's own."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import psycopg2
import pytest
from alembic.config import Config
from alembic.script import ScriptDirectory
from blocks import GUIDES_FOLDER, ROOT

from catalog import snapshot
from pgsteady.server import bundled

if TYPE_CHECKING:
    from servers import ExternalServer

REVISIONS = [
    script.revision
    for script in ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).walk_revisions()
][::-1]
FIRST = "001_initial_schema"
"""What was head when the guide was written."""
HEAD = REVISIONS[-1]
NEXT = f"{len(REVISIONS) + 1:03}"
"""The number of the reader's first revision."""

PROGRAMS = f"{Path(sys.executable).parent}:{bundled().program('psql').parent}:/usr/bin:/bin"


COMMON = {"PATH": PROGRAMS, "HOME": os.environ["HOME"], "LANG": "C.UTF-8"}
EXTERNAL = [pytest.param(major, marks=pytest.mark.slow) for major in ("16", "18")]


@dataclass(frozen=True)
class Place:
    """A database, empty at first, and the environment that leads to it."""

    url: str
    environment: dict[str, str]
    server: ExternalServer | None = None

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        """Run a statement, committed, and return its rows."""
        with closing(psycopg2.connect(self.url)) as connection, connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def catalog(self) -> set[str]:
        """Return what the schema is now."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            return snapshot(cursor)

    def version(self) -> list[str]:
        """Return the revisions that the database says it is at."""
        return [str(row[0]) for row in self.sql("SELECT version_num FROM alembic_version")]

    def empty(self) -> None:
        """Drop all tables."""
        tables = self.sql("SELECT tablename FROM pg_tables WHERE schemaname = 'public'")
        for (table,) in tables:
            self.sql(f'DROP TABLE "{table}" CASCADE')


class Project:
    """A copy of the project in which revisions may be written."""

    def __init__(self, folder: Path, environment: dict[str, str]) -> None:
        self.folder = folder
        self.environment = environment
        for name in ("src", "alembic"):
            shutil.copytree(ROOT / name, folder / name)
        for name in ("alembic.ini", "requirements.txt"):
            shutil.copy(ROOT / name, folder / name)

    def type(
        self, *commands: str, folder: Path | None = None, stdin: str = "", exits: int = 0
    ) -> subprocess.CompletedProcess[str]:
        """Type commands into a shell that stands in the project's folder."""
        script = "\n".join(commands).replace(GUIDES_FOLDER, str(self.folder))
        done = subprocess.run(
            ["/bin/bash", "-euc", script],
            cwd=folder or self.folder,
            env=self.environment,
            input=stdin,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        assert "Traceback" not in done.stderr
        return done

    def revision(self, ending: str) -> Path:
        """Return the file of the one revision whose id ends so."""
        (found,) = (self.folder / "alembic" / "versions").glob(f"*{ending}.py")
        return found

    def edit(self, file: str | Path, old: str, new: str) -> None:
        """Replace ``old``, which must be there, in a file."""
        path = self.folder / file
        text = path.read_text()
        assert old in text
        path.write_text(text.replace(old, new, 1))

    def add_to_model(self, file: str, line: str) -> None:
        """Add a line to the model in ``src/api/models/<file>.py``."""
        before = "\n    __tablename__"
        self.edit(f"src/api/models/{file}.py", before, f"\n    {line}{before}")

    def add_revision(self, message: str, upgrade: str, downgrade: str = "pass") -> None:
        """Make an empty revision and fill it in."""
        self.type(f'alembic revision -m "{message}"')
        file = self.revision(message.replace(" ", "_"))
        head, _, tail = file.read_text().partition("    # Change data")
        tail = tail.partition("    pass\n")[2].replace("    pass\n", f"    {downgrade}\n")
        file.write_text(f"{head}    {upgrade}\n{tail}")
