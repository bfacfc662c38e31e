"""A structure entry of OPTIMADE as a structure.

OPTIMADE 1.2 and 1.3, https://www.optimade.org: lengths are in Å, concentrations in 0..1.

Disorder stays disorder. Groups of sites of which one is there at a time (``assemblies``) become
partly occupied sites: how they go together is kept in ``extra`` alone. Entries with atoms that
have no position are refused, and so are those that list a part of the cell only.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from nanoos.errors import ParseError, StructureError
from nanoos.parsers.arrays import array_of, check_n_sites
from nanoos.parsers.occupancy import species_of
from nanoos.structures import Structure
from nanoos.structures.structure import OCCUPANCY_TOLERANCE, VACANCY, Array

_WHOLE_CELLS = (None, "unit_cell", "molecular_unit_cell")
_WITHOUT_POSITION = {
    "implicit_atoms": "some of its atoms have no site (implicit_atoms)",
    "site_attachments": "atoms are attached to sites without a position (site_attachments)",
}
_SAME_POSITION_DECIMALS = 5  # of Å: sites that are alternatives repeat the same numbers

Shares = dict[str, float]


def structure_of(attributes: Mapping[str, Any]) -> Structure:
    """Return the structure of an entry's attributes. Raises ParseError or StructureError."""
    _check_features(attributes)
    lattice, periodic = _cell(attributes)
    positions = _positions(attributes, lattice)
    check_n_sites(len(positions))
    occupied = _occupied(attributes, len(positions))
    positions, occupied = _merged(positions, occupied)
    species = [species_of(shares) for shares in occupied]
    return Structure.of_site_species(lattice, positions, species, periodic)


def _check_features(attributes: Mapping[str, Any]) -> None:
    features = _list(attributes, "structure_features")
    for feature, cause in _WITHOUT_POSITION.items():
        if feature in features:
            raise StructureError(f"It cannot be stated whole: {cause}.")
    span = attributes.get("site_coordinate_span")
    if span not in _WHOLE_CELLS:
        raise ParseError(f"The sites are not those of a whole cell (site_coordinate_span {span}).")


