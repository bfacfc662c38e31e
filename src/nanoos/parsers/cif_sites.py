"""The sites of a CIF block: its asymmetric unit, and the cell that it stands for."""

from __future__ import annotations

from collections import defaultdict
from dataclasses import dataclass
from functools import lru_cache

import numpy as np
from gemmi.cif import as_number, as_string, is_null

from nanoos.errors import ParseError
from nanoos.parsers.cif_elements import SiteElements
from nanoos.parsers.cif_items import Items
from nanoos.parsers.cif_symmetry import Operators, orbits
from nanoos.parsers.occupancy import ALTERNATIVE_GROUPS, disorder_of, species_of
from nanoos.structures import Species, Structure
from nanoos.structures.geometry import cell_heights, near_distances, tree
from nanoos.structures.structure import (
    MAX_SITES,
    OCCUPANCY_TOLERANCE,
    Array,
)

X = "_atom_site_fract_x"
SAME_POSITION_A = 0.01  # sites of the asymmetric unit this close share one position
_SAME_DECIMALS = 6  # of the fractional coordinates of sites that are listed at one position
_CROWD = 64
_FEW_PAIRS = 20_000  # are looked at one by one
_COORDINATES = (X, "_atom_site_fract_y", "_atom_site_fract_z")
_GROUPS = ("_atom_site_disorder_assembly", "_atom_site_disorder_group")


@dataclass
class Site:
    """Occupants (element, occupancy) and the fractional coordinates they share."""

    label: str
    occupants: tuple[tuple[str, float], ...]
    fractional: Array


@lru_cache(maxsize=1024)
def shared_by(occupants: tuple[tuple[str, float], ...]) -> Species:
    """Return the species of a site with these (element, occupancy) pairs; many files share few."""
    shares: dict[str, float] = {}
    for element, occupancy in sorted(occupants):
        shares[element] = min(1.0, shares.get(element, 0.0) + occupancy)
    return species_of(shares)


def asymmetric_unit(block: Items) -> list[Site]:
    """Return the sites listed; those with zero occupancy or flagged as dummies are left out."""
    line = block.line(X)
    labels = block.column("_atom_site_label") or block.column("_atom_site_type_symbol")
    columns = [block.column(tag) for tag in _COORDINATES]
    if not labels or {len(column) for column in columns} != {len(labels)}:
        raise ParseError("The atom sites lack a label or a coordinate.", line=line)
    if len(labels) > MAX_SITES:
        raise ParseError(f"The cell has more than {MAX_SITES} sites; no more are read.", line=line)
    places = np.array([[_number(text) for text in column] for column in columns]).T
    occupancies = block.column("_atom_site_occupancy")
    types = block.column("_atom_site_type_symbol")
    flags = block.column("_atom_site_calc_flag")
    elements = SiteElements(block)
    known = np.isfinite(places).all(axis=1).tolist()
    sites = []
    for k, raw in enumerate(labels):
        label = as_string(raw)
        occupancy = _number(occupancies[k], default=1.0) if occupancies else 1.0
        if occupancy == 0 or (flags and as_string(flags[k]) == "dum"):
            continue
        if not known[k]:
            raise ParseError(f"Atom site {label} has no coordinates.", line=line)
        if not 0 < occupancy <= 1 + OCCUPANCY_TOLERANCE:
            raise ParseError(
                f"Atom site {label} has the occupancy {occupancy:g}, which is not within 0..1.",
                line=line,
            )
        symbol = as_string(types[k]) if types and not is_null(types[k]) else None
        occupant = (elements.of(label, symbol), min(occupancy, 1.0))
        sites.append(Site(label, (occupant,), places[k]))
    if not sites:
        raise ParseError("The CIF lists no occupied atom site.", line=line)
    elements.check_complete({e for s in sites for e, _ in s.occupants})
    return sites


