"""From structures to files: CIF, POSCAR and extended XYZ.

Numbers have as many digits as it takes to read back the same float (at most 17). What is
written reads back as the same structure (the same fingerprint). ``extra`` is that of
`nanoos.parsers.Parsed`; what the format has a place for is written with the structure.
"""

from __future__ import annotations

import json
from collections.abc import Iterable, Mapping, Sequence
from typing import Any

import numpy as np
from gemmi.cif import quote

from nanoos.errors import StructureError
from nanoos.structures import Structure, formula
from nanoos.structures.structure import Array

FORMATS = ("cif", "poscar", "extxyz")

_CITATION_TAGS = {
    "journal": "_journal_name_full",
    "volume": "_journal_volume",
    "page_first": "_journal_page_first",
    "page_last": "_journal_page_last",
    "year": "_journal_year",
    "doi": "_journal_paper_doi",
    "title": "_publ_section_title",
}
_CODE_TAGS = {
    "AMCSD": "_database_code_amcsd",
    "COD": "_cod_database_code",
    "ICSD": "_database_code_ICSD",
    "CSD": "_database_code_CSD",
}

Extra = Mapping[str, Any]


def write(structures: Sequence[Structure], format: str, extras: Sequence[Extra] = ()) -> str:
    """Return the text of one file with the structures.

    ``extras`` has one ``extra`` for each structure, or is empty. Raises StructureError when
    the format has no place for what a structure is: occupancies in POSCAR and extended XYZ,
    directions that do not repeat in CIF and POSCAR, several structures in a POSCAR.
    """
    if format not in FORMATS:
        raise StructureError(f"There is no format {format!r}. Known: {', '.join(FORMATS)}.")
    pairs = list(zip(structures, extras or [{}] * len(structures), strict=True))
    if format == "extxyz":
        return "".join(_extxyz(structure, extra) for structure, extra in pairs)
    if any(structure.n_periodic < 3 for structure in structures):
        raise StructureError(
            f"A {format.upper()} file holds crystals only; write molecules and slabs as extxyz."
        )
    if format == "cif":
        return "\n".join(_cif(s, extra, n) for n, (s, extra) in enumerate(pairs, start=1))
    if len(pairs) != 1:
        raise StructureError("A POSCAR file holds exactly one structure.")
    return _poscar(*pairs[0])


def _poscar(structure: Structure, extra: Extra) -> str:
    lattice, symbols = _lattice(structure), structure.symbols
    order = sorted(range(len(symbols)), key=symbols.__getitem__)
    elements = list(structure.elements)
    lines = [_comment(structure, extra), "1.0"]
    lines += [_numbers(vector) for vector in lattice]
    lines += [" ".join(elements), " ".join(str(symbols.count(e)) for e in elements), "Direct"]
    lines += [_numbers(structure.fractional[i]) for i in order]
    return "\n".join(lines) + "\n"


def _comment(structure: Structure, extra: Extra) -> str:
    """Return one line: the file's own comment, else name; database code; citation."""
    citation = extra.get("citation", {})
    reference = [", ".join(citation.get("authors", []))]
    reference += [str(citation.get(key, "")) for key in ("journal", "volume")]
    reference.append(f"({citation['year']})" if "year" in citation else "")
    reference.append(str(citation.get("page_first", "")))
    parts = [
        extra.get("mineral") or formula.reduced(structure.composition),
        f"{extra.get('database', '')} {extra.get('database_code', '')}",
        " ".join(part for part in reference if part),
    ]
    comment = extra.get("comment") or "; ".join(part for part in parts if part.strip())
    return " ".join(str(comment).split())


def _extxyz(structure: Structure, extra: Extra) -> str:
    pairs = []
    if structure.lattice_a is not None:
        pairs.append(f'Lattice="{_numbers(structure.lattice_a.ravel())}"')
    pairs.append("Properties=species:S:1:pos:R:3")
    pairs.append(f'pbc="{" ".join("FT"[p] for p in structure.periodic)}"')
    pairs += [f"{key}={_xyz_value(value)}" for key, value in extra.items()]
    lines = [str(structure.n_sites), " ".join(pairs)]
    lines += [
        f"{symbol} {_numbers(position)}"
        for symbol, position in zip(structure.symbols, structure.positions_a, strict=True)
    ]
    return "\n".join(lines) + "\n"


def _xyz_value(value: Any) -> str:
    """Return a value so that ASE reads it back with its type: as JSON."""
    escaped = json.dumps(value).replace("\\", "\\\\").replace('"', '\\"')
    return f'"_JSON {escaped}"'


def _cif(structure: Structure, extra: Extra, number: int) -> str:
    lattice = _lattice(structure)
    lengths = np.linalg.norm(lattice, axis=1)
    unit = lattice / lengths[:, None]
    cosines = [unit[1] @ unit[2], unit[0] @ unit[2], unit[0] @ unit[1]]
    angles = np.degrees(np.arccos(np.clip(cosines, -1, 1)))
    lines = [f"data_{number}", *_cif_extra(extra)]
    lines += [f"_cell_length_{k} {_numbers([x])}" for k, x in zip("abc", lengths, strict=True)]
    names = ("alpha", "beta", "gamma")
    lines += [f"_cell_angle_{k} {_numbers([x])}" for k, x in zip(names, angles, strict=True)]
    lines += ["_symmetry_space_group_name_H-M 'P 1'", "loop_", "_symmetry_equiv_pos_as_xyz"]
    lines += ["'x,y,z'", "loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{k}" for k in "xyz"] + ["_atom_site_occupancy"]
    sites = zip(structure.site_species, structure.fractional, strict=True)
    for i, (species, where) in enumerate(sites, start=1):
        for symbol, share in species.occupancy.items():
            lines.append(f"{symbol}{i} {symbol} {_numbers([*where, share])}")
    return "\n".join(lines) + "\n"


def _cif_extra(extra: Extra) -> list[str]:
    """Return mineral, citation and database code as CIF items."""
    citation = extra.get("citation", {})
    items = {"_chemical_name_mineral": extra.get("mineral")}
    items |= {tag: citation.get(key) for key, tag in _CITATION_TAGS.items()}
    if extra.get("database") in _CODE_TAGS:
        items[_CODE_TAGS[extra["database"]]] = extra.get("database_code")
    lines = [f"{tag} {_cif_value(value)}" for tag, value in items.items() if value is not None]
    authors = citation.get("authors", [])
    if authors:
        lines += ["loop_", "_publ_author_name", *map(_cif_value, authors)]
    return lines


def _cif_value(value: Any) -> str:
    """Return the value in one line, quoted as CIF needs it; a text field begins its line."""
    quoted = str(quote(" ".join(str(value).split())))
    return f"\n{quoted}" if quoted.startswith(";") else quoted


def _lattice(structure: Structure) -> Array:
    if structure.lattice_a is None:
        raise StructureError("A molecule without a cell has no lattice.")
    return structure.lattice_a


def _numbers(values: Iterable[float]) -> str:
    return " ".join(repr(float(value) + 0.0) for value in values)  # + 0.0: no negative zero
