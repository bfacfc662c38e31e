"""Several things done together, a step of each, before the next step of any.

To read and analyse one structure takes more code than a core keeps at hand: done for one file
after the other, each step finds it full of the others'. Done a step at a time for a few dozen
files, all of it takes a quarter less (``docs/measured.md``).

What is done says by `pause` where a step ends, however deep in its calls.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable
from time import monotonic

from greenlet import getcurrent, greenlet

_TOGETHER_S = 1.0
"""So long things are done together; then one after the other, each to its end."""
_LONG_STEP_S = 0.05
"""What takes longer for one step may hold much memory as well, and is done to its end at once."""


class Task(greenlet):
    """One of the things that `together` does: its ``run`` is called once.

    While it is ``alone``, it pauses for no other.
    """

    alone = False

    def begin_step(self) -> None:
        """Called before each step."""


def pause() -> None:
    """End a step: of things that are done together, let the others come as far.

    Elsewhere nothing happens. What holds something that all share (the working directory, a
    lock) must not pause.
    """
    task = getcurrent()
    if isinstance(task, Task) and task.parent is not None and not task.alone:
        task.parent.switch()


def together(tasks: Iterable[Task]) -> None:
    """Do the tasks, a step of each in turn. Raises what one of them raises."""
    began = monotonic()
    waiting = deque(tasks)
    while waiting:
        task = waiting.popleft()
        now = monotonic()
        task.alone = task.alone or now - began > _TOGETHER_S
        task.begin_step()
        task.switch()
        if task.dead:
            continue
        if monotonic() - now > _LONG_STEP_S:
            task.alone = True
            waiting.appendleft(task)
        else:
            waiting.append(task)
