"""Symmetry of a CIF block: its operators, and the orbits of sites under them."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from functools import lru_cache

import gemmi
import numpy as np
from gemmi.cif import as_string
from numpy.typing import NDArray

from nanoos.errors import ParseError
from nanoos.parsers.cif_items import Items
from nanoos.structures.structure import OCCUPANCY_TOLERANCE, Array

SPECIAL_POSITION_A = 0.1  # a site this close to its own image lies on a special position
SURELY_SPECIAL_A = 0.001  # so does one this close, where the wider limit gives no position
MOST_OCCUPANCY = 1 + OCCUPANCY_TOLERANCE  # of one position, by alternatives taken together
_DECIMALS = 8  # of fractional coordinates; more are taken for noise

_OPERATORS = ("_space_group_symop_operation_xyz", "_symmetry_equiv_pos_as_xyz")
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_HERMANN_MAUGUIN = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M")
_NUMBER = ("_space_group_IT_number", "_symmetry_Int_Tables_number")
# ICSD marks the setting at the end of the symbol: origin 1 (S) or 2 (Z), hexagonal axes (H).
_ICSD_SUFFIXES = {"S": ":1", "Z": ":2", "H": ""}
_MOST_OPERATORS = 192  # of any space group, in International Tables, vol. A
_IMAGES = 50_000  # made at a time


@dataclass(frozen=True, slots=True)
class Operators:
    """A space group's operators on fractional coordinates: x → rotations @ x + translations."""

    rotations: Array
    translations: Array

    def __len__(self) -> int:
        return len(self.rotations)


def symmetry_operators(block: Items, angles: Sequence[float]) -> Operators:
    """Return the operators that the block lists, or those of the space group it names.

    The listed ones win. A name or number that leaves the origin open is refused; ``angles`` of
    the cell in degrees tell rhombohedral from hexagonal axes.
    """
    for tag in _OPERATORS:
        texts = [as_string(text) for text in block.column(tag)]
        if any(text.strip("?. ") for text in texts):
            try:
                return _listed(tuple(texts))
            except ParseError as error:
                raise ParseError(str(error), line=block.line(tag)) from error
    hall, name, number = block.text(*_HALL), block.text(*_HERMANN_MAUGUIN), block.text(*_NUMBER)
    if hall is not None:
        return _of_hall_symbol(hall)
    if name is not None:
        return _of_name(name, angles)
    if number is not None:
        return _of_number(number, angles)
    raise ParseError(
        "The CIF states no symmetry: neither operators nor a space-group name or number."
    )


