"""Values from a file as JSON and PostgreSQL's ``jsonb`` can hold them, for ``extra``."""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from nanoos.errors import ParseError

MAX_DEPTH = 64
"""Lists and objects nested deeper than this are nobody's data."""


def plain(value: Any, depth: int = MAX_DEPTH) -> Any:
    """Return the value as JSON can hold it; a number that is not finite becomes None.

    Text loses what ``jsonb`` refuses: NUL characters and halves of surrogate pairs. Raises
    ParseError where lists and objects are nested too deeply.
    """
    if depth < 0:
        raise ParseError(f"Lists and objects are nested more than {MAX_DEPTH} levels deep.")
    if isinstance(value, dict):
        return {clean(str(key)): plain(item, depth - 1) for key, item in value.items()}
    if isinstance(value, (list, tuple)):
        return [plain(item, depth - 1) for item in value]
    if isinstance(value, (np.ndarray, np.generic)):
        return plain(value.tolist(), depth)
    if isinstance(value, float) and not math.isfinite(value):
        return None
    if isinstance(value, (int, float, bool, type(None))):
        return value
    return clean(str(value))


def clean(text: str) -> str:
    """Return the text without NUL characters and halves of surrogate pairs."""
    return text.replace("\0", "").encode("utf-8", "replace").decode()
