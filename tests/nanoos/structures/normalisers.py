"""How the affine normaliser of each space group permutes its Wyckoff positions, derived.

Nothing is taken from tables but the operations and the letters that moyo gives. A normaliser
maps a Wyckoff position onto one with a conjugate site-symmetry group; continuous translations
along polar axes, connected to the identity, move no letter. Run as a program, it prints
`nanoos.structures.normalizers`, which `test_protostructure` compares with it.
"""

from __future__ import annotations

import itertools
import string
import sys
from functools import cache

import moyopy
import numpy as np

LETTERS = string.ascii_lowercase + "A"
EPSILON = 1e-6


class Group:
    """A space group in its standard setting, in a primitive basis."""

    def __init__(self, number):
        self.number = number
        setting = moyopy.Setting.standard()
        found = moyopy.operations_from_number(number, setting=setting, primitive=True)
        self.rotations = np.array(found.rotations, dtype=float)
        self.translations = np.array(found.translations)
        self.random = np.random.default_rng(number)
        self.shifts = np.array(list(itertools.product((-2, -1, 0, 1, 2), repeat=3)), dtype=float)

    def positions(self):
        """Return letter → (a point there, projector on its freedom), one for each letter."""
        general = np.full(3, 0.137) + self.random.random(3) * 0.1
        found = [(general, np.eye(3))]
        for point in self._candidates():
            projector = self._projector(point)
            if not any(self._same(point, projector, *known) for known in found):
                found.append((point, projector))
        letters = self._letters([point for point, _ in found])
        assert sorted(letters, key=LETTERS.index) == list(LETTERS[: len(letters)]), self.number
        return dict(zip(letters, found, strict=True))

    def permutations(self):
        """Return generators of the permutations, each as the images of a, b, c …"""
        positions = self.positions()
        letters = sorted(positions, key=LETTERS.index)
        generators, reached = [], closure([], len(letters))
        for linear, shift in self._normaliser():
            moved = [linear @ positions[letter][0] + shift for letter in letters]
            images = tuple(
                next(
                    i
                    for i, letter in enumerate(letters)
                    if self._same(point, self._projector(point), *positions[letter])
                )
                for point in moved
            )
            if images not in reached:
                generators.append(images)
                reached = closure(generators, len(letters))
        return ["".join(LETTERS[i] for i in images) for images in generators]

    def _candidates(self):
        """Yield points that operations, by ones, twos and threes, leave where they are."""
        identity = np.eye(3)
        turning = [i for i, r in enumerate(self.rotations) if not np.allclose(r, identity)]
        if not turning:
            return
        for size, tries in ((3, 2000), (2, 1000), (1, 300)):
            chosen = self.random.choice(turning, (tries, size))
            near = self.random.random((tries, 3))
            matrices = (identity - self.rotations[chosen]).reshape(tries, -1, 3)
            moves = np.einsum("nij,nj->ni", matrices, near).reshape(tries, size, 3)
            shifts = np.round(moves - self.translations[chosen])
            targets = (self.translations[chosen] + shifts).reshape(tries, -1)
            inverses = np.linalg.pinv(matrices)
            free = self.random.random((tries, 3)) * 0.83
            free -= np.einsum("nij,njk,nk->ni", inverses, matrices, free)
            points = np.einsum("nij,nj->ni", inverses, targets) + free
            misses = np.abs(np.einsum("nij,nj->ni", matrices, points) - targets).max(axis=1)
            points = points[misses < EPSILON]
            points = np.round(points - np.floor(points + EPSILON), 9)
            _, first = np.unique(np.round(points, 6), axis=0, return_index=True)
            yield from points[first]

    def _projector(self, point):
        offsets = self.rotations @ point + self.translations - point
        fixing = np.abs(offsets - np.round(offsets)).max(axis=1) < EPSILON
        return self.rotations[fixing].mean(axis=0)

    def _same(self, point, projector, other, free):
        """Whether an operation takes ``point`` into the position of ``other``."""
        if abs(projector.trace() - free.trace()) > EPSILON:
            return False
        images = self.rotations @ point + self.translations
        steps = images - other
        steps = steps - np.round(steps)
        off = (steps[:, None] - self.shifts) @ (np.eye(3) - free).T
        near = np.abs(off).max(axis=2).min(axis=1) < EPSILON
        return any(np.allclose(self._projector(image), free) for image in images[near])

    def _letters(self, points):
        """Return moyo's letters of the points, all of them sites of one crystal."""
        metric = self.random.random((3, 3)) + 2 * np.eye(3)
        metric = metric @ metric.T
        metric = np.mean([r.T @ metric @ r for r in self.rotations], axis=0) * 900
        basis = np.linalg.cholesky(metric)
        decoys = [np.array([0.1234, 0.2718, 0.3571]), np.array([0.0917, 0.4142, 0.7321])]
        sites, kinds = [], []
        for kind, point in enumerate([*points, *decoys]):
            images = (self.rotations @ point + self.translations) % 1
            distinct = []
            for image in images:
                if all(np.abs(image - d - np.round(image - d)).max() > EPSILON for d in distinct):
                    distinct.append(image)
            sites += distinct
            kinds += [kind] * len(distinct)
        cell = moyopy.Cell(basis.tolist(), [s.tolist() for s in sites], kinds)
        dataset = moyopy.MoyoDataset(cell, symprec=1e-4)
        assert dataset.number == self.number, (dataset.number, self.number)
        return [dataset.wyckoffs[kinds.index(kind)] for kind in range(len(points))]

    def _normaliser(self):
        """Yield affine maps that generate the normaliser, up to continuous translations."""
        yield from ((np.eye(3), shift) for shift in self._shifts(np.eye(3)))
        point_group = {key(r) for r in self.rotations}
        seen = set()
        for linear in unimodular():
            if key(linear) in seen:
                continue
            inverse = np.linalg.inv(linear)
            if any(key(linear @ r @ inverse) not in point_group for r in self.rotations):
                continue
            seen |= {key(linear @ r) for r in self.rotations}
            yield from ((linear, shift) for shift in self._shifts(linear)[:1])

    def _shifts(self, linear):
        """Return the shifts t for which (linear, t) maps the group onto itself."""
        translation_of = {key(r): t for r, t in zip(self.rotations, self.translations, strict=True)}
        inverse = np.linalg.inv(linear)
        rows, targets = [], []
        for rotation, translation in zip(self.rotations, self.translations, strict=True):
            image = linear @ rotation @ inverse
            rows.append(np.round(np.eye(3) - image).astype(int))
            targets.append(translation_of[key(image)] - linear @ translation)
        return solutions(np.concatenate(rows), np.concatenate(targets))


