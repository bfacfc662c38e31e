"""Things that are done together take turns, and each is done once."""

from collections.abc import Callable

import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanoos import steps
from nanoos.steps import Task, pause, together


class Noting(Task):
    """Notes the steps that it takes, and which it was told would begin."""

    def __init__(self, name: str, n_steps: int, notes: list[tuple[str, int]]) -> None:
        super().__init__()
        self.name = name
        self.n_steps = n_steps
        self.notes = notes
        self.n_begun = 0

    def begin_step(self) -> None:
        self.n_begun += 1

    def run(self) -> None:
        for step in range(self.n_steps):
            if step:
                deep(3, pause)
            self.notes.append((self.name, step))


def deep(level: int, do: Callable[[], None]) -> None:
    deep(level - 1, do) if level else do()


@given(st.lists(st.integers(0, 5), max_size=8))
def test_each_step_of_all_comes_before_the_next_of_any(lengths):
    notes = []
    tasks = [Noting(str(place), length, notes) for place, length in enumerate(lengths)]
    together(tasks)
    expected = [(task.name, step) for step in range(5) for task in tasks if step < task.n_steps]
    assert notes == expected
    assert [task.n_begun for task in tasks] == [max(1, length) for length in lengths]


@pytest.mark.parametrize("limit", ["_TOGETHER_S", "_LONG_STEP_S"])
def test_what_takes_long_is_done_one_after_the_other(monkeypatch, limit):
    monkeypatch.setattr(steps, limit, -1.0)
    notes = []
    together([Noting(name, 3, notes) for name in "ab"])
    assert notes == [(name, step) for name in "ab" for step in range(3)]


def test_one_that_is_alone_pauses_for_no_other():
    notes = []
    tasks = [Noting(name, 2, notes) for name in "abc"]
    tasks[1].alone = True
    together(tasks)
    assert notes == [("a", 0), ("b", 0), ("b", 1), ("c", 0), ("a", 1), ("c", 1)]


def test_what_one_raises_ends_all():
    class Failing(Task):
        def run(self) -> None:
            pause()
            raise ZeroDivisionError

    notes = []
    with pytest.raises(ZeroDivisionError):
        together([Failing(), Noting("a", 3, notes)])
    assert notes == [("a", 0)]


def test_elsewhere_a_pause_does_nothing():
    pause()
