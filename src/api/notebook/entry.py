"""One structure in a notebook."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cached_property
from typing import TYPE_CHECKING, Any
from uuid import UUID

from nanoos.structures import Structure
from nanoos.writers import Record, document

if TYPE_CHECKING:
    from ase import Atoms

_SHOWN = ("id", "reduced_formula", "space_group_symbol_at_0_1", "number_of_sites", "name")
_IN_INFO = (
    "id",
    "name",
    "reduced_formula",
    "space_group_number_at_0_1",
    "space_group_symbol_at_0_1",
    "source",
    "external_id",
    "licence",
)


class Entry(Mapping[str, Any]):
    """A structure with all that is known of it, by the names of `nanoos.writers.FIELDS`.

    >>> entry = db.search(elements=["O", "Si"]).first()
    >>> entry["reduced_formula"], entry["number_of_sites"]
    ('O2Si', 9)
    """

    def __init__(self, record: Record) -> None:
        self.record = record

    @property
    def id(self) -> UUID:
        """Its identifier."""
        return UUID(self.record.known["id"])

    @property
    def structure(self) -> Structure:
        """The structure, with occupancies where sites are mixed."""
        return self.record.structure

    @property
    def atoms(self) -> Atoms:
        """ASE's Atoms; ``info`` names the structure. Raises StructureError when disordered."""
        atoms = self.structure.to_ase()
        atoms.info |= {name: self[name] for name in _IN_INFO if self[name] is not None}
        return atoms

    @cached_property
    def _values(self) -> dict[str, Any]:
        return document(self.record)

    def __getitem__(self, name: str) -> Any:
        return self._values[name]

    def __iter__(self) -> Iterator[str]:
        return iter(self._values)

    def __len__(self) -> int:
        return len(self._values)

    def __repr__(self) -> str:
        said = (f"{self[name]}" for name in _SHOWN if self[name] is not None)
        return f"<{', '.join(said)}>"
