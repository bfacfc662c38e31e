"""How people write what they search for: elements, formulas, space groups, ranges.

Everything here raises ValueError with an example of how it is written.
"""

from __future__ import annotations

import difflib
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from math import isfinite
from string import ascii_uppercase
from typing import Any, Generic, Self, TypeVar

from pydantic import BaseModel, ConfigDict, model_validator

from nanoos.structures import formula
from nanoos.structures.structure import ELEMENTS

CRYSTAL_SYSTEMS = {
    "triclinic": (1, 2),
    "monoclinic": (3, 15),
    "orthorhombic": (16, 74),
    "tetragonal": (75, 142),
    "trigonal": (143, 167),
    "hexagonal": (168, 194),
    "cubic": (195, 230),
}
"""First and last space group of each; International Tables for Crystallography A (2016)."""

N_SPACE_GROUPS = 230
EXACT = 1e-6
"""A number given for a measured quantity, and no range, means what is this close to it."""

Bound = TypeVar("Bound", int, float, datetime)


class Range(BaseModel, Generic[Bound]):
    """From ``at_least`` to ``at_most``, both included; None where it is open.

    Written as text: ``3.1:3.4``, ``:4``, ``5:`` or a single value; as a pair, or as a number.
    Dates are UTC, and a last day belongs to the range; times are separated by ``..``.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    at_least: Bound | None = None
    at_most: Bound | None = None

    @model_validator(mode="before")
    @classmethod
    def _read(cls, given: Any) -> Any:
        if isinstance(given, str):
            given = _split(given)
        if isinstance(given, list | tuple):
            if len(given) != 2:
                raise ValueError("a range has two ends, such as 3.1:3.4")
            given = dict(zip(("at_least", "at_most"), given, strict=True))
        elif isinstance(given, int | float | datetime):
            given = {"at_least": given, "at_most": given}
        if isinstance(given, dict):
            given = {key: _end_of_day(key, value) for key, value in given.items()}
        return given

    @model_validator(mode="after")
    def _in_order(self) -> Self:
        if self.at_least is None and self.at_most is None:
            raise ValueError("a range has at least one end, such as 3.1:3.4, :4 or 5:")
        if any(isinstance(end, float) and not isfinite(end) for end in self.ends):
            raise ValueError("the ends of a range are finite; one without an end is written as 5:")
        if self.at_least is not None and self.at_most is not None and self.at_least > self.at_most:
            raise ValueError(f"it begins at {self.at_least}, after its end {self.at_most}")
        return self

    @property
    def ends(self) -> tuple[Bound | None, Bound | None]:
        """Both ends."""
        return self.at_least, self.at_most


def _split(text: str) -> tuple[str | None, str | None]:
    """Return both ends of a written range."""
    text = text.strip().removeprefix("=")
    separator = ".." if ".." in text else ":"
    first, found, last = text.partition(separator)
    first, last = first.strip(), last.strip()
    if not found:
        last = first
    if not (first or last):
        raise ValueError("a range has at least one end, such as 3.1:3.4, :4 or 5:")
    return first or None, last or None


def _end_of_day(key: str, value: Any) -> Any:
    """Return a day as its first moment, or as its last one where the range ends there."""
    if isinstance(value, str) and re.fullmatch(r"\d{4}-\d\d-\d\d", value.strip()):
        value = _read_time(value, date.fromisoformat)
    if isinstance(value, date) and not isinstance(value, datetime):
        value = datetime(value.year, value.month, value.day, tzinfo=UTC)
        if key == "at_most":
            value += timedelta(days=1) - timedelta(microseconds=1)
    if isinstance(value, str) and re.match(r"\d{4}-\d\d-\d\dT", value.strip()):
        value = _read_time(value, datetime.fromisoformat)
    if isinstance(value, datetime) and value.tzinfo is None:
        value = value.replace(tzinfo=UTC)
    return value


def _read_time(text: str, read: Callable[[str], date]) -> date:
    try:
        return read(text.strip())
    except ValueError as error:
        raise ValueError(f"{text!r} is no date; write 2026-01-31 or 2026-01-31T12:00") from error


def listed(text: str) -> tuple[str, ...]:
    """Return what stands between commas; there is something."""
    parts = tuple(part.strip() for part in text.split(","))
    if parts == ("",):
        raise ValueError(f"{text!r} names nothing")
    if not all(parts):
        raise ValueError(f"{text!r} names nothing before, between or behind its commas")
    return parts


def element(text: str) -> str:
    """Return the symbol of an element, however its letters are cased."""
    symbol = text.strip()
    if symbol in ELEMENTS:
        return symbol
    if symbol.capitalize() in ELEMENTS:
        return symbol.capitalize()
    near = difflib.get_close_matches(symbol.capitalize(), sorted(ELEMENTS), n=3, cutoff=0.5)
    hint = f"; did you mean {' or '.join(near)}?" if near else ""
    raise ValueError(f"{text!r} is no element{hint}")


def elements(given: Any) -> tuple[str, ...]:
    """Return elements in alphabetical order from a list, or text such as ``Si,O`` or ``Si-O``."""
    if isinstance(given, str) and not (given := _joined(given)):
        raise ValueError("elements are written as Si,O")
    return tuple(sorted({element(one) for one in given}))


def chemical_system(text: str) -> str:
    """Return the elements in alphabetical order, joined by hyphens; ``*`` is any one element."""
    parts = _joined(text)
    unknown = [part for part in parts if part == "*"]
    known = {element(part) for part in parts if part != "*"}
    if not parts:
        raise ValueError("a chemical system is written as Si-O")
    return "-".join(unknown + sorted(known))


def _joined(text: str) -> list[str]:
    """Return what is joined by hyphens, commas or blanks."""
    return [part for some in listed(text) for part in re.split(r"[\s-]+", some) if part]


def space_groups(given: Any) -> tuple[int, ...]:
    """Return numbers of space groups from numbers, symbols (``Fm-3m``) and ``195:230``."""
    if isinstance(given, str):
        given = listed(given)
    elif isinstance(given, int):
        given = [given]
    return tuple(sorted({number for one in given for number in _space_groups(str(one).strip())}))


def _space_groups(text: str) -> Iterator[int]:
    if found := re.fullmatch(r"(\d+)(?:\s*:\s*(\d+))?", text):
        first, last = int(found[1]), int(found[2] or found[1])
        if not 1 <= first <= last <= N_SPACE_GROUPS:
            raise ValueError(f"{text}: space groups are numbered from 1 to {N_SPACE_GROUPS}")
        yield from range(first, last + 1)
        return
    import gemmi

    group = gemmi.find_spacegroup_by_name(text.replace("_", ""))
    if group is None:
        raise ValueError(f"{text!r} is no space group; write 225 or Fm-3m")
    yield group.number


@dataclass(frozen=True, slots=True)
class Formula:
    """A formula that is searched for.

    ``amounts`` has an element's amount in the formula unit, None for any amount;
    ``others`` the amounts of elements that are not named.
    """

    amounts: dict[str, int | None]
    others: tuple[int, ...] = ()

    @property
    def is_exact(self) -> bool:
        """One reduced formula, and no pattern."""
        return not self.others and None not in self.amounts.values()

    @property
    def reduced(self) -> str:
        """OPTIMADE's reduced formula; of an exact one alone."""
        return formula.reduced({e: n for e, n in self.amounts.items() if n is not None})

    @property
    def spelled(self) -> list[str]:
        """The reduced formulas that it means, unless two elements or more, or amounts, are open."""
        if self.is_exact:
            return [self.reduced]
        if len(self.others) != 1:
            return []
        unnamed = sorted(ELEMENTS - self.amounts.keys())
        return [Formula({**self.amounts, e: self.others[0]}).reduced for e in unnamed]

    @property
    def anonymous(self) -> str:
        """OPTIMADE's anonymous formula; where all amounts are known."""
        known = [n for n in self.amounts.values() if n is not None]
        return formula.anonymous({str(i): n for i, n in enumerate([*known, *self.others])})


