"""``nano-os users``: accounts."""

from __future__ import annotations

from typing import Annotated

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, out, print_json
from pgsteady.cli.commands import Group

app = typer.Typer(cls=Group, no_args_is_help=True, help="Accounts.")


@app.callback()
def users() -> None:
    """Accounts."""


@app.command()
def create(
    username: Annotated[str, typer.Argument(metavar="NAME", help="To log in with.")],
    email: Annotated[str, typer.Option(help="Address to write to.")],
    role: Annotated[str, typer.Option(help="viewer, researcher or admin.")] = "researcher",
    password: Annotated[
        str,
        typer.Option(
            prompt=True,
            hide_input=True,
            confirmation_prompt=True,
            envvar="NANO_OS_PASSWORD",
            help="Asked for, or taken from the environment variable.",
        ),
    ] = "",
    json: Json = False,
) -> None:
    """Create an account. The password is asked for and stored as an argon2 hash."""
    from api.services import users

    user = in_transaction(
        lambda session, _: users.create(
            session, email=email, username=username, password=password, role=role
        )
    )
    if json:
        print_json({"id": user.id, "username": user.username, "email": user.email})
    else:
        out.print("[green]Created[/] ", end="")
        out.print(f"{user.username} <{user.email}> as {user.role}", markup=False)
