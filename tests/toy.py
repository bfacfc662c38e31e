"""A toy Alembic project, run in the test's own process."""

from __future__ import annotations

import io
import shutil
import subprocess
import sys
from pathlib import Path

import alembic.command
from alembic.config import CommandLine, Config

ROOT = Path(__file__).parents[1]

ENV = """
import runpy
from pathlib import Path

from alembic import context
from pgsteady import env

models = runpy.run_path(str(Path(__file__).parents[1] / "models.py"))
env.run(
    context,
    models["metadata"],
    fallback_url=models.get("fallback"),
    foreign_index_prefixes=("ix_hnsw__",),
    lock_timeout_s=models.get("lock_timeout_s", 5),
)
"""

MODELS = """
import sqlalchemy as sa
from pgvector.sqlalchemy import HALFVEC, Vector
from sqlalchemy import Column, Computed, Index, Table, func, text
from sqlalchemy.dialects.postgresql import ARRAY, DOUBLE_PRECISION, ENUM, JSONB

metadata = sa.MetaData(naming_convention={
    "ix": "ix_%(table_name)s_%(column_0_N_name)s",
    "uq": "uq_%(table_name)s_%(column_0_N_name)s",
    "ck": "ck_%(table_name)s_%(constraint_name)s",
    "fk": "fk_%(table_name)s_%(column_0_N_name)s_%(referred_table_name)s",
    "pk": "pk_%(table_name)s",
})
"""


class Project:
    """An Alembic project in ``folder`` that uses pgsteady as README tells."""

    def __init__(self, folder: Path) -> None:
        self.folder = folder
        self.ini = folder / "alembic.ini"
        self.versions = folder / "alembic" / "versions"
        self.versions.mkdir(parents=True)
        shutil.copy(ROOT / "alembic.ini", folder)
        shutil.copy(ROOT / "alembic" / "script.py.mako", folder / "alembic")
        (folder / "alembic" / "env.py").write_text(ENV)
        self.models("")

    def models(self, text: str) -> None:
        """Replace the models."""
        (self.folder / "models.py").write_text(MODELS + text)

    def revision(
        self, id_: str, upgrade: str = "pass", downgrade: str = "pass", *, down: str | None = None
    ) -> None:
        """Write a revision by hand."""
        (self.versions / f"{id_}.py").write_text(
            f'"""{id_}"""\nimport sqlalchemy as sa\nfrom alembic import op\n'
            f"revision = {id_!r}\ndown_revision = {down!r}\n"
            f"def upgrade():\n    {upgrade}\ndef downgrade():\n    {downgrade}\n"
        )

    def run(self, command: str, *arguments: object, **options: object) -> str:
        """Run one Alembic command and return what it printed to stdout."""
        config = Config(self.ini, stdout=io.StringIO(), output_buffer=io.StringIO())
        getattr(alembic.command, command)(config, *arguments, **options)
        return config.stdout.getvalue() + config.output_buffer.getvalue()

    def typed(self, *arguments: str) -> str:
        """Run a command line, as the program does, and return what it printed to stdout."""
        line = CommandLine()
        options = line.parser.parse_args(arguments)
        config = Config(self.ini, stdout=io.StringIO(), cmd_opts=options)
        line.run_cmd(config, options)
        return config.stdout.getvalue()

    def process(self, *arguments: str) -> subprocess.Popen[str]:
        """Start the program ``alembic`` in a process of its own."""
        return subprocess.Popen(
            [Path(sys.executable).with_name("alembic"), "-c", str(self.ini), *arguments],
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )

    def generate(self, message: str) -> str:
        """Autogenerate a revision and return its text."""
        before = set(self.versions.glob("*.py"))
        self.run("revision", message=message, autogenerate=True)
        (new,) = set(self.versions.glob("*.py")) - before
        return new.read_text()
