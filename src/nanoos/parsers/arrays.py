"""Arrays of numbers from a file, checked."""

from __future__ import annotations

from typing import Any

import numpy as np

from nanoos.errors import ParseError
from nanoos.structures.structure import MAX_SITES, Array

DTYPES = frozenset(
    ["bool", "float32", "float64"]
    + [f"{sign}int{bits}" for sign in ("", "u") for bits in (8, 16, 32, 64)]
)
"""The types, by NumPy's names, that binary files may state for their arrays."""


def array_of(values: Any, what: str, shape: tuple[int | None, ...]) -> Array:
    """Return nested lists of numbers as a float64 array.

    ``None`` in ``shape`` stands for any length. Raises ParseError, which names ``what``: missing,
    not numbers, another shape, not finite.
    """
    if values is None:
        raise ParseError(f"The {what} are missing.")
    try:
        array = np.asarray(values)
    except ValueError:  # lists of different lengths
        array = np.array(None)
    if array.size == 0 and None in shape:
        return np.zeros([n or 0 for n in shape])
    if array.dtype.kind not in "iuf":
        raise ParseError(f"The {what} are not lists of numbers of equal length.")
    if array.ndim != len(shape) or any(
        n not in (None, m) for n, m in zip(shape, array.shape, strict=True)
    ):
        wanted = " × ".join("n" if n is None else str(n) for n in shape)
        found = " × ".join(map(str, array.shape))
        raise ParseError(f"The {what} should be {wanted} numbers, not {found or 'one'}.")
    if not np.isfinite(array).all():
        raise ParseError(f"The {what} contain a number that is not finite.")
    return array.astype(np.float64)


def number_of(value: Any, what: str) -> float:
    """Return a number as a float. Raises ParseError, which names ``what``."""
    try:
        number = float(value) if type(value) in (int, float) else np.nan
    except OverflowError:
        number = np.inf
    if not np.isfinite(number):
        raise ParseError(f"The {what} is no finite number.")
    return number


def check_n_sites(count: int) -> None:
    """Raise ParseError for more sites than are read."""
    if count > MAX_SITES:
        raise ParseError(f"It has {count} sites; at most {MAX_SITES} are read.")
