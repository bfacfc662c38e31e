"""Moving the embedded database to the newest PostgreSQL that is bundled."""

from __future__ import annotations

from pathlib import Path
from typing import NamedTuple

from api.embedded.home import Home, cluster_in, wipe
from api.embedded.preparation import SETTINGS
from api.settings import settings
from pgsteady.errors import ClusterError
from pgsteady.server import BUNDLED_MAJORS
from pgsteady.server.upgrade import upgrade


class ServerUpgrade(NamedTuple):
    """What was done; ``kept`` is the old cluster's folder, None if nothing was to be done."""

    old_major: int
    new_major: int
    kept: Path | None


def upgrade_server(home: Path | None = None) -> ServerUpgrade:
    """Move to the newest bundled PostgreSQL by way of a verified copy; the old one is kept.

    The switch is one atomic step at the very end: whenever this is killed, the
    next to join works on the old cluster or the new one, complete.

    Raises:
        ClusterError: there is no embedded database, it is in use, or the copy failed.
    """
    newest = BUNDLED_MAJORS[-1]
    place = Home(home if home is not None else settings().home)
    with place.exclusive():
        old = place.current()
        if old is None:
            raise ClusterError("There is no embedded database yet.")
        if old.binaries.major == newest:
            return ServerUpgrade(newest, newest, None)
        if place.in_use:
            raise ClusterError(
                "The embedded database is in use.", hint="End the programs that use it first."
            )
        folder = place.unused_folder(newest)
        unfinished = folder.with_name(f"{folder.name}.partial")
        try:
            upgrade(old, cluster_in(unfinished), SETTINGS)
        except BaseException:
            wipe(unfinished)
            raise
        unfinished.rename(folder)
        place.switch_to(folder)
        return ServerUpgrade(old.binaries.major, newest, old.folder)
