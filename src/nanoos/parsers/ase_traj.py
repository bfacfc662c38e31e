"""ASE's trajectories (``.traj``), frame by frame; numbers and directions that repeat may be
stated in the first frame alone.

Format: ``ase.io.trajectory``. Trajectories older than ASE 3.8 are Python pickles, which run
whatever they hold, and are refused.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.ase_atoms import parsed_row, undumped
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.source import Source
from nanoos.parsers.ulm import MAGICS, Ulm
from nanoos.structures.structure import OCCUPANCY_TOLERANCE

_TAG = "ASE-Trajectory"
_PICKLED = b"PickleTrajectory"


class AseTrajectory:
    """The parser of ASE's trajectories."""

    name = "ase_traj"

    def recognises(self, head: bytes, filename: str) -> bool:
        """The first bytes of an ULM file or of an old trajectory, or a name ending in .traj."""
        return head.startswith((*MAGICS, _PICKLED)) or filename.lower().endswith(".traj")

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every frame; ``extra`` holds its ``info`` and what a calculator found."""
        for number, row in rows(source):
            try:
                if isinstance(row, ParseError):
                    raise row
                _check_ordered(row)
                yield parsed_row(row)
            except (ParseError, StructureError) as error:
                yield Rejected(ParseError(f"Frame {number}: {error}"))


def is_trajectory(head: bytes) -> bool:
    """Tell a trajectory by its beginning, of which eight bytes and the tag after them are its."""
    return head.startswith(MAGICS) and head[8:24].strip() == _TAG.encode()


def rows(source: Source) -> Iterator[tuple[Any, Mapping[str, Any] | ParseError]]:
    """Yield each frame's number from 1, and the frame as a row of ASE's databases.

    Rows are as `nanoos.parsers.ase_atoms.parsed_row` takes them; ``description`` and
    ``ase_version`` are those of the whole trajectory, as its first frame states them. A frame
    that is damaged by itself is its error. Raises ParseError where the rest cannot be read.
    """
    if source.head(len(_PICKLED)) == _PICKLED:
        raise ParseError(
            "The trajectory was written by an ASE older than 3.8, as a Python pickle that "
            "could run anything. Where you trust it, convert it with: "
            "python -m ase.io.trajectory FILE"
        )
    with source.local_path() as path, path.open("rb") as stream:
        ulm = Ulm(stream)
        if ulm.tag != _TAG:
            raise ParseError(f"The ULM file holds {ulm.tag or 'no tag'}, not {_TAG}.")
        if not len(ulm):
            raise ParseError("The trajectory has no frame.")
        first = ulm.item(0)
        for number in range(len(ulm)):
            try:
                yield number + 1, _row(ulm.item(number), first)
            except ParseError as error:
                yield number + 1, error


def _check_ordered(row: Mapping[str, Any]) -> None:
    if _is_disordered(row["key_value_pairs"]):
        raise StructureError(
            "The structure is disordered: its info states occupancies. A trajectory does not say "
            "of which sites; import the file that it was made from."
        )


def _row(frame: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Return a frame as a row of ASE's databases."""
    calculator = frame.get("calculator")
    results = dict(calculator) if isinstance(calculator, Mapping) else {}
    return {
        **results,
        "calculator": results.get("name"),
        "calculator_parameters": undumped(results.get("parameters") or {}),
        "numbers": frame.get("numbers", first.get("numbers")),
        "pbc": frame.get("pbc", first.get("pbc")),
        "positions": frame.get("positions"),
        "cell": frame.get("cell"),
        "initial_magmoms": frame.get("magmoms"),
        "initial_charges": frame.get("charges"),
        "tags": frame.get("tags"),
        "is_constrained": _constraints(frame, first) not in (None, "[]"),
        "key_value_pairs": undumped(frame.get("info") or {}),
        "description": undumped(first.get("description") or {}),
        "ase_version": first.get("ase_version"),
    }


def _constraints(frame: Mapping[str, Any], first: Mapping[str, Any]) -> Any:
    return frame.get("constraints", first.get("constraints"))


def _is_disordered(info: Any) -> bool:
    """Tell whether `ase.io.cif` found a site that is not full, or shared, in the file it read."""
    occupancy = info.get("occupancy") if isinstance(info, dict) else None
    kinds = occupancy.values() if isinstance(occupancy, dict) else []
    return any(
        len(kind) > 1 or min(kind.values()) < 1 - OCCUPANCY_TOLERANCE
        for kind in kinds
        if isinstance(kind, dict)
    )