_TOKEN = re.compile(r"([A-Z][a-z]?|\*|\(|\))(\d+(?:\.\d+)?|\?)?")
_WRITTEN = "a formula is written as SiO2, Ca(OH)2, *TiO3 (any element) or Fe?O4 (any amount)"


def read_formula(text: str) -> Formula:
    """Return a formula in any order of elements, with ``*`` and ``?`` as wildcards.

    ``*`` is one element that is not named otherwise, ``?`` any amount; not both at once.
    """
    groups: list[dict[str, float | None]] = [{}]
    stars = 0
    place, written = 0, re.sub(r"\s", "", text)
    while place < len(written):
        token = _TOKEN.match(written, place)
        if token is None:
            raise ValueError(f"{text!r} at {written[place:]!r}: {_WRITTEN}")
        place = token.end()
        symbol, amount = token[1], token[2]
        if symbol == "(":
            groups.append({})
        elif symbol == ")":
            if len(groups) == 1 or amount == "?":
                raise ValueError(f"{text!r}: {_WRITTEN}")
            for name, n in groups.pop().items():
                _add(groups[-1], name, None if n is None else n * float(amount or 1))
        else:
            stars += symbol == "*"
            name = f"*{stars}" if symbol == "*" else element(symbol)
            _add(groups[-1], name, None if amount == "?" else float(amount or 1))
    if len(groups) > 1 or not groups[0] or 0 in groups[0].values():
        raise ValueError(f"{text!r}: {_WRITTEN}")
    return _pattern(text, groups[0])


