"""Joining and leaving: who starts the server, and who stops it."""

from __future__ import annotations

import atexit
import os
from dataclasses import dataclass
from pathlib import Path

from api.embedded.home import Home
from api.embedded.preparation import SETTINGS, furnish, prepare
from api.settings import settings


@dataclass(frozen=True)
class _Share:
    """The hold that one process has on the database."""

    process: int
    file: int


_shares: dict[Path, _Share] = {}


def join(home: Path | None = None) -> str:
    """Return the URL of the embedded database, served until this process ends.

    The first to join starts the server, and makes it when there is none. Joining
    again is cheap, and starts the server again should it have been stopped.

    Raises:
        ClusterError: the server cannot be made or started.
    """
    place = _home(home)
    with place.exclusive():
        cluster = place.current() or prepare(place, settings().postgres_major)
        _hold(place)  # before the start: should that be interrupted, leaving cleans up
        if not cluster.serving:
            cluster.start(SETTINGS)
            furnish(cluster)
        return place.url(cluster)


def leave() -> None:
    """Give up what this process joined; the last to leave stops the server."""
    for folder, share in list(_shares.items()):
        del _shares[folder]
        os.close(share.file)
        # A forked child inherits the parent's share, but it is not its to end.
        if share.process == os.getpid() and folder.exists():
            place = Home(folder)
            with place.exclusive():
                if not place.in_use and not (folder / "kept").exists():
                    _stop(place)


def keep() -> bool:
    """Let the server outlive its users, until :func:`stop`; return whether we use it at all.

    For whoever hands its address to programs that do not join.
    """
    for folder in _shares:
        (folder / "kept").touch()
    return bool(_shares)


def stop(home: Path | None = None) -> bool:
    """Stop the server, whoever uses it; return whether it ran."""
    place = _home(home)
    with place.exclusive():
        (place.folder / "kept").unlink(missing_ok=True)
        return _stop(place)


def _stop(place: Home) -> bool:
    cluster = place.current()
    if cluster is None or not cluster.running:
        return False
    cluster.stop()
    return True


def _hold(place: Home) -> None:
    held = _shares.get(place.folder)
    if held and held.process == os.getpid():
        return
    if held:
        os.close(held.file)
    _shares[place.folder] = _Share(os.getpid(), place.share())
    atexit.unregister(leave)
    atexit.register(leave)


def _home(folder: Path | None) -> Home:
    return Home(folder if folder is not None else settings().home)