def expanded(sites: list[Site], operators: Operators, lattice: Array) -> list[Site]:
    """Return one entry per orbit, with the occupants that share it and all its positions."""
    found = []
    n_sites = 0
    listed = np.array([site.fractional for site in sites])
    found_orbits = orbits(listed, _filled(sites, listed), operators, lattice)
    for site, positions in zip(sites, found_orbits, strict=True):
        if positions is None:
            raise ParseError(
                f"Atom site {site.label} lies near a special position, but its symmetry images "
                "neither coincide nor keep apart."
            )
        n_sites += len(positions)
        if n_sites > MAX_SITES:
            raise ParseError(f"The cell has more than {MAX_SITES} sites; no more are read.")
        found.append(Site(site.label, site.occupants, positions))
    return _shared(found, lattice)


def _filled(sites: list[Site], listed: Array) -> Array:
    """Return the total occupancy at the coordinates of each site, shape (n,)."""
    places = [tuple(place) for place in listed.round(_SAME_DECIMALS).tolist()]
    total: defaultdict[tuple[float, ...], float] = defaultdict(float)
    for place, site in zip(places, sites, strict=True):
        total[place] += sum(occupancy for _, occupancy in site.occupants)
    return np.array([total[place] for place in places])


def disorder(block: Items, structure: Structure) -> list[str]:
    """Return the ways in which a structure is disordered, none for an ordered one."""
    groups = (value for tag in _GROUPS for value in block.column(tag))
    is_grouped = any(not is_null(value) for value in groups)
    return disorder_of(structure) + [ALTERNATIVE_GROUPS] * is_grouped


def _shared(found: list[Site], lattice: Array) -> list[Site]:
    """Return the orbits, those at one position merged into the first of them."""
    partners = _coinciding(found, lattice)
    kept: dict[int, Site] = {}
    for k, site in enumerate(found):
        shared = next((kept[j] for j in partners.get(k, ()) if j in kept), None)
        if shared is None or len(shared.fractional) != len(site.fractional):
            kept[k] = site
            continue
        shared.occupants = shared.occupants + site.occupants
        total = sum(occupancy for _, occupancy in shared.occupants)
        if total > 1 + OCCUPANCY_TOLERANCE:
            raise ParseError(
                f"Atom sites {shared.label} and {site.label} overlap: they share one position "
                f"and their occupancies add up to {total:g}."
            )
    return list(kept.values())


def _coinciding(found: list[Site], lattice: Array) -> dict[int, list[int]]:
    """Return, for orbits whose first position lies on earlier orbits, the numbers of these."""
    positions = np.concatenate([site.fractional for site in found])
    owners = np.repeat(np.arange(len(found)), [len(site.fractional) for site in found])
    first = np.array([site.fractional[0] for site in found])
    if len(found) * len(positions) <= _FEW_PAIRS:
        near = near_distances(lattice, first, positions, (True, True, True)) < SAME_POSITION_A
        earlier = near & (owners < np.arange(len(found))[:, None])
        shared = np.flatnonzero(earlier.any(axis=1)).tolist()
        return {k: np.unique(owners[earlier[k]]).tolist() for k in shared}
    heights = cell_heights(lattice)
    inside = (positions - np.floor(positions)) * heights
    inside = np.minimum(inside, np.nextafter(heights, 0))
    _check_crowd(inside)
    # A vector is at least as long as it reaches along any height.
    near = tree(inside, boxsize=heights).query_ball_point(
        first * heights, SAME_POSITION_A, p=np.inf, return_sorted=True
    )
    partners: dict[int, list[int]] = {}
    for k, numbers in enumerate(near):
        if len(numbers) > 1:
            offsets = positions[numbers] - first[k]
            offsets -= np.round(offsets)
            same = np.linalg.norm(offsets @ lattice, axis=1) < SAME_POSITION_A
            others = {int(owner) for owner in owners[numbers][same] if owner < k}
            if others:
                partners[k] = sorted(others)
    return partners


def _check_crowd(places: Array) -> None:
    """Raise ParseError where so many share a place that to look at all pairs takes for ever."""
    if len(places) > _CROWD**2:
        boxes = np.floor(places / SAME_POSITION_A).astype(np.int64)
        if np.unique(boxes, axis=0, return_counts=True)[1].max() > _CROWD:
            raise ParseError(f"More than {_CROWD} atom sites share one position.")


def _number(text: str, default: float = np.nan) -> float:
    return default if is_null(text) else as_number(text)
