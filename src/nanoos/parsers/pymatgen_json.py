"""JSON of pymatgen: structures, molecules, and computed entries that hold a structure.

Format: ``Structure.as_dict``, ``Molecule.as_dict`` and ``ComputedStructureEntry.as_dict`` of
pymatgen; also lists and objects of them however nested, and one of them a line. Older ones,
without ``xyz`` or ``label``, are read too.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator
from dataclasses import replace
from typing import Any

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.arrays import array_of, check_n_sites, number_of
from nanoos.parsers.json_text import documents, dumps
from nanoos.parsers.occupancy import disorder_of, species_of
from nanoos.parsers.parser import Parsed, Rejected
from nanoos.parsers.plain import plain
from nanoos.parsers.source import Source
from nanoos.structures import Species, Structure
from nanoos.structures.structure import Array

_MODULE = re.compile(rb'"@module"\s*:\s*"pymatgen')
_MAX_LOOKED_INTO = 500_000  # of what is no structure
# Of what holds a structure: a computed entry, or a document of the Materials Project
_KEPT = (
    *("entry_id", "parameters", "data", "correction", "energy_adjustments", "material_id"),
    *("energy_per_atom", "uncorrected_energy_per_atom", "formation_energy_per_atom"),
    *("energy_above_hull", "band_gap", "is_gap_direct", "efermi", "total_magnetization"),
)


class PymatgenJson:
    """The parser of pymatgen's JSON."""

    name = "pymatgen"

    def recognises(self, head: bytes, filename: str) -> bool:  # noqa: ARG002 - any JSON has it
        """JSON that names a module of pymatgen near its beginning."""
        return head.lstrip()[:1] in (b"{", b"[") and _MODULE.search(head) is not None

    def parse(self, source: Source) -> Iterator[Parsed | Rejected]:
        """Yield every structure that the document, or each line, holds; ``extra`` the rest."""
        number = 0
        for line, value in documents(source):
            for place, holder in _holders(value, "", iter(range(_MAX_LOOKED_INTO))):
                number += 1
                try:
                    parsed = _parsed(holder)
                    text = source.text if holder is value and line is None else dumps(holder)
                    yield replace(parsed, source_text=text)
                except (ParseError, StructureError) as error:
                    cause = f"{place.lstrip('.')}: {error}" if place else str(error)
                    yield Rejected(ParseError(cause, line=line))
        if not number:
            raise ParseError("The JSON holds no structure of pymatgen.")


def _holders(
    value: Any, place: str, left: Iterator[int], *, inner: bool = False
) -> Iterator[tuple[str, Any]]:
    """Yield what holds a structure, with its place in the document.

    An object of another class of pymatgen, unless it is part of one, is yielded too: that it
    holds no structure must be told. So is the error that a line is.
    """
    if isinstance(value, ParseError) or _structure_in(value) is not None:
        yield place, value
        return
    if next(left, None) is None:
        raise ParseError("The JSON holds too many objects and lists that are no structures.")
    is_of_a_class = isinstance(value, dict) and "@class" in value
    found = False
    for key, item in _items(value):
        for one in _holders(item, place + key, left, inner=inner or is_of_a_class):
            found = True
            yield one
    if is_of_a_class and not found and not inner:
        yield place, value


def _items(value: Any) -> Iterator[tuple[str, Any]]:
    """Yield the objects and lists of one, each with its place in it."""
    items: Iterable[tuple[str | int, Any]] = ()
    if isinstance(value, dict):
        items = value.items()
    elif isinstance(value, list):
        items = enumerate(value)
    for key, item in items:
        if isinstance(item, dict | list):
            yield f".{plain(key)}" if isinstance(key, str) else f"[{key}]", item


def _structure_in(value: Any) -> dict[str, Any] | None:
    """Return the structure that an object is, or has."""
    for one in (value, value.get("structure")) if isinstance(value, dict) else ():
        if isinstance(one, dict) and isinstance(one.get("sites"), list):
            return one
    return None


def _parsed(holder: Any) -> Parsed:
    if isinstance(holder, ParseError):
        raise holder
    found = _structure_in(holder)
    if found is None:
        raise ParseError(f"An object of class {plain(holder.get('@class'))} has no structure.")
    sites = found["sites"]
    if not all(isinstance(site, dict) for site in sites):
        raise ParseError("A site is no object.")
    check_n_sites(len(sites))
    species = [_species(site) for site in sites]
    structure = _structure(found, sites, species)
    extra = _extra(found, sites)
    if disorder := disorder_of(structure):
        extra["disorder"] = disorder
    if holder is not found:
        extra |= {key: plain(holder[key]) for key in _KEPT if _is_said(holder.get(key))}
        if holder.get("energy") is not None:
            extra["calculation"] = {"energy_ev": number_of(holder["energy"], "energy")}
    name = extra.get("entry_id") or extra.get("material_id")
    return Parsed(structure, name if isinstance(name, str) else "", extra)


def _is_said(value: Any) -> bool:
    return value == 0 or bool(value)


def _structure(found: dict[str, Any], sites: list[Any], species: list[Species]) -> Structure:
    lattice, periodic = None, (False, False, False)
    if "lattice" in found:
        lattice, periodic = _lattice(found["lattice"])
        fractional = [site.get("abc") for site in sites]
        positions = array_of(fractional, "fractional coordinates (abc)", (None, 3)) @ lattice
    else:
        positions = array_of([site.get("xyz") for site in sites], "positions (xyz)", (None, 3))
    return Structure.of_site_species(lattice, positions, species, periodic)


def _lattice(lattice: Any) -> tuple[Array, tuple[bool, bool, bool]]:
    if not isinstance(lattice, dict):
        raise ParseError("The lattice is no object.")
    matrix = array_of(lattice.get("matrix"), "lattice vectors", (3, 3))
    pbc = lattice.get("pbc", [True] * 3)
    if not (isinstance(pbc, list) and len(pbc) == 3 and all(isinstance(p, bool) for p in pbc)):
        raise ParseError("Which directions repeat (pbc) is not said by three of true and false.")
    return matrix, (pbc[0], pbc[1], pbc[2])


def _species(site: dict[str, Any]) -> Species:
    """Return the species of a site: elements, with or without an oxidation state, and shares."""
    kinds = site.get("species")
    shares: dict[str, float] = {}
    for one in kinds if isinstance(kinds, list) else ():
        element = one.get("element") if isinstance(one, dict) else None
        if not isinstance(element, str) or "occu" not in one:
            raise ParseError("A species of a site lacks its element or its occupancy (occu).")
        share = number_of(one["occu"], f"occupancy of {element}")
        shares[element] = shares.get(element, 0.0) + share
    return species_of(shares)


def _extra(found: dict[str, Any], sites: list[dict[str, Any]]) -> dict[str, Any]:
    """Return charge, properties, and what is said of sites beside position and occupancy."""
    extra = {key: plain(found[key]) for key in ("charge", "properties") if found.get(key)}
    keys = {key for site in sites for key in _properties(site)}
    if keys:
        extra["site_properties"] = {
            key: [plain(_properties(site).get(key)) for site in sites] for key in sorted(keys)
        }
    states = [_oxidation_states(site) for site in sites]
    if any(states):
        extra["oxidation_states"] = states
    return extra


def _properties(site: dict[str, Any]) -> dict[str, Any]:
    properties = site.get("properties")
    return properties if isinstance(properties, dict) else {}


def _oxidation_states(site: dict[str, Any]) -> dict[str, Any]:
    return {
        one["element"]: plain(one["oxidation_state"])
        for one in site["species"]
        if one.get("oxidation_state") is not None
    }
