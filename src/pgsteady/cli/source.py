"""Which project the commands are about, read when one of them needs it."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

import typer

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


def called_as(context: typer.Context) -> str:
    """Return how the reader called us, so that the commands we name can be typed."""
    parent = context.parent
    if parent is None:
        return "python -m pgsteady"
    ini = parent.params.get("ini")
    option = f" -c {shlex.quote(str(ini))}" if ini and ini != Path("alembic.ini") else ""
    return f"{parent.command_path}{option}"