def orbits(
    sites: Array, occupancies: Array, operators: Operators, lattice: Array
) -> Iterator[Array | None]:
    """Yield the fractional coordinates, in [0, 1), of each site and all its images; shape (n, 3).

    Images within 0.1 Å of the site are the site itself: it lies on a special position, is
    moved there (to the mean of those images, so that 0.3333 becomes 1/3) and counted once.
    A split position is none of these: its images are alternatives, as the total occupancy of the
    site times their number is 1 at most, and lie farther off than the digits given can tell.
    None for a site too far off a special position for the images to coincide.
    """
    at_once = max(1, _IMAGES // len(operators))
    for first in range(0, len(sites), at_once):
        block = sites[first : first + at_once]
        images, chosen = _images(block, operators, lattice, SPECIAL_POSITION_A)
        for site, occupancy, its_images, its_chosen in zip(
            block, occupancies[first : first + at_once], images, chosen, strict=True
        ):
            orbit = its_images[its_chosen]
            if len(orbit) == 0 or _may_be_split(site, occupancy, orbit, len(operators)):
                (all_images,), (mask,) = _images(site[None], operators, lattice, SURELY_SPECIAL_A)
                apart = all_images[mask]
                if len(orbit) == 0 or occupancy * len(apart) <= MOST_OCCUPANCY * len(orbit):
                    orbit = apart
            yield orbit if len(orbit) else None


def _may_be_split(site: Array, occupancy: float, orbit: Array, n_operators: int) -> bool:
    """Tell whether a site may be one of several alternatives, and not at the orbit's position."""
    is_special = len(orbit) < n_operators
    return (
        is_special and 2 * occupancy <= MOST_OCCUPANCY and _offset(site, orbit) > _last_digit(site)
    )


def _offset(site: Array, orbit: Array) -> float:
    """Return by how much the coordinates of a site differ from the nearest position at most."""
    offsets = orbit - site
    offsets -= np.round(offsets)
    return float(np.abs(offsets).max(axis=1).min())


def _last_digit(site: Array) -> float:
    """Return a little less than one unit of the last digit that a coordinate of a site has."""
    digits = (n for n in range(_DECIMALS) if np.abs(site - site.round(n)).max() < 1e-9)
    return 0.999 * 10.0 ** -next(digits, _DECIMALS)


def _images(
    sites: Array, operators: Operators, lattice: Array, limit_a: float
) -> tuple[Array, NDArray[np.bool_]]:
    """Return all images, shape (sites, operators, 3), and which of them make up the orbit.

    For a site whose images neither coincide nor keep apart, none do.
    """
    n_operators = len(operators)
    turned = (sites @ operators.rotations.reshape(-1, 3).T).reshape(len(sites), n_operators, 3)
    offsets = turned + operators.translations - sites[:, None]
    offsets -= np.round(offsets)
    apart = offsets.reshape(-1, 3) @ lattice
    fixing = (np.einsum("ik,ik->i", apart, apart) < limit_a**2).reshape(turned.shape[:2])
    n_fixing = fixing.sum(axis=1)
    exact = sites + (offsets * fixing[:, :, None]).sum(axis=1) / n_fixing[:, None]
    images = (exact @ operators.rotations.reshape(-1, 3).T).reshape(len(sites), n_operators, 3)
    images += operators.translations
    # Rounded off the edges that special positions sit on (0, 1/8, 1/3 …), only to compare.
    rounded = np.floor(images * 1e5 + 0.53).astype(np.int64) % 100_000
    keys = (rounded[..., 0] * 100_000 + rounded[..., 1]) * 100_000 + rounded[..., 2]
    order = np.argsort(keys, axis=1, kind="stable")
    places = np.arange(len(sites))[:, None], order
    in_order = keys[places]
    is_first = np.ones_like(fixing)
    is_first[:, 1:] = in_order[:, 1:] != in_order[:, :-1]
    is_first &= (is_first.sum(axis=1) * n_fixing == n_operators)[:, None]
    chosen = np.zeros_like(fixing)
    chosen[places] = is_first
    images -= np.floor(images + 1e-9)
    return images, chosen


@lru_cache(maxsize=512)
def _listed(texts: tuple[str, ...]) -> Operators:
    """Return the operators, checked to form a group: a list cut short does not."""
    operators: dict[str, gemmi.Op] = {}
    for text in _triplets(texts):
        try:
            operator = gemmi.Op(text).wrap()
        except (RuntimeError, ValueError) as error:
            raise ParseError(f"{text!r} is not a symmetry operator of a space group.") from error
        operators[operator.triplet()] = operator
        if len(operators) > _MOST_OPERATORS:
            raise ParseError(f"No space group has more than {_MOST_OPERATORS} symmetry operators.")
    others = [op for triplet, op in operators.items() if triplet != "x,y,z"]
    whole = gemmi.GroupOps([gemmi.Op(), *others])
    try:
        whole.add_missing_elements()
    except RuntimeError as error:
        raise ParseError("The symmetry operators generate no space group.") from error
    if len(whole) != len(operators):
        raise ParseError(
            f"The list of {len(operators)} symmetry operators is incomplete: they generate "
            f"a group of {len(whole)}."
        )
    return _operators(list(operators.values()))


def _triplets(texts: tuple[str, ...]) -> Iterator[str]:
    """Yield the operators; where they stand unquoted with blanks, they come in pieces."""
    pieces = ""
    for text in texts:
        pieces += text
        if pieces.count(",") >= 2 and not pieces.rstrip().endswith((",", "+", "-")):
            yield pieces
            pieces = ""
    if pieces:
        yield pieces


def _of_hall_symbol(symbol: str) -> Operators:
    try:
        return _operators(list(gemmi.symops_from_hall(symbol)))
    except (RuntimeError, ValueError) as error:
        raise ParseError(f"{symbol!r} is not a Hall symbol.") from error


def _of_name(name: str, angles: Sequence[float]) -> Operators:
    plain = re.sub(r"_|\((\d)\)", r"\1", name)  # P2_1/c and P2(1)/c are P21/c
    group = gemmi.find_spacegroup_by_name(plain, angles[0], angles[2])
    suffix = _ICSD_SUFFIXES.get(plain[-1:])
    if group is None and suffix is not None:
        plain = plain[:-1].strip() + suffix
        group = gemmi.find_spacegroup_by_name(plain, angles[0], angles[2])
    return _certain(group, name, is_chosen=":" in plain)


def _of_number(number: str, angles: Sequence[float]) -> Operators:
    valid = re.fullmatch("[0-9]{1,3}", number) is not None and 1 <= int(number) <= 230
    group = gemmi.find_spacegroup_by_number(int(number)) if valid else None
    if group is not None and group.ext == "H":
        group = gemmi.find_spacegroup_by_name(group.hm, angles[0], angles[2])
    return _certain(group, f"number {number}", is_chosen=False)


def _certain(group: gemmi.SpaceGroup | None, stated: str, *, is_chosen: bool) -> Operators:
    if group is None:
        raise ParseError(f"Space group {stated!r} is unknown and the CIF lists no operators.")
    if group.ext in ("1", "2") and not is_chosen:
        raise ParseError(
            f"Space group {stated!r} has two origin choices and the CIF does not say which: "
            "add the symmetry operators, or :1 or :2 to the symbol."
        )
    return _operators(list(group.operations()))


def _operators(operators: list[gemmi.Op]) -> Operators:
    return Operators(
        rotations=np.array([op.rot for op in operators], dtype=np.float64) / gemmi.Op.DEN,
        translations=np.array([op.tran for op in operators], dtype=np.float64) / gemmi.Op.DEN,
    )
