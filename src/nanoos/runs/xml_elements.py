"""XML from strangers, element by element, in constant memory.

Documents of simulation programs have no document type: one that has could define entities that
burst or name other files, so it is refused.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NoReturn
from xml.etree.ElementTree import Element
from xml.parsers.expat import ExpatError, ParserCreate

from nanoos.errors import ParseError
from nanoos.parsers import Source

MAX_DEPTH = 100
"""Elements nested deeper than this are nobody's data."""

_BLOCK_BYTES = 256 * 1024


def elements(
    source: Source, wanted: frozenset[str], skipped: frozenset[str] = frozenset()
) -> Iterator[Element]:
    """Yield every element of the wanted names, with all that it contains, when it ends.

    A wanted element within another is yielded before it, and not kept in it. What lies in no
    wanted element, or in a skipped one, is not kept. Raises ParseError, with the line, where
    the document is damaged, cut short, or has a document type; what was whole before has been
    yielded then.
    """
    collected = _Collected(wanted, skipped)
    parser = ParserCreate()
    parser.buffer_text = True
    parser.StartElementHandler = collected.start
    parser.CharacterDataHandler = collected.text
    parser.EndElementHandler = collected.end
    parser.StartDoctypeDeclHandler = _refuse
    with source.open() as stream:
        is_last = False
        while not is_last:
            block = stream.read(_BLOCK_BYTES)
            is_last = not block
            try:
                parser.Parse(block, is_last)
            except (ExpatError, ValueError, LookupError) as error:  # the latter two of encodings
                yield from collected.taken()
                line = parser.CurrentLineNumber
                raise ParseError(f"The XML is damaged or cut short: {error}.", line=line) from None
            yield from collected.taken()


def _refuse(*_: object) -> NoReturn:
    raise ParseError("The XML has a document type (DOCTYPE), as no program writes it.")


class _Collected:
    """The wanted elements that have ended, and those that are open."""

    def __init__(self, wanted: frozenset[str], skipped: frozenset[str]) -> None:
        self._wanted = wanted
        self._skipped = skipped
        self._skipped_at = 0  # the depth of the skipped element that is open
        self._open: list[Element] = []
        self._ended: list[Element] = []
        self._depth = 0

    def start(self, name: str, attributes: dict[str, str]) -> None:
        self._depth += 1
        if self._depth > MAX_DEPTH:
            raise ParseError(f"The XML is nested more than {MAX_DEPTH} levels deep.")
        if self._skipped_at:
            return
        if name in self._skipped:
            self._skipped_at = self._depth
        elif self._open or name in self._wanted:
            self._open.append(Element(name, attributes))

    def text(self, text: str) -> None:
        if self._skipped_at or not self._open:
            return
        if not len(self._open[-1]):  # what stands between children is blank
            self._open[-1].text = (self._open[-1].text or "") + text

    def end(self, name: str) -> None:
        self._depth -= 1
        if self._skipped_at or not self._open:
            if self._skipped_at > self._depth:
                self._skipped_at = 0
            return
        element = self._open.pop()
        if name in self._wanted:
            self._ended.append(element)
        else:
            self._open[-1].append(element)

    def taken(self) -> list[Element]:
        ended, self._ended = self._ended, []
        return ended
