"""Other people's projects: ``env.py`` as ``alembic init`` writes it, their own models."""

from __future__ import annotations

import contextlib
import io
import shutil
import subprocess
import sys
from pathlib import Path

import alembic.command
from alembic.config import Config

FOREIGN = Path(__file__).parent / "foreign"
TEMPLATES = {"shop": ("generic", "postgresql+psycopg2"), "lab": ("async", "postgresql+asyncpg")}


class ForeignProject:
    """The project ``name`` of the folder ``foreign``, made anew in ``folder``.

    Of what ``alembic init`` wrote, only what it asks for is filled in: the URL, and where
    the models are.
    """

    def __init__(self, name: str, folder: Path, url: str) -> None:
        template, scheme = TEMPLATES[name]
        self.folder = folder
        self.ini = folder / "alembic.ini"
        with contextlib.redirect_stdout(io.StringIO()):
            config = Config(self.ini, stdout=io.StringIO())
            alembic.command.init(config, str(folder / "migrations"), template)
        shutil.copytree(
            FOREIGN / name / "versions", folder / "migrations" / "versions", dirs_exist_ok=True
        )
        shutil.copy(FOREIGN / name / "models.py", folder)
        driver_url = scheme + url.removeprefix("postgresql")
        self._fill(self.ini, "driver://user:pass@localhost/dbname", driver_url.replace("%", "%%"))
        self._fill(
            folder / "migrations" / "env.py",
            "target_metadata = None",
            "from models import metadata as target_metadata",
        )

    def run(self, module: str, *arguments: str, exits: int = 0) -> str:
        """Run ``python -m module`` in the project's folder and return what it printed."""
        done = subprocess.run(
            [sys.executable, "-m", module, *arguments],
            cwd=self.folder,
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == exits, done.stdout + done.stderr
        return done.stdout

    @staticmethod
    def _fill(file: Path, blank: str, text: str) -> None:
        before = file.read_text()
        assert blank in before
        file.write_text(before.replace(blank, text))
