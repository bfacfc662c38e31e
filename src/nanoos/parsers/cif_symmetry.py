"""Symmetry of a CIF block: its operators, and the orbit of a site under them."""

from __future__ import annotations

from dataclasses import dataclass

import gemmi
import numpy as np
from gemmi.cif import Block, as_number, as_string, is_null

from nanoos.errors import ParseError
from nanoos.structures.structure import Array

SPECIAL_POSITION_A = 0.1  # a site this close to its own image lies on a special position

_OPERATORS = (
    "_space_group_symop_operation_xyz",
    "_symmetry_equiv_pos_as_xyz",
    "_space_group_symop.operation_xyz",
)
_HALL = ("_space_group_name_Hall", "_symmetry_space_group_name_Hall")
_HERMANN_MAUGUIN = ("_space_group_name_H-M_alt", "_symmetry_space_group_name_H-M")
_NUMBER = ("_space_group_IT_number", "_symmetry_Int_Tables_number")


@dataclass(frozen=True, slots=True)
class Operators:
    """A space group's operators on fractional coordinates: x → rotations @ x + translations."""

    rotations: Array
    translations: Array


def symmetry_operators(block: Block) -> Operators:
    """Return the operators that the block lists, or those of the space group it names.

    The listed ones win. A name or number that leaves the origin open is refused.
    """
    operators = _listed(block) or _of_hall_symbol(block) or _of_named_group(block)
    if operators is None:
        raise ParseError(
            "The CIF states no symmetry: neither operators nor a space-group name or number."
        )
    return Operators(
        rotations=np.array([op.rot for op in operators], dtype=np.float64) / gemmi.Op.DEN,
        translations=np.array([op.tran for op in operators], dtype=np.float64) / gemmi.Op.DEN,
    )


def orbit(site: Array, operators: Operators, lattice: Array, label: str) -> Array:
    """Return the fractional coordinates, in [0, 1), of a site and all its images; shape (n, 3).

    Images within 0.1 Å of the site are the site itself: it lies on a special position, is
    moved there (to the mean of those images, so that 0.3333 becomes 1/3) and counted once.
    Raises ParseError when the site is too far off that position for the images to coincide.
    """
    offsets = operators.rotations @ site + operators.translations - site
    offsets -= np.round(offsets)
    fixing = np.linalg.norm(offsets @ lattice, axis=1) < SPECIAL_POSITION_A
    exact = site + offsets[fixing].mean(axis=0)
    images = operators.rotations @ exact + operators.translations
    # Rounded off the edges that special positions sit on (0, 1/8, 1/3 …), only to compare.
    rounded = np.floor(images * 1e5 + 0.53).astype(np.int64) % 100_000
    _, first = np.unique(rounded, axis=0, return_index=True)
    if len(first) * int(fixing.sum()) != len(images):
        raise ParseError(
            f"The structure is disordered: atom site {label} is split about a special position, "
            "its symmetry images neither coincide nor keep apart."
        )
    images = images[np.sort(first)]
    inside: Array = images - np.floor(images + 1e-9)
    return inside


def _listed(block: Block) -> list[gemmi.Op] | None:
    for tag in _OPERATORS:
        texts = [as_string(text) for text in block.find_values(tag)]
        if texts:
            item = block.find_loop_item(tag) or block.find_pair_item(tag)
            return _group(texts, item.line_number if item else None)
    return None


def _group(texts: list[str], line: int | None) -> list[gemmi.Op]:
    """Return the operators, checked to form a group: a list cut short does not."""
    operators: dict[str, gemmi.Op] = {}
    for text in texts:
        try:
            operator = gemmi.Op(text).wrap()
        except (RuntimeError, ValueError) as error:
            raise ParseError(
                f"{text!r} is not a symmetry operator of a space group.", line=line
            ) from error
        operators[operator.triplet()] = operator
    others = [op for triplet, op in operators.items() if triplet != "x,y,z"]
    whole = gemmi.GroupOps([gemmi.Op(), *others])
    try:
        whole.add_missing_elements()
    except RuntimeError as error:
        raise ParseError("The symmetry operators generate no space group.", line=line) from error
    if len(whole) != len(operators):
        raise ParseError(
            f"The list of {len(operators)} symmetry operators is incomplete: they generate "
            f"a group of {len(whole)}.",
            line=line,
        )
    return list(operators.values())


def _of_hall_symbol(block: Block) -> list[gemmi.Op] | None:
    symbol = _first(block, _HALL)
    if symbol is None:
        return None
    try:
        return list(gemmi.symops_from_hall(symbol))
    except (RuntimeError, ValueError) as error:
        raise ParseError(f"{symbol!r} is not a Hall symbol.") from error


def _of_named_group(block: Block) -> list[gemmi.Op] | None:
    name, number = _first(block, _HERMANN_MAUGUIN), _first(block, _NUMBER)
    if name is not None:
        angles = [as_number(block.find_value(f"_cell_angle_{k}") or "") for k in ("alpha", "gamma")]
        group: gemmi.SpaceGroup | None = gemmi.find_spacegroup_by_name(
            name, *np.nan_to_num(angles, nan=90.0)
        )
        stated = name
    elif number is not None:
        valid = number.isdecimal() and 1 <= int(number) <= 230
        group = gemmi.find_spacegroup_by_number(int(number)) if valid else None
        stated = f"number {number}"
    else:
        return None
    if group is None:
        raise ParseError(f"Space group {stated!r} is unknown and the CIF lists no operators.")
    if group.ext in ("1", "2") and ":" not in stated:
        raise ParseError(
            f"Space group {stated!r} has two origin choices and the CIF does not say which: "
            "add the symmetry operators, or :1 or :2 to the symbol."
        )
    return list(group.operations())


def _first(block: Block, tags: tuple[str, ...]) -> str | None:
    for tag in tags:
        value = block.find_value(tag)
        if value is not None and not is_null(value) and as_string(value).strip():
            return as_string(value).strip()
    return None
