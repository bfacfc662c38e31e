"""CIF, with all sites of the cell (P 1). International Tables for Crystallography, vol. G."""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from typing import Any

from gemmi.cif import quote

from nanoos.structures import Structure
from nanoos.structures.fingerprint import steady_cell, steady_fractional
from nanoos.writers.numbers import digits, lattice_of_crystal
from nanoos.writers.record import Record
from nanoos.writers.writer import TextWriter

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
_LICENCE_TAG = "_nano_os_license"  # the core dictionary has none


class CifWriter(TextWriter):
    """The writer of Crystallographic Information Files: one data block a structure."""

    name = "cif"
    suffixes = (".cif",)

    def encoder(self) -> Callable[[Record], str]:
        """Return what makes one data block after another, numbered from 1."""
        numbers = count(1)

        def encode(record: Record) -> str:
            lattice_of_crystal(record.structure, self.name)
            number = next(numbers)
            return ("\n" if number > 1 else "") + _block(record, number)

        return encode


def _block(record: Record, number: int) -> str:
    sites = zip(record.structure.site_species, steady_fractional(record.structure), strict=True)
    lines = [f"data_{number}", *_said(record), *_cell(record.structure)]
    lines += ["_symmetry_space_group_name_H-M 'P 1'", "loop_", "_symmetry_equiv_pos_as_xyz"]
    lines += ["'x,y,z'", "loop_", "_atom_site_label", "_atom_site_type_symbol"]
    lines += [f"_atom_site_fract_{k}" for k in "xyz"] + ["_atom_site_occupancy"]
    for i, (species, where) in enumerate(sites, start=1):
        for symbol, share in species.occupancy.items():
            lines.append(f"{symbol}{i} {symbol} {digits([*where, share])}")
    return "\n".join(lines) + "\n"


def _cell(structure: Structure) -> list[str]:
    lengths, angles = steady_cell(lattice_of_crystal(structure, "cif"))
    lines = [f"_cell_length_{k} {digits([x])}" for k, x in zip("abc", lengths, strict=True)]
    names = ("alpha", "beta", "gamma")
    return lines + [f"_cell_angle_{k} {digits([x])}" for k, x in zip(names, angles, strict=True)]


def _said(record: Record) -> list[str]:
    """Return names, citation and database code as CIF items."""
    extra, citation = record.extra, record.citation
    name = None if extra.get("mineral") else record.known.get("name")
    items = {"_chemical_name_mineral": extra.get("mineral"), "_chemical_name_common": name}
    items |= {tag: citation.get(key) for key, tag in _CITATION_TAGS.items()}
    if extra.get("database") in _CODE_TAGS:
        items[_CODE_TAGS[extra["database"]]] = extra.get("database_code")
    items[_LICENCE_TAG] = record.licence
    lines = [f"{tag} {_value(value)}" for tag, value in items.items() if value is not None]
    authors = citation.get("authors", [])
    if authors:
        lines += ["loop_", "_publ_author_name", *map(_value, authors)]
    return lines


def _value(value: Any) -> str:
    """Return the value in one line, quoted as CIF needs it; a text field begins its line."""
    quoted = str(quote(" ".join(str(value).split())))
    return f"\n{quoted}" if quoted.startswith(";") else quoted
