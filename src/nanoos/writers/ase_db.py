"""ASE's databases in SQLite, a row a structure. Format: ``ase.db``."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from nanoos.writers.calculated import calculated, said
from nanoos.writers.jsonl import plain
from nanoos.writers.record import Record, document
from nanoos.writers.writer import Add

PAIRS = {
    "nano_os_id": "id",
    "name": "name",
    "reduced_formula": "reduced_formula",
    "chemical_system": "chemical_system",
    "space_group_number": "space_group_number_at_0_1",
    "space_group_symbol": "space_group_symbol_at_0_1",
    "protostructure": "protostructure",
    "density_g_per_cm3": "density_g_per_cm3",
    "volume_a3": "volume_a3",
    "source": "source",
    "external_id": "external_id",
    "licence": "licence",
    "fingerprint": "fingerprint",
    "result_id": "result_id",
    "is_converged": "is_converged",
}
"""Key of a row → field: what ASE can select by. All other fields are in the row's data."""

_IN_ATOMS = {"lattice_a", "positions_a", "species", "species_at_sites", "dimension_types"}


class AseDatabaseWriter:
    """The writer of ASE's databases: ordered structures with any directions that repeat."""

    name = "ase-db"
    suffixes = (".db",)
    stems: tuple[str, ...] = ()
    one_per_file = False

    @contextmanager
    def open(self, path: Path) -> Iterator[Add]:
        """Begin a new database, all in one transaction."""
        from ase.calculators.singlepoint import SinglePointCalculator
        from ase.db.sqlite import SQLite3Database

        calculator: Any = SinglePointCalculator
        path.unlink(missing_ok=True)
        with SQLite3Database(str(path), create_indices=True, use_lock_file=False) as database:

            def add(record: Record) -> None:
                atoms = record.structure.to_ase()
                if numbers := calculated(record):
                    atoms.calc = calculator(atoms, **numbers)
                values = document(record)
                data = {k: v for k, v in values.items() if k not in _IN_ATOMS and v is not None}
                pairs = _pairs(values | said(record))
                database.write(atoms, pairs, data=json.loads(json.dumps(data, default=plain)))

            yield add


def _pairs(values: Mapping[str, Any]) -> dict[str, Any]:
    """Return the pairs that ASE takes: text that looks like a number is none of them."""
    pairs = {key: values.get(field) for key, field in PAIRS.items()}
    return {key: value for key, value in pairs.items() if _is_taken(value)}


def _is_taken(value: Any) -> bool:
    if not isinstance(value, str):
        return value is not None
    try:
        float(value)
    except ValueError:
        return value not in {"", "True", "False"}
    return False
