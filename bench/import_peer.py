"""What a careful user does today: pymatgen, spacegroups at both tolerances, ORM in batches of 500.

Runs in an environment of its own; prints one JSON document for ``bench/import.py``.

Run: python bench/import_peer.py URL FILE …
"""

from __future__ import annotations

import json
import sys
import time
import warnings

from pymatgen.core import Structure
from pymatgen.io.cif import CifParser
from pymatgen.symmetry.analyzer import SpacegroupAnalyzer
from sqlalchemy import JSON, create_engine
from sqlalchemy.orm import DeclarativeBase, Mapped, Session, mapped_column

BATCH = 500
TOLERANCES_A = (0.01, 0.1)


class Base(DeclarativeBase):
    """The root of the one model."""


class Row(Base):
    """A plain table with one index."""

    __tablename__ = "careful"

    id: Mapped[int] = mapped_column(primary_key=True)
    formula: Mapped[str] = mapped_column(index=True)
    space_group_strict: Mapped[int]
    space_group_loose: Mapped[int]
    structure: Mapped[dict[str, object]] = mapped_column(JSON)


def row(structure: Structure) -> Row:
    """Analyse one structure."""
    strict, loose = (
        SpacegroupAnalyzer(structure, symprec=tolerance).get_space_group_number()
        for tolerance in TOLERANCES_A
    )
    return Row(
        formula=structure.composition.reduced_formula,
        space_group_strict=strict,
        space_group_loose=loose,
        structure=structure.as_dict(),
    )


def main(url: str, files: list[str]) -> None:
    """Store the structures of the files, and print how many and how long it took."""
    warnings.simplefilter("ignore")
    engine = create_engine(url)
    Base.metadata.drop_all(engine)
    Base.metadata.create_all(engine)
    began = time.perf_counter()
    stored = failed = 0
    rows: list[Row] = []
    with Session(engine) as session:
        for file in files:
            try:
                rows += [row(one) for one in CifParser(file).parse_structures(primitive=False)]
            except Exception:  # noqa: BLE001 - of the peer, whatever it is
                failed += 1
            if len(rows) >= BATCH or file == files[-1]:
                session.add_all(rows)
                session.commit()
                stored += len(rows)
                rows = []
    print(json.dumps({"stored": stored, "failed": failed, "s": time.perf_counter() - began}))
    Base.metadata.drop_all(engine)


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2:])
