"""The pool: whatever an item does to its process, the others are done, each once."""

from __future__ import annotations

import asyncio
import itertools
import os
import random
import signal
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Sequence
from pathlib import Path

import psutil
import pytest

from nanoos.errors import ProcessesError
from nanoos.processes import Answer, Failure, Limits, Pool, at_once

WORK = "hostile_work:obey"
QUICK = Limits(silence_s=4.0, memory_bytes=512 * 1024**2)
Item = tuple[str, int]

MISBEHAVIOUR = {
    "crash": "SIGSEGV",
    "abort": "SIGABRT",
    "hang": "longer than 4 s",
    "spin": "longer than 4 s",
    "eat": "memory",
    "exit": "exit code 7",
    "leave": "exit code 5",
    "raise": "RuntimeError: of foreign making",
    "refuse": "It is wrong.",
}


async def answers(
    items: Iterable[Item],
    size: int = 2,
    work: str = WORK,
    taken: Callable[[Answer[Item]], None] = lambda _: None,
) -> list[Answer[Item]]:
    """Put all items in and return the answers; ``taken`` is told each."""
    found: list[Answer[Item]] = []
    async with Pool[Item](work, size, QUICK) as pool:

        async def feed() -> None:
            for item in items:
                await pool.put(item, 1)
            await pool.finish()

        async def collect() -> None:
            async for answer in pool.answers():
                taken(answer)
                found.append(answer)

        await at_once(feed(), collect())
    assert not children()
    return found


def children() -> list[psutil.Process]:
    return [one for one in psutil.Process().children() if "processes.child" in str(one.cmdline())]


def failures(found: Sequence[Answer[Item]]) -> dict[str, Failure]:
    return {one.item[0]: one.failure for one in found if one.failure is not None}


async def test_every_item_is_done_once_whatever_the_others_do() -> None:
    good = [("good", n % 4) for n in range(300)]
    items = [*good, ("print", 2), *((what, 0) for what in MISBEHAVIOUR)]
    random.Random(5).shuffle(items)
    found = await answers(items)
    assert Counter(one.item for one in found if one.is_end) == Counter(items)
    assert sum(len(one.results) for one in found) == sum(n for _, n in items)
    assert failures(found).keys() == MISBEHAVIOUR.keys()
    for what, failure in failures(found).items():
        assert MISBEHAVIOUR[what] in failure.message
    assert failures(found)["refuse"].line == 3


async def test_what_came_before_a_crash_is_kept() -> None:
    found = await answers([("large crash", 8), ("good", 1)])
    before = [one for one in found if one.item[0] == "large crash"]
    assert 5 <= sum(len(one.results) for one in before) <= 8
    assert [one.is_end for one in before].count(True) == 1
    assert before[-1].failure is not None


async def test_what_was_sent_in_part_is_not_done_again_when_the_next_one_crashes() -> None:
    found = await answers([("large good", 3), ("crash", 0), ("good", 1)], size=1)
    before = [number for one in found if one.item[0] == "large good" for number, _ in one.results]
    assert before == [0, 1, 2]


async def test_what_many_need_together_is_no_fault_of_one() -> None:
    found = await answers([("hold", 0)] * 32, size=1)
    assert not failures(found)


async def test_the_time_that_others_took_is_not_held_against_an_item() -> None:
    found = await answers([*[("idle", 0)] * 20, ("doze", 0)], size=1)
    assert not failures(found)


async def test_results_come_while_their_item_is_still_read() -> None:
    found = await answers([("large good", 30)], size=1)
    assert len(found) > 10
    assert [number for one in found for number, _ in one.results] == list(range(30))


async def test_no_items_need_no_process() -> None:
    assert await answers([]) == []


async def test_work_that_does_not_exist_is_said() -> None:
    with pytest.raises(ProcessesError):
        await answers([("good", 1)], work="hostile_work:nothing")
    assert not children()


async def test_what_the_taker_raises_ends_everything() -> None:
    def taken(_: Answer[Item]) -> None:
        raise ZeroDivisionError

    with pytest.raises(ZeroDivisionError):
        await answers(itertools.repeat(("good", 1)), taken=taken)
    assert not children()


PARENT = """
import asyncio
from nanoos.processes import Pool

async def main():
    async with Pool("hostile_work:obey", 2) as pool:
        await pool.put(("spin", 0))
        async for answer in pool.answers():
            pass

asyncio.run(main())
"""


@pytest.mark.parametrize("end", [signal.SIGKILL, signal.SIGTERM, signal.SIGINT])
async def test_processes_end_with_their_parent(end: signal.Signals) -> None:
    path = os.pathsep.join([str(Path(__file__).parent), *sys.path])
    with subprocess.Popen(
        [sys.executable, "-c", PARENT],
        env=os.environ | {"PYTHONPATH": path},
        stderr=subprocess.DEVNULL,
    ) as parent:
        process = psutil.Process(parent.pid)
        while not (family := process.children()):
            await asyncio.sleep(0.01)
        while family[0].cpu_times().user < 1:  # it spins
            await asyncio.sleep(0.05)
        parent.send_signal(end)
        parent.wait()
    _, left = psutil.wait_procs(family, timeout=20)
    assert not left
