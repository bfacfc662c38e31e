"""Artifacts: whole or not there, the same content once, and nothing removed that is wanted."""

from __future__ import annotations

import os
import time
from pathlib import Path

import pytest

from api.artifacts import Artifacts
from api.errors import ArtifactDamaged, NotFound


@pytest.fixture
def artifacts(tmp_path: Path) -> Artifacts:
    return Artifacts(tmp_path / "artifacts")


def add(artifacts: Artifacts, content: bytes) -> str:
    with artifacts.adding() as incoming:
        incoming.write(content)
    assert incoming.artifact is not None
    return incoming.artifact.sha256


def age(artifacts: Artifacts, sha256: str) -> None:
    long_ago = time.time() - 100_000
    os.utime(artifacts.path(sha256), (long_ago, long_ago))


def test_equal_content_is_there_once(artifacts: Artifacts) -> None:
    assert add(artifacts, b"steps") == add(artifacts, b"steps") != add(artifacts, b"others")
    assert [one.size_bytes for one in artifacts.all()] in ([5, 6], [6, 5])
    assert not list((artifacts.folder / "partial").iterdir())


def test_what_is_interrupted_is_not_there(artifacts: Artifacts) -> None:
    def interrupted() -> None:
        with artifacts.adding() as incoming:
            incoming.write(b"half")
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        interrupted()
    assert not list(artifacts.all())
    assert not list((artifacts.folder / "partial").iterdir())


def test_damage_is_noticed_where_it_is_read(artifacts: Artifacts) -> None:
    sha256, gone = add(artifacts, b"steps"), "0" * 64
    artifacts.path(sha256).write_bytes(b"stepz")
    with pytest.raises(ArtifactDamaged, match="damaged"):
        b"".join(artifacts.blocks(sha256))
    said = list(artifacts.verify([gone]))
    assert len(said) == 2
    assert "There is no artifact" in said[0]
    assert add(artifacts, b"other") not in " ".join(artifacts.verify([]))


def test_damaged_content_is_mended_by_adding_it_again(artifacts: Artifacts) -> None:
    sha256 = add(artifacts, b"steps")
    artifacts.path(sha256).write_bytes(b"stepz")
    add(artifacts, b"steps")
    assert b"".join(artifacts.blocks(sha256)) == b"steps"


@pytest.mark.parametrize("name", ["../../etc/passwd", "ab/../../x", "A" * 64, "0" * 63, "0" * 65])
def test_no_name_leads_out_of_the_folder(artifacts: Artifacts, name: str) -> None:
    with pytest.raises(NotFound):
        artifacts.path(name)


def test_only_what_is_old_and_unwanted_is_removed(artifacts: Artifacts) -> None:
    wanted, old, young, again = (add(artifacts, name) for name in (b"a", b"b", b"c", b"d"))
    for sha256 in (wanted, old, again):
        age(artifacts, sha256)
    unwanted = artifacts.unwanted([wanted])
    assert {one.sha256 for one in unwanted} == {old, again}
    add(artifacts, b"d")  # somebody stores it meanwhile
    artifacts.remove(unwanted)
    assert {one.sha256 for one in artifacts.all()} == {wanted, young, again}