def _cell(attributes: Mapping[str, Any]) -> tuple[Array | None, tuple[bool, bool, bool]]:
    """Return the lattice in Å, completed where a direction does not repeat, and which do."""
    from ase import Atoms

    rows = _list(attributes, "lattice_vectors")
    given = [row for row in rows if isinstance(row, list) and row != [None] * 3]
    dimensions = attributes.get("dimension_types")
    if dimensions is None:
        count = attributes.get("nperiodic_dimensions", 3 if given else 0)
        dimensions = [count // 3] * 3 if count in (0, 3) else None
    if dimensions not in [[a, b, c] for a in (0, 1) for b in (0, 1) for c in (0, 1)]:
        raise ParseError("It does not say which directions repeat (dimension_types).")
    if not given:
        return None, (bool(dimensions[0]), bool(dimensions[1]), bool(dimensions[2]))
    vectors = [row if row in given else [0.0] * 3 for row in rows]
    lattice = array_of(vectors, "lattice vectors", (3, 3))
    missing = np.linalg.norm(lattice, axis=1) == 0
    if (missing & np.array(dimensions, dtype=bool)).any():
        raise StructureError("A direction repeats but has no lattice vector.")
    completed: Array = Atoms(cell=lattice).cell.complete().array
    return completed, (bool(dimensions[0]), bool(dimensions[1]), bool(dimensions[2]))


def _positions(attributes: Mapping[str, Any], lattice: Array | None) -> Array:
    """Return the (n, 3) positions of the sites in Å."""
    cartesian = attributes.get("cartesian_site_positions")
    fractional = attributes.get("fractional_site_positions")
    if cartesian is None and fractional is not None and lattice is not None:
        return array_of(fractional, "fractional_site_positions", (None, 3)) @ lattice
    if cartesian is None:
        raise ParseError(
            "It has no positions (cartesian_site_positions is null): the provider keeps them to "
            "itself, or hands large ones out apart."
        )
    return array_of(cartesian, "cartesian_site_positions", (None, 3))


def _occupied(attributes: Mapping[str, Any], n_sites: int) -> list[Shares]:
    """Return element → occupancy of every site, vacancies left out."""
    kinds: dict[str, Shares] = {}
    for one in _list(attributes, "species"):
        name, shares = _kind(one)
        if name in kinds:
            raise ParseError(f"Two species have the name {name}.")
        kinds[name] = shares
    names = _list(attributes, "species_at_sites")
    if len(names) != n_sites:
        raise ParseError(f"It has {n_sites} positions but {len(names)} species_at_sites.")
    unknown = [name for name in names if not isinstance(name, str) or name not in kinds]
    if unknown:
        raise ParseError(f"The species {unknown[0]} of a site is not among its species.")
    present = _probabilities(attributes, n_sites)
    return [
        {symbol: share * factor for symbol, share in kinds[name].items()}
        for name, factor in zip(names, present, strict=True)
    ]


def _kind(species: Any) -> tuple[str, Shares]:
    if not isinstance(species, dict) or not isinstance(species.get("name"), str):
        raise ParseError("A species has no name.")
    name = species["name"]
    if species.get("attached"):
        raise StructureError(f"It cannot be stated whole: {_WITHOUT_POSITION['site_attachments']}.")
    symbols, concentration = species.get("chemical_symbols"), species.get("concentration")
    amounts = array_of(concentration, f"concentrations of species {name}", (None,)).tolist()
    if not isinstance(symbols, list) or len(symbols) != len(amounts):
        raise ParseError(f"Species {name} has not one concentration for each symbol.")
    shares: Shares = {}
    for symbol, amount in zip(symbols, amounts, strict=True):
        if symbol != VACANCY:
            shares[str(symbol)] = shares.get(str(symbol), 0.0) + amount
    return name, shares


def _probabilities(attributes: Mapping[str, Any], n_sites: int) -> list[float]:
    """Return how often each site is there: 1, or the probability of its group."""
    present: dict[int, float] = {}
    for assembly in _list(attributes, "assemblies"):
        groups = assembly.get("sites_in_groups") if isinstance(assembly, dict) else None
        if not isinstance(groups, list):
            raise ParseError("An assembly has no groups of sites.")
        probabilities = array_of(
            assembly.get("group_probabilities"), "probabilities of an assembly", (len(groups),)
        )
        for group, probability in zip(groups, probabilities.tolist(), strict=True):
            for site in group if isinstance(group, list) else [-1]:
                if site not in range(n_sites) or site in present:
                    raise ParseError("An assembly names a site that is not there, or twice.")
                present[site] = probability
    return [present.get(site, 1.0) for site in range(n_sites)]


def _merged(positions: Array, occupied: list[Shares]) -> tuple[Array, list[Shares]]:
    """Return the sites without empty ones, partly occupied ones at one position made one."""
    kept: dict[tuple[float, ...], int] = {}
    rows: list[int] = []
    merged: list[Shares] = []
    for row, shares in enumerate(occupied):
        if not any(shares.values()):
            continue
        if sum(shares.values()) < 1 - OCCUPANCY_TOLERANCE:
            key = tuple((positions[row].round(_SAME_POSITION_DECIMALS) + 0.0).tolist())
            if key in kept:
                into = merged[kept[key]]
                into |= {e: into.get(e, 0.0) + share for e, share in shares.items()}
                continue
            kept[key] = len(rows)
        rows.append(row)
        merged.append(dict(shares))
    return positions[rows], merged


def _list(attributes: Mapping[str, Any], name: str) -> list[Any]:
    value = attributes.get(name)
    if value is not None and not isinstance(value, list):
        raise ParseError(f"{name} is no list.")
    return value or []
