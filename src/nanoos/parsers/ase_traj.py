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
                    yield parsed_row(_row(ulm.item(number), first))
                except (ParseError, StructureError) as error:
                    yield Rejected(ParseError(f"Frame {number + 1}: {error}"))


def _row(frame: Mapping[str, Any], first: Mapping[str, Any]) -> dict[str, Any]:
    """Return a frame as a row of ASE's databases."""
    calculator = frame.get("calculator")
    results = dict(calculator) if isinstance(calculator, Mapping) else {}
    info = undumped(frame.get("info") or {})
    if _is_disordered(info):
        raise StructureError(
            "The structure is disordered: its info states occupancies. A trajectory does not say "
            "of which sites; import the file that it was made from."
        )
    return {
        **results,
        "calculator": results.get("name"),
        "numbers": frame.get("numbers", first.get("numbers")),
        "pbc": frame.get("pbc", first.get("pbc")),
        "positions": frame.get("positions"),
        "cell": frame.get("cell"),
        "initial_magmoms": frame.get("magmoms"),
        "initial_charges": frame.get("charges"),
        "tags": frame.get("tags"),
        "key_value_pairs": info,
    }


def _is_disordered(info: Any) -> bool:
    """Tell whether `ase.io.cif` found a site that is not full, or shared, in the file it read."""
    occupancy = info.get("occupancy") if isinstance(info, dict) else None
    kinds = occupancy.values() if isinstance(occupancy, dict) else []
    return any(
        len(kind) > 1 or min(kind.values()) < 1 - OCCUPANCY_TOLERANCE
        for kind in kinds
        if isinstance(kind, dict)
    )
