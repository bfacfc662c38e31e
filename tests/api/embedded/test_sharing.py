"""Processes that share one server: whoever comes, goes or is killed, nothing is lost."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from processes import CLIENT, Client, kill_server, query, serves, wait_for

from api import embedded
from api.embedded.home import Home


def test_eight_processes_racing_a_cold_start_share_one_server(
    home: Path, client: Callable[[], Client]
) -> None:
    clients = [client() for _ in range(8)]
    urls = [one.url for one in clients]
    assert len(set(urls)) == 1
    query(urls[0], "CREATE TABLE seen (n int)")
    for n, url in enumerate(urls):
        query(url, f"INSERT INTO seen VALUES ({n})")
    assert query(urls[0], "SELECT count(*) FROM seen") == [(8,)]
    assert [p.name for p in home.glob("postgres-*")] == ["postgres-18"]
    for one in clients:
        assert serves(home)
        one.leave()
    assert not serves(home)


def test_the_last_to_leave_stops_the_server(home: Path, client: Callable[[], Client]) -> None:
    first, second = client(), client()
    url = first.url
    assert second.url == url
    first.leave()
    assert query(url, "SELECT 1") == [(1,)]
    second.leave()
    assert not serves(home)


def test_killed_clients_are_no_users_any_more(home: Path, client: Callable[[], Client]) -> None:
    killed = [client() for _ in range(3)]
    urls = {one.url for one in killed}
    query(urls.pop(), "CREATE TABLE kept AS SELECT 42 AS answer")
    for one in killed:
        one.kill()
    assert serves(home)  # nobody was left to stop it
    next_one = client()
    assert query(next_one.url, "SELECT answer FROM kept") == [(42,)]
    next_one.leave()
    assert not serves(home)


def test_a_killed_client_takes_nobody_with_it(home: Path, client: Callable[[], Client]) -> None:
    killed, other = client(), client()
    url = killed.url
    assert other.url == url
    killed.kill()
    assert query(url, "SELECT 1") == [(1,)]
    other.leave()
    assert not serves(home)


def test_the_server_and_all_clients_killed(home: Path, client: Callable[[], Client]) -> None:
    clients = [client() for _ in range(2)]
    urls = [one.url for one in clients]
    query(urls[0], "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_server(home)
    for one in clients:
        one.kill()
    assert query(client().url, "SELECT answer FROM kept") == [(42,)]


def test_a_process_whose_server_was_killed_joins_again(home: Path) -> None:
    url = embedded.join(home)
    query(url, "CREATE TABLE kept AS SELECT 42 AS answer")
    kill_server(home)
    assert embedded.join(home) == url
    assert query(url, "SELECT answer FROM kept") == [(42,)]
    embedded.leave()
    assert not serves(home)


def test_joining_twice_is_one_share(home: Path) -> None:
    assert embedded.join(home) == embedded.join(home)
    embedded.leave()
    assert not serves(home)
    embedded.leave()


@pytest.mark.parametrize(
    "reached",
    ["postgres-18/data.partial/base", "postgres-18/data", "postgres-18/data/postmaster.pid"],
)
def test_killed_while_the_first_cluster_is_made(
    home: Path, client: Callable[[], Client], reached: str
) -> None:
    victim = client()
    wait_for((home / reached).exists)
    victim.process.send_signal(signal.SIGKILL)
    victim.process.wait()
    next_one = client()
    assert query(next_one.url, "SELECT extname FROM pg_extension WHERE extname = 'vector'")
    next_one.leave()
    assert not serves(home)
    assert not list(home.glob("**/*.partial"))


def test_a_forked_child_ends_without_stopping_the_server(home: Path) -> None:
    url = embedded.join(home)
    child = os.fork()
    if child == 0:
        embedded.leave()  # as atexit would
        os._exit(0)
    assert os.waitpid(child, 0)[1] == 0
    assert query(url, "SELECT 1") == [(1,)]
    embedded.leave()
    assert not serves(home)


def test_a_forked_child_keeps_the_server_of_a_parent_that_left(
    home: Path, client: Callable[[], Client]
) -> None:
    url = embedded.join(home)
    ours, childs = os.pipe()
    child = os.fork()
    if child == 0:
        os.close(childs)
        os.read(ours, 1)
        os._exit(0)
    embedded.leave()
    assert query(url, "SELECT 1") == [(1,)]
    os.close(childs)
    os.waitpid(child, 0)
    os.close(ours)
    last = client()
    assert last.url == url
    last.leave()
    assert not serves(home)


def test_a_program_that_replaces_a_client_holds_nothing(
    home: Path, client: Callable[[], Client]
) -> None:
    becomes_sleep = CLIENT.replace(
        "sys.stdin.read()", "import os; os.execvp('sleep', ['sleep', '60'])"
    )
    other = subprocess.Popen(
        [sys.executable, "-c", becomes_sleep, str(home)], stdout=subprocess.PIPE, text=True
    )
    assert other.stdout is not None
    assert other.stdout.readline()
    wait_for(lambda: not Home(home).in_use)
    last = client()
    assert last.url
    last.leave()
    assert not serves(home)
    other.kill()
    other.communicate()


def test_stop_stops_whoever_uses_it_and_says_whether_it_ran(
    home: Path, client: Callable[[], Client]
) -> None:
    one = client()
    assert one.url
    assert embedded.stop(home)
    assert not serves(home)
    assert not embedded.stop(home)
    one.leave()


def test_a_kept_server_outlives_its_users_until_it_is_stopped(home: Path) -> None:
    url = embedded.join(home)
    assert embedded.keep()
    embedded.leave()
    assert query(url, "SELECT 1") == [(1,)]
    assert embedded.stop(home)
    embedded.join(home)
    embedded.leave()
    assert not serves(home)


def test_keep_means_nothing_to_a_process_that_has_not_joined() -> None:
    assert not embedded.keep()


def test_a_home_removed_under_a_running_server_ends_quietly(
    home: Path, client: Callable[[], Client]
) -> None:
    one = client()
    assert one.url
    cluster = Home(home).current()
    assert cluster is not None
    cluster.lock.evict()
    subprocess.run(["rm", "-rf", str(home)], check=True)
    one.leave()
