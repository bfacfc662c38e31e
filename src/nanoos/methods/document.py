"""A method as a document, and its hash: what says that two methods are one and the same.

The document is canonical. What is not stated or empty is left out, lists are sorted, functionals
have their usual names, and numbers are rounded, so that 40 Ry converted to eV by two programs is
one cutoff. The distance of k-points is rounded to 0.01 1/Å: a mesh is made of integers, so it
differs a little from cell to cell when the same was asked for. Of paths in further settings the
name of the file is kept: its folder decides no energy, and tells who works where.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from dataclasses import fields
from math import isfinite
from typing import Any

from nanoos.canonical import sha256 as hash_of
from nanoos.errors import MethodError
from nanoos.methods.functional import functional_name
from nanoos.methods.method import Method, Potential

SIGNIFICANT_DIGITS = 6
"""Of every number but the distance of k-points."""
K_SPACING_DECIMALS = 2
"""Of the distance of k-points, in 1/Å."""

_WORD = re.compile(r"[^\s'\",;=()]+")
_ROOTED = re.compile(r"(~|\.{1,2}|[A-Za-z]:)?[/\\]+\w|~\w*[/\\]")
_SUFFIX = re.compile(r"\.\d*[A-Za-z]")


def document(method: Method) -> dict[str, Any]:
    """Return the method as a canonical document, JSON-able; two equal methods give one.

    Raises MethodError where it holds what JSON cannot: NaN, an object of a program's own.
    """
    stated = {field.name: getattr(method, field.name) for field in fields(Method)}
    stated["potentials"] = _potentials(method.potentials)
    stated["hubbard_ev"] = {site: u for site, u in method.hubbard_ev.items() if u}
    if method.functional:
        stated["functional"] = functional_name(method.functional)
    stated["further"] = _without_folders(method.further)
    if method.k_spacing_per_a is not None:
        stated["k_spacing_per_a"] = round(method.k_spacing_per_a, K_SPACING_DECIMALS)
    return {name: kept for name, value in stated.items() if not _is_empty(kept := _plain(value))}


def sha256(method: Method) -> str:
    """Return the hash of the canonical document, in hex."""
    return hash_of(document(method))


def of_document(stated: Mapping[str, Any]) -> Method:
    """Return the method that a canonical document describes.

    Raises MethodError where it is none: without code, or with fields that methods do not have.
    """
    try:
        potentials = tuple(Potential(**each) for each in stated.get("potentials", ()))
        return Method(**{**stated, "potentials": potentials})
    except TypeError as error:
        raise MethodError(f"No document of a method: {error}.") from None


def canonical(method: Method) -> Method:
    """Return the method as its canonical document describes it."""
    return of_document(document(method))


def _potentials(potentials: Iterable[Potential]) -> list[dict[str, Any]]:
    """Return each potential once, sorted."""
    each = {(one.element, _text(one.title), (one.sha256 or "").lower()) for one in potentials}
    names = ("element", "title", "sha256")
    return [dict(zip(names, one, strict=True)) for one in sorted(each)]


def _without_folders(value: Any) -> Any:
    """Return texts with the names of files instead of paths."""
    if isinstance(value, str):
        return _WORD.sub(_name_of_file, value)
    if isinstance(value, Mapping):
        return {name: _without_folders(one) for name, one in value.items()}
    if isinstance(value, list | tuple):
        return [_without_folders(one) for one in value]
    return value


def _name_of_file(word: re.Match[str]) -> str:
    """Return the name at the end of a path, and a word that is none (``lj/cut``) as it is."""
    path = word[0].rstrip("/\\")
    name = re.split(r"[/\\]", path)[-1]
    is_path = _ROOTED.match(path) or ("/" in path and _SUFFIX.search(name))
    return name if is_path and "://" not in path else word[0]


def _plain(value: Any) -> Any:
    """Return a value as JSON has it, numbers rounded, without what is empty in it."""
    if value is None or isinstance(value, bool | int):
        return value
    if isinstance(value, str):
        return _text(value)
    if isinstance(value, float):
        return _number(value)
    if isinstance(value, Mapping):
        inner = {_text(str(name)): _plain(one) for name, one in value.items()}
        return {name: one for name, one in inner.items() if not _is_empty(one)}
    if isinstance(value, list | tuple):
        return [_plain(one) for one in value]
    raise MethodError(f"A method cannot hold {value!r}: give numbers, texts, lists or mappings.")


def _number(value: float) -> float | int:
    """Return the number rounded, an integer where it is one."""
    if not isfinite(value):
        raise MethodError(f"A method cannot hold the number {value}.")
    rounded = float(f"{value:.{SIGNIFICANT_DIGITS}g}")
    return int(rounded) if rounded.is_integer() else rounded


def _text(text: str) -> str:
    """Return the text with single spaces, and without what PostgreSQL and UTF-8 cannot hold."""
    return " ".join(text.replace("\0", "").encode(errors="replace").decode().split())


def _is_empty(value: Any) -> bool:
    return value is None or (isinstance(value, str | list | dict) and not value)