def _add(group: dict[str, float | None], name: str, amount: float | None) -> None:
    before = group.get(name, 0.0)
    group[name] = None if amount is None or before is None else before + amount


def _pattern(text: str, found: dict[str, float | None]) -> Formula:
    known = {name: n for name, n in found.items() if n is not None}
    if len(known) == len(found):
        units = formula.proportions(known)
        return Formula(
            {name: n for name, n in units.items() if name[0] != "*"},
            tuple(n for name, n in units.items() if name[0] == "*"),
        )
    if any(name[0] == "*" for name in found):
        raise ValueError(f"{text!r}: * and ? cannot both stand in a formula; write amounts")
    if any(n != round(n) for n in known.values()):
        raise ValueError(f"{text!r}: beside ? amounts are whole numbers")
    return Formula({name: None if n is None else round(n) for name, n in found.items()})


def anonymous_formula(text: str) -> str:
    """Return OPTIMADE's anonymous formula from one in any order (``AB2`` → ``A2B``).

    A last ``*`` stays: it stands for whatever follows.
    """
    stem = text.strip().removesuffix("*")
    parts = re.findall(r"([A-Z][a-z]?)(\d*)", stem)
    letters = [letter for letter, _ in parts]
    amounts = [int(n or 1) for _, n in parts]
    if "".join(map("".join, parts)) != stem or not parts or 0 in amounts:
        raise ValueError(f"{text!r}: an anonymous formula is written as AB2 or, to begin with, AB*")
    if len(set(letters)) < len(letters):
        raise ValueError(f"{text!r}: each letter stands for another element and comes once")
    first = [formula.anonymous_symbol(i) for i in range(len(letters))]
    if set(letters) != set(first):
        raise ValueError(
            f"{text!r}: letters stand for elements, of which there are {len(letters)} here: write "
            f"{', '.join(first)}"
        )
    if not text.strip().endswith("*"):
        return formula.anonymous({str(i): n for i, n in enumerate(amounts)})
    descending = zip(ascii_uppercase, sorted(amounts, reverse=True), strict=False)
    return "".join(letter + (str(n) if n > 1 else "") for letter, n in descending) + "*"


_STOICHIOMETRY = r"(?:[A-Z][a-z]?\d*)+"
_LABEL = re.compile(rf"{_STOICHIOMETRY}_[amothc][A-Z]\d+_\d+(?:_(?:\d*[A-Za-z])+)+(?::\S+)?")
_LABEL_BEGINS = re.compile(
    rf"{_STOICHIOMETRY}(?:_(?:[amothc](?:[A-Z](?:\d+(?:_\w+)*_?)?)?)?)?(?::\S*)?"
)


def protostructure(text: str) -> str:
    """Return a label of `nanoos.structures.protostructure`, with or without its elements.

    Its beginning ends in ``*``.
    """
    stem = text.removesuffix("*")
    if not (_LABEL if stem == text else _LABEL_BEGINS).fullmatch(stem):
        raise ValueError(
            f"{text!r}: a protostructure is written as A2B_tP6_136_f_a:O-Ti, "
            "A2B_tP6_136_f_a or, to begin with, A2B_tP6*"
        )
    return text
