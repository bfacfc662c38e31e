"""From PostgreSQL 16 to 18, with vectors and their index; and killed inside."""

from __future__ import annotations

import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from processes import clear, query, serves, wait_for

from api import embedded
from api.embedded.home import Home
from api.settings import settings
from pgsteady.errors import ClusterError
from servers import open_folder

UPGRADE = """
import sys
from pathlib import Path
from api import embedded
embedded.upgrade_server(Path(sys.argv[1]))
"""
BY_INDEX = "SET enable_seqscan = off; "
NEAREST = "SELECT id FROM points ORDER BY embedding::vector(3) <-> '[3,5,0]' LIMIT 3"
CONTENT = "SELECT count(*), sum(id), md5(string_agg(embedding::text, ' ' ORDER BY id)) FROM points"


@pytest.fixture(scope="module")
def home_on_16() -> Iterator[Path]:
    """Return the home of a stopped database on 16, to copy."""
    folder = open_folder() / "home"
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(settings(), "postgres_major", 16)
        url = embedded.join(folder)
    query(
        url,
        "CREATE TABLE points (id int PRIMARY KEY, embedding vector);"
        "INSERT INTO points SELECT g, ARRAY[g % 40, g / 40, 0]::vector "
        "FROM generate_series(0, 1599) g;"
        "CREATE INDEX ON points USING hnsw ((embedding::vector(3)) vector_l2_ops)",
    )
    embedded.leave()
    yield folder
    clear(folder)
    folder.parent.rmdir()


@pytest.fixture
def old_home(home_on_16: Path, home: Path) -> Path:
    """Return a home on 16 of this test's own."""
    subprocess.run(["cp", "-a", str(home_on_16), str(home)], check=True)
    return home


def major(url: str) -> int:
    ((version,),) = query(url, "SELECT current_setting('server_version_num')::int / 10000")
    assert isinstance(version, int)
    return version


def test_an_older_cluster_works_on_its_own_version(old_home: Path) -> None:
    assert major(embedded.join(old_home)) == 16


def test_the_upgrade_moves_everything_and_keeps_the_old_cluster(old_home: Path) -> None:
    url = embedded.join(old_home)
    before = query(url, CONTENT)
    nearest = query(url, BY_INDEX + NEAREST)
    embedded.leave()

    done = embedded.upgrade_server(old_home)
    assert (done.old_major, done.new_major, done.kept) == (16, 18, old_home / "postgres-16")
    assert not serves(old_home)

    url = embedded.join(old_home)
    assert major(url) == 18
    assert query(url, CONTENT) == before
    assert query(url, BY_INDEX + NEAREST) == nearest
    plan = query(url, f"{BY_INDEX}EXPLAIN {NEAREST}")
    assert "points_embedding_idx" in str(plan)
    assert query(url, "SELECT bool_and(indisvalid) FROM pg_index") == [(True,)]
    newest_vector = (
        "SELECT extversion = default_version FROM pg_extension "
        "JOIN pg_available_extensions ON name = extname WHERE name = 'vector'"
    )
    assert query(url, newest_vector) == [(True,)]
    assert query(url, "SELECT count(*) > 0 FROM pg_stats WHERE tablename = 'points'") == [(True,)]
    embedded.leave()

    assert embedded.upgrade_server(old_home).kept is None
    Home(old_home).switch_to(old_home / "postgres-16")  # the kept one still works
    url = embedded.join(old_home)
    assert major(url) == 16
    assert query(url, CONTENT) == before
    embedded.leave()
    assert embedded.upgrade_server(old_home).new_major == 18  # and can be moved once more
    assert (old_home / "current").read_text() == "postgres-18-2"


@pytest.mark.parametrize(
    "reached",
    [
        "postgres-18.partial/data.partial",
        "postgres-18.partial/data/pg_upgrade_output.d",
        "postgres-16/data/postmaster.pid",  # pg_upgrade has the old server running
        "postgres-18.partial/server.log",
        "postgres-18",
    ],
)
def test_killed_inside_the_next_to_join_finds_all(old_home: Path, reached: str) -> None:
    upgrading = subprocess.Popen([sys.executable, "-c", UPGRADE, str(old_home)])
    if reached == "postgres-16/data/postmaster.pid":
        wait_for((old_home / "postgres-18.partial/data/pg_upgrade_output.d").exists)
    wait_for((old_home / reached).exists)
    upgrading.send_signal(signal.SIGKILL)  # its pg_upgrade and servers go on
    upgrading.wait()

    url = embedded.join(old_home)
    assert major(url) in (16, 18)
    assert query(url, "SELECT count(*) FROM points") == [(1600,)]
    query(url, "INSERT INTO points SELECT 1600, '[1,1,1]'")
    assert not list(old_home.glob("*.partial"))
    embedded.leave()

    embedded.upgrade_server(old_home)
    url = embedded.join(old_home)
    assert major(url) == 18
    assert query(url, "SELECT count(*) FROM points") == [(1601,)]


def test_it_is_refused_while_somebody_uses_the_database(old_home: Path) -> None:
    url = embedded.join(old_home)
    with pytest.raises(ClusterError, match="in use"):
        embedded.upgrade_server(old_home)
    assert major(url) == 16


def test_a_crashed_server_is_recovered_before_it_is_moved(old_home: Path) -> None:
    url = embedded.join(old_home)
    query(url, "INSERT INTO points SELECT 1600, '[1,1,1]'")
    cluster = Home(old_home).current()
    assert cluster is not None
    cluster.lock.evict()
    embedded.leave()
    embedded.upgrade_server(old_home)
    assert query(embedded.join(old_home), "SELECT count(*) FROM points") == [(1601,)]


def test_a_failed_upgrade_leaves_the_old_database_and_says_why(old_home: Path) -> None:
    cluster = Home(old_home).current()
    assert cluster is not None
    cluster.start()
    with cluster.session() as cursor:
        cursor.execute("CREATE DATABASE shut ALLOW_CONNECTIONS false")
    cluster.stop()
    with pytest.raises(ClusterError, match=r"pg_upgrade failed[\s\S]*allow connections[\s\S]*shut"):
        embedded.upgrade_server(old_home)
    assert not list(old_home.glob("*.partial"))
    url = embedded.join(old_home)
    assert major(url) == 16
    assert query(url, "SELECT count(*) FROM points") == [(1600,)]


def test_there_must_be_a_database_to_move(home: Path) -> None:
    with pytest.raises(ClusterError, match="no embedded database yet"):
        embedded.upgrade_server(home)


def test_a_version_that_is_not_bundled_is_named(old_home: Path) -> None:
    (old_home / "postgres-16").rename(old_home / "postgres-15")
    (old_home / "current").write_text("postgres-15")
    with pytest.raises(ClusterError, match="PostgreSQL 15 is not bundled"):
        embedded.join(old_home)
    (old_home / "current").write_text("postgres-16")
    (old_home / "postgres-15").rename(old_home / "postgres-16")
    assert major(embedded.join(old_home)) == 16
