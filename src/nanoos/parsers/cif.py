"""CIF: core dictionary files with fractional coordinates, any number of data blocks.

International Tables for Crystallography, vol. G (2005); syntax by gemmi.

The asymmetric unit is expanded with the file's own symmetry operators, or those of the space
group that it names. Sites at one position become one site shared by several species; partial
occupancies are kept, with the rest of the site as vacancy. Split positions stay as many partly
occupied sites. ``extra`` says what disorder there is.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

import gemmi
import numpy as np
from gemmi.cif import as_number, is_null

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.cif_items import Items
from nanoos.parsers.cif_metadata import licence_in_comments, metadata
from nanoos.parsers.cif_sites import X, asymmetric_unit, disorder, expanded, shared_by
from nanoos.parsers.cif_symmetry import symmetry_operators
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.source import Source
from nanoos.steps import pause
from nanoos.structures import Structure
from nanoos.structures.geometry import cell_heights
from nanoos.structures.structure import MIN_CELL_HEIGHT_A, Array

_BLOCK = re.compile(r"^data_\S*", re.MULTILINE | re.IGNORECASE)
_GENERIC_NAMES = {"", "global", "publ", "i", "image0"}


class Cif:
    """The parser of Crystallographic Information Files."""

    name = "cif"

    def recognises(self, head: bytes, filename: str) -> bool:
        """A data block with CIF tags, or a name ending in .cif."""
        has_block = re.search(rb"^\s*data_\S*\s*$", head, re.MULTILINE | re.IGNORECASE)
        has_tag = re.search(rb"^\s*(_\w+|loop_)", head, re.MULTILINE | re.IGNORECASE)
        return bool(has_block and has_tag) or filename.lower().endswith((".cif", ".mcif"))

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield the structure of every data block that has atoms."""
        text = source.text
        blocks = _blocks(text)
        with_atoms = [b for b in blocks if isinstance(b, Rejected) or X in b]
        if not with_atoms:
            raise ParseError(f"The CIF has no atom sites with fractional coordinates ({X}).")
        general = [b for b in blocks if isinstance(b, Items) and X not in b]
        licence = licence_in_comments(text)
        pause()
        for block in with_atoms:
            if isinstance(block, Rejected):
                yield block
            elif len(with_atoms) == 1:
                yield _parsed(block, general, licence, text)
            else:
                yield _parsed_of_several(block, general, licence)


def _blocks(text: str) -> list[Items | Rejected]:
    """Return the blocks; where the syntax of one is broken, the others are read without it."""
    try:
        return [Items(block) for block in gemmi.cif.read_string(text)]
    except (ValueError, RuntimeError) as error:
        starts = [match.start() for match in _BLOCK.finditer(text)]
        if len(starts) < 2:
            raise _syntax_error(error) from error
    blocks: list[Items | Rejected] = []
    for start, end in zip(starts, [*starts[1:], len(text)], strict=True):
        try:
            # As many line ends before it as in the file, so that errors name its lines.
            before = "\n" * text.count("\n", 0, start)
            blocks += [Items(block) for block in gemmi.cif.read_string(before + text[start:end])]
        except (ValueError, RuntimeError) as error:
            blocks.append(Rejected(_syntax_error(error)))
    return blocks


def _syntax_error(error: Exception) -> ParseError:
    message = str(error).splitlines()[0]
    where = re.match(r"string:(\d+):\d+\s*\(\d+\):\s*(.*)", message)
    line, cause = (int(where[1]), where[2]) if where else (None, message)
    return ParseError(f"The CIF syntax is broken: {cause}.", line=line)


def _parsed_of_several(
    block: Items, general: list[Items], licence: str | None
) -> Parsed | Rejected:
    """Return one of several blocks, or the error that names it."""
    try:
        return _parsed(block, general, licence, block.written())
    except (ParseError, StructureError) as error:
        line = error.line if isinstance(error, ParseError) else None
        return Rejected(ParseError(f"Block {block.name}: {error}", line=line))


def _parsed(block: Items, general: list[Items], licence: str | None, text: str) -> Parsed:
    lengths = [_cell_number(block, f"_cell_length_{k}", None) for k in "abc"]
    angles = [_cell_number(block, f"_cell_angle_{k}", 90.0) for k in ("alpha", "beta", "gamma")]
    lattice = _lattice(block, lengths, angles)
    operators = symmetry_operators(block, angles)
    asymmetric = asymmetric_unit(block)
    pause()
    sites = expanded(asymmetric, operators, lattice)
    pause()
    kinds = {site.occupants: shared_by(site.occupants) for site in sites}
    structure = Structure.of_site_species(
        lattice,
        np.concatenate([site.fractional for site in sites]) @ lattice,
        [kinds[site.occupants] for site in sites for _ in site.fractional],
    )
    pause()
    name, extra = metadata(block, general)
    if licence is not None:
        extra.setdefault("licence", licence)
    if ways := disorder(block, structure):
        extra["disorder"] = ways
    block_name = "" if block.name.lower() in _GENERIC_NAMES else block.name
    return Parsed(structure, name or block_name, extra, text)


def _lattice(block: Items, lengths: list[float], angles: list[float]) -> Array:
    """Return the (3, 3) lattice in Å, a along x and b in the xy plane."""
    lattice: Array = np.array(gemmi.UnitCell(*lengths, *angles).orth.mat.tolist()).T
    if not np.isfinite(lattice).all() or cell_heights(lattice).min() < MIN_CELL_HEIGHT_A:
        raise ParseError(
            "The cell lengths and angles do not form a cell.", line=block.line("_cell_length_a")
        )
    return lattice


def _cell_number(block: Items, tag: str, default: float | None) -> float:
    """Return a length in Å or an angle in degrees; angles default to 90."""
    text = next(iter(block.column(tag)), None)
    if text is None or is_null(text):
        if default is None:
            raise ParseError(f"The cell is missing: the CIF has no {tag}.")
        return default
    number = as_number(text)
    if not 0 < number < np.inf:
        raise ParseError(f"{tag} is {text}, not a positive number.", line=block.line(tag))
    return number
