"""The operating-system user that a server's programs run as.

PostgreSQL refuses to run as root. Root's servers therefore run as a system user
of their own; anybody else's run as themselves.
"""

from __future__ import annotations

import os
import pwd
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pgsteady.errors import ClusterError

DEDICATED = "pgsteady"


@dataclass(frozen=True)
class Account:
    """An operating-system user."""

    uid: int
    gid: int

    @classmethod
    def for_folder(cls, folder: Path) -> Account:
        """Return who serves the cluster in ``folder``, made or yet to be made.

        Raises:
            ClusterError: we are root and a dedicated user can not be made, or
                the folder belongs to somebody else.
        """
        me = cls(os.geteuid(), os.getegid())
        owner = cls(*_owner(folder)) if folder.exists() else None
        if me.uid != 0:
            if owner and owner.uid != me.uid:
                raise ClusterError(
                    f"{folder} belongs to another user.",
                    hint="Run as that user, or keep your own data elsewhere.",
                )
            return me
        return owner if owner and owner.uid != 0 else cls._dedicated()

    @classmethod
    def _dedicated(cls) -> Account:
        try:
            entry = pwd.getpwnam(DEDICATED)
        except KeyError:
            _add_system_user(DEDICATED)
            entry = pwd.getpwnam(DEDICATED)
        return cls(entry.pw_uid, entry.pw_gid)

    @property
    def identity(self) -> dict[str, Any]:
        """Arguments of :func:`subprocess.run` that make a program run as this user."""
        if self.uid == os.geteuid():
            return {}
        return {"user": self.uid, "group": self.gid, "extra_groups": []}

    def own(self, path: Path) -> None:
        """Hand over a file or folder that we made."""
        if self.uid != os.geteuid():
            os.chown(path, self.uid, self.gid)

    def run(
        self,
        command: Sequence[str | Path],
        *,
        environment: Mapping[str, str] | None = None,
        folder: Path = Path("/"),
        keep_open: Sequence[int] = (),
    ) -> subprocess.CompletedProcess[str]:
        """Run a program as this user and return how it ended, with what it said.

        It sees nothing of our environment but PATH: no ``PG*`` variable and no
        locale of the caller can change what it does.
        """
        return subprocess.run(
            command,
            check=False,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            text=True,
            errors="replace",
            env={"PATH": os.environ.get("PATH", os.defpath), "LC_ALL": "C", **(environment or {})},
            pass_fds=keep_open,
            start_new_session=True,
            umask=0o077,
            **self.identity,
        )

    def may_enter(self, folder: Path) -> bool:
        """Whether this user may pass through ``folder`` and everything above it."""
        return self.run(["test", "-x", folder]).returncode == 0

    def may_run(self, program: Path, reads: Path) -> bool:
        """Whether ``program`` starts for this user and ``reads`` can be read."""
        try:
            started = self.run([program, "--version"]).returncode == 0
        except OSError:
            return False
        return started and self.run(["test", "-r", reads]).returncode == 0


def _owner(folder: Path) -> tuple[int, int]:
    status = folder.stat()
    return status.st_uid, status.st_gid


def _add_system_user(name: str) -> None:
    command = ["useradd", "--system", "--user-group", "--no-create-home"]
    command += ["--home-dir", "/nonexistent", "--shell", "/usr/sbin/nologin", name]
    try:
        run = subprocess.run(command, check=False, capture_output=True, text=True)
        complaint = run.stderr.strip()
    except FileNotFoundError as error:
        complaint = str(error)
    try:  # another process may have made it at the same moment
        pwd.getpwnam(name)
    except KeyError:
        raise ClusterError(
            f"PostgreSQL may not run as root, and a system user for it cannot be made: {complaint}",
            hint=f"Make a system user named {name}, or run as an ordinary user.",
        ) from None
