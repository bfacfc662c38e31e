"""The platform: database, services, REST, CLI and worker around the science."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from api.notebook import Session


def session() -> Session:
    """Return the database for a notebook or a script: search it, take structures out, put them in.

    It is the database that `nano-os` uses, as the same owner, and needs no ``await``. Raises
    ServerUnreachable, AuthenticationFailed, DatabaseMissing or SchemaNotReady, each with the
    next step.
    """
    from api.notebook import Session

    return Session()
