"""The commands by name, each loaded when it is asked for."""

from __future__ import annotations

from importlib import import_module
from typing import Any

import typer
from typer.core import TyperGroup

COMMANDS = (
    "status",
    "check",
    "doctor",
    "lint",
    "audit",
    "catalog",
    "verify",
    "maintenance",
    "rehearse",
    "backup",
    "restore",
    "upgrade",
    "repair",
)
"""A command's name is that of its module, and of the function in it."""


class Commands(TyperGroup):
    """A group that has the commands of pgsteady besides its own."""

    def list_commands(self, ctx: Any) -> list[str]:
        """Return the names of all commands."""
        return [*super().list_commands(ctx), *COMMANDS]

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name."""
        if cmd_name not in COMMANDS:
            return super().get_command(ctx, cmd_name)
        alone = typer.Typer(add_completion=False)
        alone.command(cmd_name)(getattr(import_module(f"pgsteady.cli.{cmd_name}"), cmd_name))
        return typer.main.get_command(alone)