@cache
def unimodular():
    """All matrices of -1, 0 and 1 with determinant ±1."""
    entries = np.array(list(itertools.product((-1.0, 0.0, 1.0), repeat=9))).reshape(-1, 3, 3)
    return entries[np.abs(np.abs(np.linalg.det(entries)) - 1) < EPSILON]


def key(matrix):
    return tuple(np.round(matrix).astype(int).ravel().tolist())


def solutions(matrix, target):
    """Return all t with ``matrix @ t = target`` modulo 1, each free direction at zero."""
    diagonal, constants, columns = diagonalised(matrix, target)
    choices = []
    for value, constant in zip(diagonal, constants[:3], strict=True):
        if value:
            choices.append([(constant + k) / value for k in range(abs(value))])
        else:
            choices.append([0.0])
    free = np.concatenate([constants[:3][np.array(diagonal) == 0], constants[3:]])
    if np.abs(free - np.round(free)).max(initial=0) > EPSILON:
        return []
    return [columns @ np.array(y) for y in itertools.product(*choices)]


def diagonalised(matrix, target):
    """Return d, c and unimodular U so that ``matrix @ U @ y = target`` means d · y = c, modulo 1.

    Rows are only swapped and subtracted from each other, columns too: Smith's algorithm.
    """
    a, b, columns = matrix.copy(), target.copy(), np.eye(3, dtype=int)
    for step in range(3):
        while (rest := np.argwhere(a[step:, step:])).size:
            i, j = min(rest + step, key=lambda place: abs(a[tuple(place)]))
            a[[step, i]], b[[step, i]] = a[[i, step]], b[[i, step]]
            a[:, [step, j]], columns[:, [step, j]] = a[:, [j, step]], columns[:, [j, step]]
            for row in set(np.flatnonzero(a[:, step]).tolist()) - {step}:
                factor = a[row, step] // a[step, step]
                a[row] -= factor * a[step]
                b[row] -= factor * b[step]
            for column in set(np.flatnonzero(a[step]).tolist()) - {step}:
                factor = a[step, column] // a[step, step]
                a[:, column] -= factor * a[:, step]
                columns[:, column] -= factor * columns[:, step]
            if not a[step + 1 :, step].any() and not a[step, step + 1 :].any():
                break
    return np.diag(a).tolist(), b, columns


def closure(generators, size):
    """Return the group of permutations of ``range(size)`` that ``generators`` make."""
    reached = {tuple(range(size))}
    waiting = list(reached)
    while waiting:
        one = waiting.pop()
        for other in generators:
            product = tuple(other[i] for i in one)
            if product not in reached:
                reached.add(product)
                waiting.append(product)
    return reached


def table(numbers):
    return {number: found for number in numbers if (found := Group(number).permutations())}


if __name__ == "__main__":
    for number, found in table([int(a) for a in sys.argv[1:]] or range(1, 231)).items():
        print(f"    {number}: {tuple(found)},")
