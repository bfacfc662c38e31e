"""Artifacts: whole or not there, the same content once, and nothing removed that is wanted.

In a folder and, by fsspec, elsewhere: in its memory and, slow, by the protocol of S3.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import NamedTuple
from uuid import uuid4

import fsspec
import pytest

from api.artifacts import Artifacts
from api.errors import ArtifactDamaged, ArtifactsUnavailable, NotFound

LONG_S = 100_000


class Store(NamedTuple):
    """Artifacts, and what happens to them behind their back."""

    artifacts: Artifacts
    spoil: Callable[[str, bytes], object]
    age: Callable[[str], object]
    unfinished: Callable[[], list[str]]


@pytest.fixture(params=["folder", "memory", pytest.param("s3", marks=pytest.mark.slow)])
def store(request: pytest.FixtureRequest) -> Store:
    return request.getfixturevalue(request.param)  # type: ignore[no-any-return]


@pytest.fixture
def folder(tmp_path: Path) -> Store:
    artifacts = Artifacts(tmp_path / "artifacts")

    def age(sha256: str) -> None:
        long_ago = time.time() - LONG_S
        os.utime(artifacts.named(sha256), (long_ago, long_ago))

    return Store(
        artifacts,
        lambda sha256, content: Path(artifacts.named(sha256)).write_bytes(content),
        age,
        lambda: [path.name for path in (tmp_path / "artifacts" / "partial").iterdir()],
    )


@pytest.fixture
def memory(tmp_path: Path) -> Iterator[Store]:
    url = f"memory://{tmp_path.name}"
    files = fsspec.filesystem("memory")

    def age(sha256: str) -> None:
        (path,) = (one for one in files.store if one.replace("/", "").endswith(sha256))
        files.store[path].modified = datetime.now(UTC) - timedelta(seconds=LONG_S)

    artifacts = Artifacts(url)
    yield Store(
        artifacts,
        lambda sha256, content: files.pipe_file(artifacts.named(sha256), content),
        age,
        lambda: [one for one in files.find(f"/{tmp_path.name}") if "partial" in one],
    )
    if files.exists(f"/{tmp_path.name}"):
        files.rm(f"/{tmp_path.name}", recursive=True)


@pytest.fixture
def s3(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Store]:
    """A server that speaks the protocol of S3, on this machine."""
    pytest.importorskip("s3fs", reason="Needs s3fs: pip install s3fs")
    server = pytest.importorskip("moto.server", reason="Needs moto: pip install 'moto[server]'")
    running = server.ThreadedMotoServer("127.0.0.1", 0, verbose=False)
    running.start()
    host, port = running.get_host_and_port()
    monkeypatch.setenv("AWS_ACCESS_KEY_ID", "test")
    monkeypatch.setenv("AWS_SECRET_ACCESS_KEY", "test")
    monkeypatch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
    files = fsspec.filesystem("s3", use_listings_cache=False)
    bucket = f"bucket-{uuid4().hex}"
    files.mkdir(bucket)
    artifacts = Artifacts(f"s3://{bucket}/nano-os")
    yield Store(
        artifacts,
        lambda sha256, content: files.pipe_file(artifacts.named(sha256), content),
        lambda _: pytest.skip("It alone says when a file came."),
        lambda: [one for one in files.find(bucket) if "partial" in one],
    )
    running.stop()
    files.clear_instance_cache()


def add(artifacts: Artifacts, content: bytes) -> str:
    with artifacts.adding() as incoming:
        incoming.write(content)
    assert incoming.artifact is not None
    return incoming.artifact.sha256


def test_equal_content_is_there_once(store: Store) -> None:
    artifacts = store.artifacts
    assert list(artifacts.all()) == []
    first, other = add(artifacts, b"steps"), add(artifacts, b"others")
    assert add(artifacts, b"steps") == first != other
    assert [one.size_bytes for one in artifacts.all()] in ([5, 6], [6, 5])
    assert b"".join(artifacts.blocks(first)) == b"steps"
    assert artifacts.are_there([first, other])
    assert not artifacts.are_there([first, "0" * 64])
    assert store.unfinished() == []


def test_what_is_interrupted_is_not_there(store: Store) -> None:
    def interrupted() -> None:
        with store.artifacts.adding() as incoming:
            incoming.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(store.artifacts.all())
    assert not store.artifacts.are_there(["0" * 64])


def test_damage_is_noticed_where_it_is_read(store: Store) -> None:
    artifacts = store.artifacts
    sha256, gone = add(artifacts, b"steps"), "0" * 64
    store.spoil(sha256, b"stepz")
    with pytest.raises(ArtifactDamaged, match="damaged"):
        b"".join(artifacts.blocks(sha256))
    said = list(artifacts.verify([gone]))
    assert len(said) == 2
    assert "There is no artifact" in said[0]
    assert add(artifacts, b"other") not in " ".join(artifacts.verify([]))


def test_cut_content_is_mended_by_adding_it_again(store: Store) -> None:
    sha256 = add(store.artifacts, b"steps")
    store.spoil(sha256, b"ste")
    add(store.artifacts, b"steps")
    assert b"".join(store.artifacts.blocks(sha256)) == b"steps"


@pytest.mark.parametrize("name", ["../../etc/passwd", "ab/../../x", "A" * 64, "0" * 63, "0" * 65])
def test_no_name_leads_out_of_the_folder(folder: Store, name: str) -> None:
    with pytest.raises(NotFound):
        folder.artifacts.named(name)


def test_what_nobody_wants_is_removed(store: Store) -> None:
    artifacts = store.artifacts
    wanted, unwanted = add(artifacts, b"a"), add(artifacts, b"b")
    assert artifacts.unwanted([wanted]) == []  # it is young
    found = artifacts.unwanted([wanted], grace_s=0)
    assert {one.sha256 for one in found} == {unwanted}
    artifacts.remove(found, grace_s=0)
    assert {one.sha256 for one in artifacts.all()} == {wanted}


def test_only_what_is_old_and_unwanted_is_removed(store: Store) -> None:
    artifacts = store.artifacts
    wanted, old, young, again = (add(artifacts, name) for name in (b"a", b"b", b"c", b"d"))
    for sha256 in (wanted, old, again):
        store.age(sha256)
    unwanted = artifacts.unwanted([wanted])
    assert {one.sha256 for one in unwanted} == {old, again}
    add(artifacts, b"d")  # somebody stores it meanwhile
    artifacts.remove(unwanted)
    assert {one.sha256 for one in artifacts.all()} == {wanted, young, again}


def test_a_place_out_of_reach_is_told_without_its_password() -> None:
    for url in ("nowhere://bucket", "ftp://me:secret@127.0.0.1:1/folder"):
        with pytest.raises(ArtifactsUnavailable, match="NANO_OS_ARTIFACTS") as error:
            add(Artifacts(url), b"steps")
        assert "secret" not in str(error.value)
