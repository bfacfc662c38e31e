"""Which project the commands are about, read when one of them needs it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from pgsteady.project import Project


@dataclass(frozen=True)
class Source:
    """The project's ``alembic.ini``, and its database where nothing else names one.

    It is the ``obj`` of every command's context. ``fallback_url`` is as in
    :func:`pgsteady.url.resolve`.
    """

    ini: Path
    fallback_url: Callable[[], str] | None = None

    def project(self) -> Project:
        """Read the project; raises as :meth:`pgsteady.project.Project.load`."""
        from pgsteady.project import Project

        return Project.load(self.ini, self.fallback_url)
