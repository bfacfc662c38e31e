"""What is put in is stored, once, in batches; several sessions share it by its keys."""

from __future__ import annotations

import asyncio
import itertools

import pytest
from hypothesis import HealthCheck, given
from hypothesis import settings as examples
from hypothesis import strategies as st

from api.intake import batches
from api.intake.batches import Waiting
from nanoos.processes import at_once

SMALL = 5


class Stored:
    """Takes batches as a database does: slowly, and several at once."""

    def __init__(self) -> None:
        self.batches: list[list[tuple[int, int]]] = []
        self.at_work: list[set[int]] = []
        self.most_at_once = 0

    async def store(self, found: list[tuple[int, int]]) -> None:
        keys = {key for key, _ in found}
        assert not any(keys & others for others in self.at_work)
        self.at_work.append(keys)
        self.most_at_once = max(self.most_at_once, len(self.at_work))
        for _ in range(3):
            await asyncio.sleep(0)
        self.at_work.remove(keys)
        self.batches.append(found)


@pytest.fixture
def small(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(batches, "BATCH", SMALL)


async def put_in(waiting: Waiting[tuple[int, int]], answers: list[list[int]]) -> None:
    numbers = itertools.count()
    for keys in answers:
        for key in keys:
            waiting.add((key, next(numbers)), 1, key)
        await waiting.room()
    waiting.end()


@examples(suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(st.integers(1, 4), st.lists(st.lists(st.integers(0, 9), max_size=7)))
async def test_each_is_stored_once_and_those_of_a_key_one_after_another(
    small: None, sessions: int, answers: list[list[int]]
) -> None:
    waiting, stored = Waiting[tuple[int, int]](sessions), Stored()
    await at_once(put_in(waiting, answers), waiting.store(stored.store))
    together = [one for batch in stored.batches for one in batch]
    assert sorted(number for _, number in together) == list(range(sum(map(len, answers))))
    for key in range(10):
        of_key = [number for one, number in together if one == key]
        assert of_key == sorted(of_key)
    assert all(0 < len(batch) < SMALL + 7 for batch in stored.batches)


async def test_sessions_store_at_once(small: None) -> None:
    waiting, stored = Waiting[tuple[int, int]](3), Stored()
    await at_once(put_in(waiting, [[0, 1, 2]] * 50), waiting.store(stored.store))
    assert stored.most_at_once == 3


async def test_what_has_waited_is_stored_though_it_is_no_batch(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(batches, "BATCH_S", 0.01)
    waiting, stored = Waiting[tuple[int, int]](), asyncio.Event()

    async def store(found: list[tuple[int, int]]) -> None:
        assert found == [(0, 0)]
        stored.set()

    async def put_one_in() -> None:
        waiting.add((0, 0), 1)
        await asyncio.wait_for(stored.wait(), 60)
        waiting.end()

    await at_once(put_one_in(), waiting.store(store))


async def test_what_one_session_raises_ends_all(small: None) -> None:
    waiting = Waiting[tuple[int, int]](2)
    ended = []

    async def store(found: list[tuple[int, int]]) -> None:
        if found[0][0] == 1:
            raise ValueError("of session 1")
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            ended.append(found)
            raise

    with pytest.raises(ValueError, match="of session 1"):
        await at_once(put_in(waiting, [[0, 1]] * 100), waiting.store(store))
    assert len(ended) == 1
