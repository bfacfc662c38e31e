"""Ten thousand damaged files of every format: each is read, or refused with its cause.

Never a crash, over 10 s of processor time, or over 1 GB. CI reads a sample of them, seeded;
``FAULTS=full``, as in ``make faults-import``, reads all.
"""

from __future__ import annotations

import os
from collections import Counter
from collections.abc import Iterator
from pathlib import Path

import pytest
from imports import Reader, damaged, seeds

from nanoos import plugins

FULL = os.environ.get("FAULTS") == "full"
CASES = 10_000 if FULL else 160
PARTS = 20 if FULL else 2


@pytest.fixture(scope="module")
def reader() -> Iterator[Reader]:
    reader = Reader()
    yield reader
    reader.close()


def test_there_are_real_files_of_every_format() -> None:
    assert set(plugins.load("nanoos.parsers")) <= set(seeds())


@pytest.mark.slow
@pytest.mark.timeout(3600)
@pytest.mark.parametrize("part", range(PARTS))
def test_damaged_file_is_read_or_refused(part: int, reader: Reader, tmp_path: Path) -> None:
    faults, outcomes = [], Counter[str]()
    for number in range(part, CASES, PARTS):
        case, data = damaged(number)
        path = tmp_path / case.split(" as ")[1].split(":")[0]
        path.write_bytes(data)
        found = reader.read(path)
        if "fault" in found:
            faults.append(f"{case}\n{found['fault']}")
        outcomes["read"] += found.get("read", 0) > 0
        outcomes["refused"] += bool(found.get("refused"))
        path.unlink()
    assert not faults, "\n\n".join([*faults[:10], f"{len(faults)} in all"])
    assert min(outcomes["read"], outcomes["refused"]) > CASES / PARTS / 10, outcomes
