"""Who follows ``docs/migrations.md``: a copy of the project, and a filled database."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from contextlib import closing
from pathlib import Path

import psycopg2
from pages import NOT_TYPED, PAGES, blocks_of, copy_project, sections, steps

from catalog import snapshot
from pgsteady.server import bundled

PAGE = next(page for page in PAGES if page.name == "migrations.md")
CHAPTERS = sections(PAGE, 2)
SECTIONS = sections(PAGE, 3)
SHOWN_HEAD = "014_validate_imported_runs"
"""The newest revision when the page was written; today's stands for it when it is typed."""
LATER = re.compile(r"\b(\d{3})(?=_(?:note|merge)_)")
"""The numbers of revisions that the page makes after it, which are typed as today's next ones."""


class Reader:
    """Who stands in a copy of the project, in whose database crystals are."""

    def __init__(self, folder: Path, url: str) -> None:
        self.folder = folder
        self.url = url
        programs = [Path(sys.executable).parent, bundled().root / "bin", "/usr/bin", "/bin"]
        self.environment = {
            "PATH": ":".join(map(str, programs)),
            "HOME": os.environ["HOME"],
            "LANG": "C.UTF-8",
            "PYTHONPATH": str(folder / "src"),
            "NANO_OS_HOME": str(folder / "home"),
            "DATABASE_URL": url,
        }
        copy_project(folder)
        self.head = self.revisions()[-1]

    def type(self, *lines: str, exits: int = 0) -> str:
        """Type lines into a shell and return what it printed, errors too."""
        done = subprocess.run(
            ["/bin/bash", "-ec", "\n".join(lines).replace(SHOWN_HEAD, self.head)],
            cwd=self.folder,
            env=self.environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout[-4000:]
        assert "Traceback" not in done.stdout
        return done.stdout

    def follow(self, text: str) -> str:
        """Do what a part of the page says."""
        passed = int(self.head[:3]) - int(SHOWN_HEAD[:3])
        today = LATER.sub(lambda number: f"{int(number[0]) + passed:03d}", text)
        return self.type(*steps(blocks_of(today), NOT_TYPED))

    def revisions(self) -> list[str]:
        """Return the ids of the revisions, in the order of their names."""
        return sorted(file.stem for file in (self.folder / "alembic/versions").glob("*.py"))

    def sql(self, statement: str) -> list[tuple[object, ...]]:
        with closing(psycopg2.connect(self.url)) as connection, connection:
            cursor = connection.cursor()
            cursor.execute(statement)
            return cursor.fetchall() if cursor.description else []

    def catalog(self) -> set[str]:
        """Return what the schema is, without the indexes that come and go with a model."""
        with closing(psycopg2.connect(self.url)) as connection, connection.cursor() as cursor:
            return {line for line in snapshot(cursor) if "_hnsw__" not in line}

    def rows(self) -> list[object]:
        """Return a digest of each table's rows, whatever the order of columns."""
        digest = "md5(string_agg(to_jsonb(t)::text, '' ORDER BY to_jsonb(t)::text))"
        return [
            (table, self.sql(f"SELECT count(*), {digest} FROM {table} t"))
            for (table,) in self.sql(
                "SELECT tablename FROM pg_tables WHERE schemaname = 'public' ORDER BY 1"
            )
            if table != "alembic_version"
        ]
