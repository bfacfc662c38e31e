"""The commands by name, each loaded when it is asked for."""

from __future__ import annotations

from functools import partial
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


VALUES = {
    "<bool>": "",
    "<str>": "TEXT",
    "<int>": "N",
    "<int range>": "N",
    "<float>": "N",
    "<float range>": "N",
    "<path>": "PATH",
    "<UUID>": "ID",
}
"""What help calls a value, instead of the type that Python gives it."""


class Group(TyperGroup):
    """A group whose help says what a value is: ``N``, and nothing of a flag."""

    def get_command(self, ctx: Any, cmd_name: str) -> Any:
        """Return a command by its name."""
        found = super().get_command(ctx, cmd_name)
        return found if found is None or ctx is None else plainly(found, ctx)

    def format_help(self, ctx: Any, formatter: Any) -> None:
        """Write the help of the group itself."""
        plainly(self, ctx)
        super().format_help(ctx, formatter)


def plainly(command: Any, context: Any) -> Any:
    """Return ``command``; its help calls values by `VALUES`, arguments by their names alone."""
    for parameter in command.get_params(context):
        if hasattr(parameter, "display_type"):  # of typer 0.29; older ones write no <bool>
            shown = parameter.display_type(context)
            is_argument = parameter.param_type_name == "argument"
            shown = "" if is_argument else VALUES.get(shown, shown.strip("<>"))
            parameter.display_type = partial(_said, shown)
    return command


def _said(shown: str, _: Any) -> str:
    return shown


class Commands(Group):
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
        found = typer.main.get_command(alone)
        return found if ctx is None else plainly(found, ctx)
