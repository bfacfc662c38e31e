"""Pictures of crystals and molecules."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import product
from operator import itemgetter
from xml.sax.saxutils import escape

import numpy as np
from numpy.typing import NDArray

from nanoos.draw.style import INK, MUTED
from nanoos.structures import Species, Structure

Array = NDArray[np.float64]

SIZE_PX, MARGIN_PX, LEGEND_PX = 300, 12, 30
FEWEST_ATOMS = 8
"""A crystal that shows fewer in its cell is shown repeated along its shortest vectors."""
FACE_A = 0.05
"""An atom this close to a face of the cell is shown on the opposite face, too."""
ATOM_SIZE = 0.46
"""Radius of a drawn atom over its covalent radius."""
BOND_REACH = 1.12
"""Two atoms are bonded up to this times the sum of their covalent radii."""
SHELL = 1.2
"""… and up to this times the nearest neighbour of at least one of the two."""
MOST_ATOMS_WITH_BONDS = 100
EDGE_PIECES = 5
AZIMUTH, ELEVATION = np.radians(-20), np.radians(13)
"""From where a structure is seen: in front of the a-c plane, a little from left and above."""
FADED = 0.45
"""How far the farthest atom fades into the white."""
BOND_SHADE = 0.8
"""A bond is this much darker than its atom."""
BOND_PX = 4.5
EDGE_STYLE = f'stroke="{MUTED}" stroke-width="1.1"'


def structure_svg(structure: Structure) -> str:
    """Draw the cell with its atoms, those on its faces on all of them, bonds and a legend.

    Colours are Jmol's, radii covalent ones (both from ASE); a mixed site has the mean colour of
    its elements, vacancies white. A small cell is shown repeated, itself outlined.
    A bond joins unlike atoms in touch, and like ones where each has at most four of them.
    Crystals are seen from the front, a little from left and above; molecules flat.
    """
    scene = _Scene.of(structure)
    cell = _cell_edges(structure)
    axes = _flat_axes(scene.positions_a) if structure.lattice_a is None else _standing_axes()
    camera = _Camera.facing(np.vstack([scene.positions_a, *cell]), axes, rim_a=scene.radii_a.max())
    shapes = [*_balls(scene, camera), *_bonds(scene, camera), *_edges(cell, camera)]
    body = "".join(text for _, text in sorted(shapes, key=itemgetter(0))) + _legend(structure)
    colours = sorted(set(re.findall(r"url\(#s(\w+)\)", body)))
    height = SIZE_PX + LEGEND_PX
    return (
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {SIZE_PX} {height}" '
        f'width="{SIZE_PX}" height="{height}" role="img" font-family="sans-serif" '
        f'font-size="13" stroke-width="{BOND_PX}"><defs>{_gradients(colours)}</defs>{body}</svg>'
    )


@dataclass(frozen=True)
class _Scene:
    """The atoms to draw: (n, 3) positions, radii, colours (0..1), and bonds as (m, 2) indices."""

    positions_a: Array
    radii_a: Array
    colours: Array
    bonds: NDArray[np.int_]

    @classmethod
    def of(cls, structure: Structure) -> _Scene:
        positions, sites = _images(structure)
        species = structure.site_species
        radii = np.array([_radius_a(s) for s in species])[sites]
        colours = np.array([_colour(s) for s in species])[sites]
        bonds = _bonded(structure, positions, sites, radii)
        return cls(positions, ATOM_SIZE * radii, colours, bonds)


def _images(structure: Structure) -> tuple[Array, NDArray[np.int_]]:
    """Return the positions to draw and the site of each."""
    lattice = structure.lattice_a
    if lattice is None:
        return structure.positions_a, np.arange(structure.n_sites)
    periodic = np.array(structure.periodic)
    lengths = np.linalg.norm(lattice, axis=1)
    margin = np.where(periodic, FACE_A / lengths, np.inf)
    fractional = structure.fractional
    home = np.where(periodic, (fractional + margin) % 1 - margin, fractional)
    repeats = np.ones(3, dtype=int)
    while True:
        shifts = np.array(list(product(*(range(n) for n in repeats + periodic))))
        images = (home[None] + shifts[:, None]).reshape(-1, 3)
        shown = (images <= repeats + margin).all(axis=1)
        if shown.sum() >= FEWEST_ATOMS or not periodic.any():
            return images[shown] @ lattice, np.tile(np.arange(len(home)), len(shifts))[shown]
        spans = np.where(periodic, repeats * lengths, np.inf)
        repeats[spans < 1.2 * spans.min()] += 1


def _bonded(
    structure: Structure, positions: Array, sites: NDArray[np.int_], radii: Array
) -> NDArray[np.int_]:
    """Return the pairs of drawn atoms to join, (m, 2)."""
    if len(positions) > MOST_ATOMS_WITH_BONDS:
        return np.empty((0, 2), dtype=int)
    names = np.array(structure.species_at_sites)
    nearest_a, crowded = _surroundings(structure)
    first, second = np.triu_indices(len(positions), k=1)
    one, other = sites[first], sites[second]
    distance_a = np.linalg.norm(positions[first] - positions[second], axis=1)
    near = distance_a < BOND_REACH * (radii[first] + radii[second])
    near &= distance_a < SHELL * np.maximum(nearest_a[one], nearest_a[other])
    unlike = names[one] != names[other]
    joined = near & (unlike | ~(crowded[one] | crowded[other]))
    bonds: NDArray[np.int_] = np.column_stack([first, second])[joined]
    return bonds


def _surroundings(structure: Structure) -> tuple[Array, NDArray[np.bool_]]:
    """Return each site's nearest distance, and whether over four of its own kind touch it.

    Hydrogen does not count as nearest: it is nearer than any other bond of its partner.
    """
    from ase import Atoms
    from ase.neighborlist import neighbor_list

    atoms = Atoms(positions=structure.positions_a, cell=structure.lattice_a, pbc=structure.periodic)
    radii = BOND_REACH * np.array([_radius_a(s) for s in structure.site_species])
    first, second, distance_a = neighbor_list("ijd", atoms, radii)  # type: ignore[no-untyped-call]
    nearest_a = np.full(structure.n_sites, np.inf)
    heavy = np.array([set(s.occupancy) != {"H"} for s in structure.site_species])[second]
    np.minimum.at(nearest_a, first[heavy], distance_a[heavy])
    names = np.array(structure.species_at_sites)
    alike = names[first] == names[second]
    return nearest_a, np.bincount(first[alike], minlength=structure.n_sites) > 4


def _radius_a(species: Species) -> float:
    from ase.data import atomic_numbers, covalent_radii

    return float(max(covalent_radii[atomic_numbers[symbol]] for symbol in species.occupancy))


def _colour(species: Species) -> Array:
    from ase.data import atomic_numbers
    from ase.data.colors import jmol_colors

    empty = 1 - min(1.0, sum(species.occupancy.values()))
    colour = np.full(3, empty)
    for symbol, share in species.occupancy.items():
        colour += share * jmol_colors[atomic_numbers[symbol]]
    return colour


def _cell_edges(structure: Structure) -> list[Array]:
    """Return the twelve edges of the cell, each (2, 3); none for a molecule."""
    if structure.lattice_a is None:
        return []
    corners = np.array(list(product((0, 1), repeat=3)))
    return [
        np.array([start, end]) @ structure.lattice_a
        for start, end in product(corners, corners)
        if (end - start).sum() == 1 and (end >= start).all()
    ]


@dataclass(frozen=True)
class _Camera:
    """A parallel projection that fits the scene into the picture."""

    axes: Array
    centre: Array
    px_per_a: float
    depth: tuple[float, float]

    @classmethod
    def facing(cls, points_a: Array, axes: Array, rim_a: float) -> _Camera:
        """Look at ``points_a`` so that all of them, with ``rim_a`` around each, fit.

        ``axes`` are the directions that are right, up and towards the eye in the picture.
        """
        seen = points_a @ axes.T
        low, high = seen.min(axis=0), seen.max(axis=0)
        span = (high - low)[:2].max() + 2 * rim_a
        return cls(axes, (low + high) / 2, (SIZE_PX - 2 * MARGIN_PX) / span, (low[2], high[2]))

    def project(self, points_a: Array) -> tuple[Array, Array]:
        """Return (n, 2) pixels and (n,) depths in Å, larger nearer."""
        seen = (points_a @ self.axes.T - self.centre) * self.px_per_a * [1, -1, 1]
        return seen[:, :2] + SIZE_PX / 2, points_a @ self.axes[2]

    def distance(self, depth: float) -> float:
        """Return how far back it is: 0 in front to 1 at the back, in three steps."""
        far, near = self.depth
        return round(3 * (near - depth) / max(near - far, 1e-9)) / 3


def _standing_axes() -> Array:
    """Right, up and towards the eye for a crystal: z stands up, x to the right."""
    right = np.array([np.cos(AZIMUTH), np.sin(AZIMUTH), 0])
    towards = np.array([np.sin(AZIMUTH), -np.cos(AZIMUTH), np.tan(ELEVATION)]) * np.cos(ELEVATION)
    return np.array([right, np.cross(towards, right), towards])


def _flat_axes(positions_a: Array) -> Array:
    """The same for a molecule: the way it is longest to the right, its thinnest to the eye."""
    right, up, _ = np.linalg.svd(positions_a - positions_a.mean(axis=0))[2]
    return np.array([right, up, np.cross(right, up)])


Shape = tuple[float, str]
"""How near it is, and its SVG text."""


def _balls(scene: _Scene, camera: _Camera) -> Iterator[Shape]:
    pixels, depths = camera.project(scene.positions_a)
    for (x, y), depth, radius, colour in zip(
        pixels, depths, scene.radii_a * camera.px_per_a, scene.colours, strict=True
    ):
        yield depth, _ball(x, y, radius, _hex(_faded(colour, camera.distance(depth))))


def _bonds(scene: _Scene, camera: _Camera) -> Iterator[Shape]:
    """Each bond in two halves with the colours of their atoms, from skin to middle."""
    for pair in scene.bonds:
        ends = scene.positions_a[pair]
        middle = ends.mean(axis=0)
        for end, radius, colour in zip(ends, scene.radii_a[pair], scene.colours[pair], strict=True):
            skin = end + 0.9 * radius * (middle - end) / np.linalg.norm(middle - end)
            pixels, depths = camera.project(np.array([skin, middle]))
            shade = _hex(_faded(BOND_SHADE * colour, camera.distance(depths[0])))
            yield depths.mean(), _line(pixels, f'stroke="#{shade}"')


def _edges(edges: list[Array], camera: _Camera) -> Iterator[Shape]:
    """The outline of the cell, in pieces so that atoms cover what lies behind them."""
    for edge in edges:
        share = np.linspace(0, 1, EDGE_PIECES + 1)[:, None]
        pixels, depths = camera.project(edge[0] + share * (edge[1] - edge[0]))
        for k in range(EDGE_PIECES):
            yield depths[k : k + 2].mean(), _line(pixels[k : k + 2], EDGE_STYLE)


def _line(pixels: Array, style: str) -> str:
    (x1, y1), (x2, y2) = pixels
    return f'<path d="M{x1:.1f} {y1:.1f}L{x2:.1f} {y2:.1f}" {style} />'


def _ball(x: float, y: float, radius: float, colour: str) -> str:
    return f'<circle cx="{x:.1f}" cy="{y:.1f}" r="{radius:.1f}" fill="url(#s{colour})" />'


def _gradients(colours: list[str]) -> str:
    """A ball lit from the upper left for each colour. Equal ids mean equal gradients."""
    texts = []
    for colour in colours:
        rgb = np.array([int(colour[i : i + 2], 16) for i in (0, 2, 4)]) / 255
        texts.append(
            f'<radialGradient id="s{colour}" cx=".36" cy=".32" r=".75">'
            f'<stop offset="0" stop-color="#{_hex(0.3 * rgb + 0.7)}" />'
            f'<stop offset=".5" stop-color="#{colour}" />'
            f'<stop offset="1" stop-color="#{_hex(0.55 * rgb)}" /></radialGradient>'
        )
    return "".join(texts)


def _legend(structure: Structure) -> str:
    """A ball and the symbols for each kind of site, in one centred line below, shrunk to fit."""
    texts, x = [], 0.0
    for species in sorted(structure.species, key=_label):
        label = _label(species)
        texts.append(_ball(x + 6, 0, 6, _hex(_colour(species))))
        texts.append(f'<text x="{x + 16:.0f}" y="4.5" fill="{INK}">{escape(label)}</text>')
        x += 30 + 7.5 * len(label)
    shrink = min(1, (SIZE_PX - 2 * MARGIN_PX) / x)
    left, top = (SIZE_PX - x * shrink) / 2, SIZE_PX + LEGEND_PX / 2
    return f'<g transform="translate({left:.1f} {top}) scale({shrink:.2f})">{"".join(texts)}</g>'


def _label(species: Species) -> str:
    """Return "Mg", or "Fe 0.1 Mg 0.9" for a mixed site."""
    if species.is_ordered:
        return species.chemical_symbols[0]
    return " ".join(f"{symbol} {share:.2g}" for symbol, share in species.occupancy.items())


def _faded(colour: Array, distance: float) -> Array:
    """Return ``colour`` as seen from ``distance`` (0..1): the farther the whiter."""
    return colour + FADED * distance * (1 - colour)


def _hex(colour: Array) -> str:
    """Return "ff8000" for red, green and blue of 0..1."""
    return "".join(f"{round(255 * part):02x}" for part in np.clip(colour, 0, 1).tolist())
