"""A PostgreSQL cluster in a folder of its own: make, start, stop."""

from __future__ import annotations

import hashlib
import os
import secrets
import shutil
import signal
import socket
import time
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, NamedTuple

from pgsteady.errors import ClusterError
from pgsteady.server.account import Account
from pgsteady.server.binaries import Binaries
from pgsteady.server.lock import POLL_S, ServerLock, wait_until

if TYPE_CHECKING:
    import psycopg2.extensions

SUPERUSER = "postgres"
DEFAULT_PORT = 5432
PATIENCE_S = 60.0
"""Longest wait for a server to come up (crash recovery included) or to go down."""
ORPHANS_S = 5.0
"""Time that the backends of a killed server are given to notice."""
ROOMY_BYTES = 2**30
"""Size of ``/dev/shm`` from which PostgreSQL can be left to use it."""
_LOG_BYTES = 1_000_000
_SOCKET_PATH_BYTES = 107
"""``sun_path`` of unix(7), less its closing zero."""


class _PidFile(NamedTuple):
    """What ``postmaster.pid`` says, which may be out of date."""

    pid: int
    port: int
    ready: bool


class Cluster:
    """One cluster: ``data``, the superuser's ``password``, ``server.log`` and the socket.

    Every PostgreSQL program at work here holds ``lock``. Calls from several
    processes must be serialised by the caller.
    """

    def __init__(self, folder: Path, binaries: Binaries) -> None:
        self.folder = folder.absolute()
        self.binaries = binaries
        self.data = self.folder / "data"
        self.log = self.folder / "server.log"
        self.lock = ServerLock(self.folder / "server.lock")
        self._password = self.folder / "password"

    @property
    def account(self) -> Account:
        """The operating-system user that the server runs as."""
        return Account.for_folder(self.folder)

    @property
    def exists(self) -> bool:
        """Whether the cluster was made, completely."""
        return self.data.is_dir()

    def create(self, *, password: str | None = None) -> None:
        """Make the cluster; what an earlier, unfinished attempt left is wiped.

        ``password`` is the superuser's, random unless given.

        Raises:
            ClusterError: it exists, its folder cannot be used, or initdb failed.
        """
        if self.exists:
            raise ClusterError(f"{self.folder} holds a cluster already.")
        account = self.account
        if not self.folder.exists():
            self.folder.mkdir(mode=0o700)
            account.own(self.folder)
        if self.folder.stat().st_uid != account.uid or not account.may_enter(self.folder):
            raise ClusterError(
                f"The user that PostgreSQL runs as may not enter {self.folder}.",
                hint="Choose a folder that every user may pass through.",
            )
        unfinished = self.folder / "data.partial"
        if unfinished.exists():
            self.lock.evict()
            shutil.rmtree(unfinished)
        self._write_password(account, password or secrets.token_urlsafe(24))
        initdb = [
            str(self.programs(account).program("initdb")),
            f"--pgdata={unfinished}",
            f"--username={SUPERUSER}",
            f"--pwfile={self._password}",
            "--auth=scram-sha-256",
            "--encoding=UTF8",
            "--data-checksums",
            *_locale(self.binaries.major),
        ]
        with self.lock.held() as lock:
            run = account.run(initdb, keep_open=[lock])
        if run.returncode != 0:
            raise ClusterError(f"initdb failed in {self.folder}:\n{tail(run.stdout)}")
        unfinished.rename(self.data)

    def start(self, settings: Mapping[str, str] | None = None, *, port: int | None = None) -> None:
        """Start the server, or return at once when it serves already.

        It listens on a unix socket, and on 127.0.0.1 too when ``port`` is given.
        ``settings`` are server settings for this run.

        Raises:
            ClusterError: it did not come up; the message ends with its log.
        """
        deadline = time.monotonic() + PATIENCE_S
        lock = self._wait_for_lock(deadline)
        if lock is None:
            return
        try:
            account = self.account
            # Nothing of the server lives. PostgreSQL would go by the process numbers in these.
            for stale in (self.data / "postmaster.pid", *self.socket_folder.glob(".s.PGSQL.*")):
                stale.unlink(missing_ok=True)
            self._spawn(account, lock, settings or {}, port)
        finally:
            os.close(lock)
        self._wait_until_serving(deadline)

    def stop(self) -> None:
        """Stop the server in an orderly way; nothing happens when it does not run.

        Raises:
            ClusterError: it did not stop.
        """
        if not self.running:
            return
        found = self._pid_file()
        if found and self._answers(found.port):
            os.kill(found.pid, signal.SIGINT)
            wait_until(lambda: not self.running, PATIENCE_S)
        self.lock.evict()
        if self.socket_folder != self.folder:
            shutil.rmtree(self.socket_folder, ignore_errors=True)

    @property
    def running(self) -> bool:
        """Whether any process of the server lives."""
        return self.lock.taken

    @property
    def serving(self) -> bool:
        """Whether the server takes connections."""
        found = self._pid_file()
        return found is not None and found.ready and self._answers(found.port)

    @property
    def socket_folder(self) -> Path:
        """Where the socket lies: in the cluster's folder, unless its path is unfit for one.

        A socket's path is short, and libpq reads a comma as the end of a host.
        """
        longest = os.fsencode(self.folder / f".s.PGSQL.{65535}")
        if len(longest) <= _SOCKET_PATH_BYTES and b"," not in longest:
            return self.folder
        name = hashlib.sha256(os.fsencode(self.folder)).hexdigest()[:16]
        return Path("/tmp") / f"pgsteady-{self.account.uid}-{name}"  # noqa: S108 - checked below

    @property
    def port(self) -> int:
        """The port of the running server, which is part of the socket's name too."""
        found = self._pid_file()
        return found.port if found else DEFAULT_PORT

    @property
    def password(self) -> str:
        """The superuser's password."""
        return self._password.read_text()

    @contextmanager
    def session(self, database: str = "postgres") -> Iterator[psycopg2.extensions.cursor]:
        """Connect as superuser, in autocommit, for as long as the block lasts.

        Raises:
            ClusterError: the server does not let the superuser in.
        """
        import psycopg2

        try:
            connection = psycopg2.connect(
                host=str(self.socket_folder),
                port=self.port,
                user=SUPERUSER,
                password=self.password,
                dbname=database,
            )
        except psycopg2.OperationalError as error:
            raise ClusterError(f"No way into {self.folder}: {error}") from error
        try:
            connection.autocommit = True
            with connection.cursor() as cursor:
                yield cursor
        finally:
            connection.close()

    def programs(self, account: Account) -> Binaries:
        """Return binaries that ``account`` can run: the installed ones, or a copy of them."""
        if not account.identity or account.may_run(
            self.binaries.program("initdb"), reads=self.binaries.basic_catalog
        ):
            return self.binaries
        return self.binaries.copied(self.folder / "programs")

    def _write_password(self, account: Account, password: str) -> None:
        self._password.unlink(missing_ok=True)
        file = os.open(self._password, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(file, "w") as stream:
            stream.write(password)
        account.own(self._password)

    def _wait_for_lock(self, deadline: float) -> int | None:
        """Return the lock once nothing of an earlier server lives, or None if one serves."""
        silent_since = time.monotonic()
        while (lock := self.lock.acquire()) is None:
            if self.serving:
                return None
            now = time.monotonic()
            found = self._pid_file()
            if found and self._answers(found.port):
                silent_since = now  # it is starting, recovering or stopping
            elif now - silent_since > ORPHANS_S:
                self.lock.evict()
            if now > deadline:
                raise ClusterError(f"The server in {self.folder} neither serves nor stops.")
            time.sleep(POLL_S)
        return lock

    def _spawn(
        self, account: Account, lock: int, settings: Mapping[str, str], port: int | None
    ) -> None:
        """Start the postmaster as nobody's child, so that it outlives us and leaves no zombie."""
        sockets = self._prepare_sockets(account)
        chosen = {
            "unix_socket_directories": '"{}"'.format(str(sockets).replace('"', '""')),
            "unix_socket_permissions": "0700",
            "listen_addresses": "" if port is None else "127.0.0.1",
            "port": str(port or DEFAULT_PORT),
            **_shared_memory(),
            **settings,
        }
        command = [str(self.programs(account).program("postgres")), "-D", str(self.data)]
        for name, value in chosen.items():
            command += ["-c", f"{name}={value}"]
        if self.log.exists() and self.log.stat().st_size > _LOG_BYTES:
            self.log.replace(self.log.with_suffix(".log.1"))
        in_background = '"$@" >>"$0" 2>&1 </dev/null &'
        run = account.run(
            ["/bin/sh", "-c", in_background, str(self.log), *command], keep_open=[lock]
        )
        if run.returncode != 0:
            raise ClusterError(f"PostgreSQL cannot be started: {run.stdout}")

    def _prepare_sockets(self, account: Account) -> Path:
        folder = self.socket_folder
        if folder != self.folder:
            try:
                folder.mkdir(mode=0o700)
                account.own(folder)
            except FileExistsError:
                status = folder.lstat()
                if folder.is_symlink() or status.st_uid != account.uid or status.st_mode & 0o077:
                    raise ClusterError(
                        f"{folder} was made by somebody else.", hint="Have it removed."
                    ) from None
        return folder

    def _wait_until_serving(self, deadline: float) -> None:
        while not self.serving:
            if not self.running:
                raise ClusterError(
                    f"PostgreSQL did not start in {self.folder}:\n{tail(self.log.read_text())}"
                )
            if time.monotonic() > deadline:
                raise ClusterError(
                    f"PostgreSQL in {self.folder} does not come up.",
                    hint=f"Its log is {self.log}; after a crash it may just need more time.",
                )
            time.sleep(POLL_S)

    def _pid_file(self) -> _PidFile | None:
        """Read ``postmaster.pid``: number, folder, time, port, socket, host, memory, status."""
        try:
            lines = (self.data / "postmaster.pid").read_text().splitlines()
            return _PidFile(int(lines[0]), int(lines[3]), lines[7].strip() == "ready")
        except (FileNotFoundError, IndexError, ValueError):  # absent, or being written
            return None

    def _answers(self, port: int) -> bool:
        with socket.socket(socket.AF_UNIX) as probe:
            try:
                probe.connect(str(self.socket_folder / f".s.PGSQL.{port}"))
            except OSError:
                return False
        return True


def _shared_memory() -> dict[str, str]:
    """Return what keeps parallel work going where ``/dev/shm`` is small, as in most containers.

    A parallel HNSW build asks for all of maintenance_work_mem there at once.
    """
    memory = Path("/dev/shm")  # noqa: S108 - only measured
    if memory.is_dir() and shutil.disk_usage(memory).total < ROOMY_BYTES:
        return {"dynamic_shared_memory_type": "mmap"}
    return {}


def _locale(major: int) -> list[str]:
    """Return initdb's options for an ordering that no system library can change."""
    if major < 17:
        return ["--locale=C.UTF-8"]
    return [
        "--locale-provider=builtin",
        "--builtin-locale=C.UTF-8",
        "--lc-collate=C",
        "--lc-ctype=C.UTF-8",
    ]


def tail(text: str, lines: int = 8) -> str:
    """Return the end of a program's output, where it says what went wrong."""
    return "\n".join(text.strip().splitlines()[-lines:])
