"""CIF: core dictionary files with fractional coordinates, any number of data blocks.

International Tables for Crystallography, vol. G (2005); syntax by gemmi.

The asymmetric unit is expanded with the file's own symmetry operators, or those of the space
group that it names. Sites at one position become one site shared by several species; partial
occupancies are kept, with the rest of the site as vacancy. Split positions (images or sites
that neither coincide nor keep 0.5 Å apart) cannot be stated that way and are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, replace

import gemmi
import numpy as np
from gemmi.cif import Block, as_number, as_string, is_null

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.cif_elements import SiteElements
from nanoos.parsers.cif_metadata import metadata
from nanoos.parsers.cif_symmetry import Operators, orbit, symmetry_operators
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.source import Source
from nanoos.structures import Species, Structure
from nanoos.structures.structure import OCCUPANCY_TOLERANCE, VACANCY, Array

SAME_POSITION_A = 0.01  # sites of the asymmetric unit this close share one position
_X, _LABEL = "_atom_site_fract_x", "_atom_site_label"
_GENERIC_NAMES = {"", "global", "publ", "i", "image0"}


class Cif:
    """The parser of Crystallographic Information Files."""

    name = "cif"

    def recognises(self, head: bytes, filename: str) -> bool:
        """A data block with CIF tags, or a name ending in .cif."""
        has_block = re.search(rb"^\s*data_\S*\s*$", head, re.MULTILINE | re.IGNORECASE)
        has_tag = re.search(rb"^\s*(_\w+|loop_)", head, re.MULTILINE | re.IGNORECASE)
        return bool(has_block and has_tag) or filename.lower().endswith(".cif")

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield the structure of every data block that has atoms."""
        text = source.text
        blocks = _blocks(text)
        with_atoms = [b for b in blocks if b.find_loop(_X) or b.find_pair(_X)]
        if not with_atoms:
            raise ParseError(
                "The CIF has no atom sites with fractional coordinates (_atom_site_fract_x)."
            )
        general = [b for b in blocks if b not in with_atoms]
        if len(with_atoms) == 1:
            yield replace(_parsed(with_atoms[0], general), source_text=text)
            return
        for block in with_atoms:
            yield _parsed_of_several(block, general)


def _blocks(text: str) -> list[Block]:
    try:
        return list(gemmi.cif.read_string(text))
    except (ValueError, RuntimeError) as error:
        message = str(error).splitlines()[0]
        where = re.match(r"string:(\d+):\d+\s*\(\d+\):\s*(.*)", message)
        line, cause = (int(where[1]), where[2]) if where else (None, message)
        raise ParseError(f"The CIF syntax is broken: {cause}.", line=line) from error


def _parsed_of_several(block: Block, general: list[Block]) -> Parsed | Rejected:
    """Return one of several blocks, or the error that names it."""
    try:
        return replace(_parsed(block, general), source_text=block.as_string())
    except (ParseError, StructureError) as error:
        line = error.line if isinstance(error, ParseError) else None
        return Rejected(ParseError(f"Block {block.name}: {error}", line=line))


def _parsed(block: Block, general: list[Block]) -> Parsed:
    lattice = _lattice(block)
    sites = _expanded(_atom_sites(block), symmetry_operators(block), lattice)
    species: dict[str, Species] = {}
    for site in sites:
        kind = _species(site.occupants)
        site.species = species.setdefault(kind.name, kind).name
    structure = Structure(
        lattice_a=lattice,
        positions_a=np.concatenate([s.fractional for s in sites]) @ lattice,
        species=tuple(species.values()),
        species_at_sites=tuple(s.species for s in sites for _ in s.fractional),
    )
    name, extra = metadata(block, general)
    block_name = "" if block.name.lower() in _GENERIC_NAMES else block.name
    return Parsed(structure, name or block_name, extra)


def _lattice(block: Block) -> Array:
    """Return the (3, 3) lattice in Å, a along x and b in the xy plane; angles default to 90°."""
    lengths = [_cell_number(block, f"_cell_length_{k}", None) for k in "abc"]
    angles = [_cell_number(block, f"_cell_angle_{k}", 90.0) for k in ("alpha", "beta", "gamma")]
    lattice: Array = np.array(gemmi.UnitCell(*lengths, *angles).orth.mat.tolist()).T
    if not np.isfinite(lattice).all():
        raise ParseError(
            "The cell angles do not form a cell.", line=_line(block, "_cell_angle_alpha")
        )
    return lattice


