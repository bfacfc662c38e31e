"""Wherever the home lies and whoever runs: it works, it is closed, and nothing else is touched."""

from __future__ import annotations

import multiprocessing
import os
import pwd
import stat
from collections.abc import Callable
from pathlib import Path

import psutil
import psycopg2
import pytest
from processes import as_root, clear, query

from api import embedded
from api.embedded import home as home_module
from pgsteady.errors import ClusterError
from pgsteady.server import Binaries, Cluster, bundled


def mode(path: Path) -> int:
    return stat.S_IMODE(path.stat().st_mode)


def test_the_application_is_no_superuser_and_owns_its_database(home: Path) -> None:
    url = embedded.join(home)
    statement = (
        "SELECT rolsuper, rolcreaterole, rolcreatedb, rolreplication, rolbypassrls, "
        "pg_get_userbyid(datdba) = current_user FROM pg_roles, pg_database "
        "WHERE rolname = current_user AND datname = current_database()"
    )
    assert query(url, statement) == [(False, False, True, False, False, True)]
    assert query(url, "SELECT '[1,1]'::vector <=> '[1,1]'::vector") == [(0.0,)]
    assert query(url, "SHOW fsync") == [("on",)]
    with pytest.raises(psycopg2.errors.InsufficientPrivilege):
        query(url, "COPY pg_class TO PROGRAM 'cat'")


def test_the_application_may_make_databases_like_its_own(home: Path) -> None:
    """As a restore does; in a cluster made before this was so, too."""
    url = embedded.join(home)
    cluster = home_module.Home(home).current()
    assert cluster is not None
    with cluster.session() as cursor:
        cursor.execute(f"ALTER ROLE {home_module.ROLE} NOCREATEDB")
    with cluster.session("template1") as cursor:
        cursor.execute("DROP EXTENSION vector")
    embedded.stop(home)
    assert embedded.join(home) == url
    query(url, "CREATE DATABASE second")
    second = url.replace(f"/{home_module.DATABASE}?", "/second?")
    assert query(second, "SELECT '[1,2,3]'::vector <-> '[1,2,5]'::vector") == [(2.0,)]


def test_the_password_is_its_owners_alone_and_needed(home: Path) -> None:
    url = embedded.join(home)
    password = (home / "password").read_text()
    assert mode(home / "password") == 0o600
    with pytest.raises(psycopg2.OperationalError, match="authentication failed"):
        psycopg2.connect(url.replace(password, "guess"))
    for process in psutil.process_iter(["cmdline", "environ"]):
        assert password not in str(process.info)


@pytest.mark.parametrize(
    "name", ["with space", "Großer Würfel-数据", "it's $HOME & 100%41", "a,b=c?d#e", "x" * 150]
)
def test_any_name_will_do(server_folder: Path, name: str) -> None:
    folder = server_folder / name
    try:
        url = embedded.join(folder)
        assert query(url, "SELECT current_user::text") == [("nano_os",)]
    finally:
        clear(folder)


def test_a_relative_home_is_relative_to_where_we_stand_now(
    home: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    home.parent.joinpath("elsewhere").mkdir()
    monkeypatch.chdir(home.parent)
    url = embedded.join(Path("home"))
    monkeypatch.chdir(home.parent / "elsewhere")
    assert query(url, "SELECT 1") == [(1,)]
    assert embedded.join(home) == url
    embedded.leave()
    assert not list((home.parent / "elsewhere").iterdir())


def test_a_home_that_cannot_be_made_is_one_clear_error(server_folder: Path) -> None:
    (server_folder / "file").write_text("")
    with pytest.raises(ClusterError, match=r"cannot be used[\s\S]*NANO_OS_HOME"):
        embedded.join(server_folder / "file" / "home")


@as_root
def test_root_leaves_existing_folders_as_they_are(server_folder: Path) -> None:
    folder = server_folder / "home"
    folder.mkdir()
    folder.chmod(0o755)
    before = [(p.stat().st_mode, p.stat().st_uid) for p in (folder, *folder.parents)]
    try:
        embedded.join(folder)
        embedded.leave()
        assert (folder / "postgres-18").is_dir()
        assert [(p.stat().st_mode, p.stat().st_uid) for p in (folder, *folder.parents)] == before
    finally:
        clear(folder)


@as_root
def test_a_home_closed_to_others_stays_closed_and_its_cluster_lies_elsewhere(
    server_folder: Path,
) -> None:
    closed = server_folder / "closed"
    closed.mkdir(mode=0o700)
    folder = closed / "home"
    try:
        url = embedded.join(folder)
        query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
        embedded.leave()
        assert mode(closed) == 0o700
        location = Path((folder / "location").read_text())
        assert location.parent == home_module.CLOSED_HOMES
        assert mode(location / "postgres-18") == 0o700
        closed.rename(server_folder / "moved")
        moved = server_folder / "moved" / "home"
        assert query(embedded.join(moved), "SELECT answer FROM kept") == [(42,)]
        embedded.leave()
        (server_folder / "moved").rename(closed)
    finally:
        clear(folder)


@as_root
def test_an_ordinary_users_database_and_root_using_it_too(home: Path) -> None:
    home.mkdir()
    nobody = pwd.getpwnam("nobody")
    os.chown(home, nobody.pw_uid, nobody.pw_gid)
    home.chmod(0o700)

    assert as_user(nobody, lambda: _use(home)) == "nano_os"
    owners = {entry.stat().st_uid for entry in home.rglob("*")}
    assert owners == {nobody.pw_uid}
    assert _use(home) == "nano_os"  # sudo nano-os …
    assert as_user(nobody, lambda: _use(home)) == "nano_os"


@as_root
def test_another_users_database_is_refused_clearly(home: Path) -> None:
    embedded.join(home)
    embedded.leave()
    assert "cannot be used" in as_user(pwd.getpwnam("nobody"), lambda: _use(home))


def test_a_pgvector_that_does_not_work_is_one_clear_error_and_no_server_remains(
    home: Path, server_folder: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    binaries = bundled().copied(server_folder / "programs")
    broken = binaries.root / "lib" / "postgresql" / "vector.so"
    broken.write_bytes(broken.read_bytes()[:4096])

    def damaged(major: int) -> Binaries:
        return binaries

    with monkeypatch.context() as patched:
        patched.setattr(home_module, "bundled", damaged)
        with pytest.raises(ClusterError, match=r"pgvector does not work[\s\S]*DATABASE_URL"):
            embedded.join(home)
        assert not Cluster(home / "postgres-18", binaries).running
    assert query(embedded.join(home), "SELECT 1") == [(1,)]


def _use(home: Path) -> str:
    try:
        ((user,),) = query(embedded.join(home), "SELECT current_user::text")
    except ClusterError as error:
        return str(error)
    embedded.leave()
    return str(user)


def as_user(user: pwd.struct_passwd, task: Callable[[], str]) -> str:
    """Run a task in a child process that has become that user."""
    context = multiprocessing.get_context("fork")
    ours, childs = context.Pipe()

    def run() -> None:
        os.setgroups([])
        os.setgid(user.pw_gid)
        os.setuid(user.pw_uid)
        childs.send(task())

    process = context.Process(target=run)
    process.start()
    childs.close()
    answer: str = ours.recv()
    process.join()
    return answer
