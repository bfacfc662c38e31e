"""What VASP, the machine and the queue say when a run goes wrong."""

from __future__ import annotations

import re
from collections import deque
from functools import partial

from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.parsers.source import MAX_LINE_BYTES
from nanoos.runs.vasp_output import Output

MAX_MESSAGE = 400
"""Characters of a message that are kept."""

_FATAL = re.compile(
    rb"VERY BAD NEWS|internal error in|ZBRENT: fatal error|Error EDDDAV|LAPACK: Routine Z\w+ failed"
    rb"|I REFUSE TO CONTINUE|^\s*ERROR[ :]"
    rb"|forrtl: (?:severe|error)|[Ss]egmentation fault|SIGSEGV|BAD TERMINATION"
    rb"|MPI_ABORT was invoked|oom[-_]kill|[Oo]ut [Oo]f [Mm]emory|Inconsistent Bravais lattice"
)
_COMPLAINT = re.compile(rb"BRMIX: very serious problems")
_TIME_LIMIT = re.compile(
    rb"DUE TO TIME LIMIT|TERM_RUNLIMIT|job killed: walltime|exceeded (?:its )?(?:wall ?time|time)"
)
_ERROR_BOX = b"EEEEEEE  RRRRRR"
_IN_BOX = re.compile(r"[a-z]{2}")
_NO_REASON = "VASP stopped with an error and gave no reason."


FIRST_WORDS = frozenset(
    b"VERY internal ZBRENT: Error ERROR LAPACK: BRMIX: Inconsistent forrtl: I |".split()
)
"""With which lines of an OUTCAR begin that may hold a message."""

_LAST_LINES = 2000


def read_log(source: Source, output: Output) -> None:
    """Add the messages at the end of what VASP or the queue printed."""
    messages = Messages(output)
    try:
        with source.open() as stream:
            lines = deque(iter(partial(stream.readline, MAX_LINE_BYTES), b""), _LAST_LINES)
    except ParseError:
        return  # what it is compressed with is damaged
    for line in lines:
        messages.read(line)
    messages.end()


class Messages:
    """Collects the messages of one file in its `Output`, line by line."""

    def __init__(self, output: Output) -> None:
        self._output = output
        self._box: list[str] | None = None

    def read(self, line: bytes) -> None:
        """Take a line."""
        if self._box is not None and line.lstrip()[:1] in (b"|", b""):
            text = line.decode("latin-1").strip("| \r\n")
            if _IN_BOX.search(text):
                self._box.append(text)
            return
        if self._box is not None and (self._box or not line.lstrip().startswith(b"---")):
            self.end()
        if _ERROR_BOX in line:
            self._box = []
        elif _FATAL.search(line):
            self._keep(self._output.fatal, line)
        elif _COMPLAINT.search(line):
            self._keep(self._output.complaints, line)
        elif _TIME_LIMIT.search(line):
            self._output.ran_out_of_time = True

    def end(self) -> None:
        """Take the box that is open, if one is."""
        if self._box is not None:
            text = " ".join(self._box).replace("---->", "").replace("<----", "")
            self._output.fatal.append(" ".join(text.split())[:MAX_MESSAGE] or _NO_REASON)
            self._box = None

    def _keep(self, kept: list[str], line: bytes) -> None:
        text = " ".join(line.decode("latin-1").strip("| \r\n").split())[:MAX_MESSAGE]
        if text not in kept and len(kept) < 5:
            kept.append(text)