def _cell_number(block: Block, tag: str, default: float | None) -> float:
    text = block.find_value(tag)
    if text is None or is_null(text):
        if default is None:
            raise ParseError(f"The cell is missing: the CIF has no {tag}.")
        return default
    number = as_number(text)
    if not 0 < number < np.inf:
        raise ParseError(f"{tag} is {text}, not a positive number.", line=_line(block, tag))
    return number


@dataclass
class _Site:
    """Occupants (element, occupancy) and the fractional coordinates they share."""

    label: str
    occupants: list[tuple[str, float]]
    fractional: Array
    species: str = ""


def _atom_sites(block: Block) -> list[_Site]:
    """Return the asymmetric unit; sites with zero occupancy or flagged as dummies are left out."""
    tags = ["label", "?type_symbol", "fract_x", "fract_y", "fract_z", "?occupancy", "?calc_flag"]
    table = block.find("_atom_site_", tags)
    if table.width() == 0:
        raise ParseError("The atom sites lack a label or a coordinate.", line=_line(block, _X))
    elements = SiteElements(block)
    sites = []
    for row in table:
        label = as_string(row[0])
        occupancy = _number(row[5], default=1.0) if row.has(5) else 1.0
        if occupancy == 0 or (row.has(6) and as_string(row[6]) == "dum"):
            continue
        symbol = as_string(row[1]) if row.has(1) and not is_null(row[1]) else None
        where = np.array([_number(row[k]) for k in (2, 3, 4)])
        if not np.isfinite(where).all():
            raise ParseError(f"Atom site {label} has no coordinates.", line=_line(block, _X))
        if not 0 < occupancy <= 1:
            raise ParseError(
                f"Atom site {label} has the occupancy {occupancy:g}, which is not within 0..1.",
                line=_line(block, _X),
            )
        sites.append(_Site(label, [(elements.of(label, symbol), occupancy)], where))
    if not sites:
        raise ParseError("The CIF lists no occupied atom site.", line=_line(block, _X))
    elements.check_complete({e for s in sites for e, _ in s.occupants})
    return sites


def _number(text: str, default: float = np.nan) -> float:
    return default if is_null(text) else as_number(text)


def _expanded(sites: list[_Site], operators: Operators, lattice: Array) -> list[_Site]:
    """Return one entry per orbit, with the occupants that share it and all its positions."""
    orbits: list[_Site] = []
    for site in sites:
        positions = orbit(site.fractional, operators, lattice, site.label)
        shared = next((o for o in orbits if _coincide(o.fractional, positions[0], lattice)), None)
        if shared is None or len(shared.fractional) != len(positions):
            orbits.append(_Site(site.label, site.occupants, positions))
            continue
        shared.occupants = shared.occupants + site.occupants
        total = sum(occupancy for _, occupancy in shared.occupants)
        if total > 1 + OCCUPANCY_TOLERANCE:
            raise ParseError(
                f"Atom sites {shared.label} and {site.label} overlap: they share one position "
                f"and their occupancies add up to {total:g}."
            )
    return orbits


def _coincide(positions: Array, point: Array, lattice: Array) -> bool:
    offsets = positions - point
    offsets -= np.round(offsets)
    return bool(np.any(np.linalg.norm(offsets @ lattice, axis=1) < SAME_POSITION_A))


def _species(occupants: list[tuple[str, float]]) -> Species:
    """Return the species, named after its content; what is not occupied is vacancy."""
    shares: dict[str, float] = {}
    for element, occupancy in sorted(occupants):
        shares[element] = min(1.0, shares.get(element, 0.0) + occupancy)
    if list(shares.values()) == [1.0]:
        return Species(next(iter(shares)), tuple(shares), (1.0,))
    name = "".join(f"{element}{share:.6g}" for element, share in shares.items())
    vacant = 1.0 - sum(shares.values())
    if vacant > OCCUPANCY_TOLERANCE:
        shares[VACANCY] = vacant
    return Species(name, tuple(shares), tuple(shares.values()))


def _line(block: Block, tag: str) -> int | None:
    item = block.find_pair_item(tag) or block.find_loop_item(tag)
    return item.line_number if item else None
