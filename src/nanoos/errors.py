"""Every error the science raises, in one tree.

A class's docstring is its default message. What the platform makes of each
(HTTP status, exit code, retry or not) stands in one table in ``api.errors``.
"""

from __future__ import annotations

from collections.abc import Sequence


class NanoError(Exception):
    """Something went wrong in NANO-OS."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])


class StructureError(NanoError):
    """The structure is not physically or formally valid."""


class ParseError(NanoError):
    """The file could not be read as a structure."""

    def __init__(self, message: str | None = None, *, line: int | None = None) -> None:
        super().__init__(message and _shown(message))
        self.line = line


def _shown(message: str) -> str:
    """Return what quotes a file so that it can be shown and stored: one line, not too long."""
    shown = "".join(c if c.isprintable() else "\ufffd" for c in " ".join(message.split()))
    return shown if len(shown) <= 500 else f"{shown[:300]} … {shown[-150:]}"


class UnknownFormat(ParseError):
    """No parser recognises this file."""


class SymmetryError(NanoError):
    """The space group could not be determined."""


class NotWritten(NanoError):
    """The file could not be written."""


class PluginNotFound(NanoError):
    """No plug-in of that name is installed."""


class EngineError(NanoError):
    """The engine failed."""


class EngineCrashed(EngineError):
    """The engine's process ended without an answer."""


class EngineUnavailable(EngineError):
    """The engine cannot run on this machine."""


class Interrupted(EngineError):
    """The engine stopped in time, and can go on where it stopped."""


class NotConverged(EngineError):
    """The engine ran, but found no ground state."""


class WallTimeExceeded(EngineError):
    """The job took longer than it was given."""


class MemoryExceeded(EngineError):
    """The job needed more memory than it was given."""


class DiskFull(NanoError):
    """The disk is full."""


class UnsupportedByEngine(NanoError):
    """The engine cannot do what was asked of it."""


class WorkflowError(NanoError):
    """The workflow could not be completed."""


class ThermodynamicsError(NanoError):
    """These energies have no convex hull."""


class ReferencesMissing(ThermodynamicsError):
    """A convex hull needs an entry of each element by itself."""

    def __init__(self, elements: Sequence[str] = ()) -> None:
        named = f" There is none of {', '.join(elements)}." if elements else ""
        super().__init__(f"A convex hull needs an entry of each element by itself.{named}")
        self.elements = tuple(elements)


class MethodError(NanoError):
    """The description of a method cannot be used."""


class InvalidParameters(NanoError):
    """The parameters do not fit the schema of workflow or engine."""


class ProcessesError(NanoError):
    """The processes that do the work cannot be started."""


class EmbeddingError(NanoError):
    """The structure could not be embedded."""
