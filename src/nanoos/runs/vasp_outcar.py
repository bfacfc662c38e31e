"""OUTCAR, read line by line.

Format: VASP manual, "OUTCAR"; what differs between versions was seen in files of 5.3 to 6.4. Each
line that is wanted is known by its first word. Positions have five decimals there.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from functools import partial
from itertools import chain

import numpy as np

from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.parsers.source import MAX_LINE_BYTES
from nanoos.runs.vasp_input import tag_value
from nanoos.runs.vasp_messages import FIRST_WORDS, Messages
from nanoos.runs.vasp_output import (
    IonicStep,
    Output,
    add_levels,
    element_of,
    integer,
    is_converged,
    number,
    table,
    title_element,
)
from nanoos.structures.structure import MAX_SITES, Array

KBAR_GPA = 0.1

_TAG = re.compile(rb"\b([A-Z][A-Z0-9_]+)\s*=\s*([^;=]*)")
_ITERATION = re.compile(rb"Iteration\s*[\d*]+\(\s*([\d*]+)\)")
_NUMBER = re.compile(rb"[-+]?\d+\.\d*(?:[eE][-+]?\d+)?")
_CORES = re.compile(
    rb"running\D*(\d{1,7}) (?:total cores|mpi-ranks)(?:, with\s+(\d{1,4}) threads/rank)?"
)
_DATE = re.compile(rb"date (\d{4}\.\d\d\.\d\d)\s+(\d\d:\d\d:\d\d)")
_AXES = b"xyz"


class _Ended(Exception):
    """The file ends."""


class Outcar:
    """Reads one OUTCAR; ``output`` is whole when the steps have been taken.

    Without ``with_bands`` eigenvalues are passed over.
    """

    def __init__(self, source: Source, *, with_bands: bool = True) -> None:
        self.output = Output()
        self._source = source
        self._messages = Messages(self.output)
        self._is_header = True
        self._step: dict[str, float] = {}
        self._lattice_a: Array | None = None
        self._positions_a: Array | None = None
        self._forces: Array | None = None
        self._stress_gpa: Array | None = None
        self._moments: dict[int, Array] = {}
        self._electronic_steps = 1
        self._cycle_energies_ev: tuple[float | None, float | None] = (None, None)
        self._is_converged: bool | None = None
        self._place: int | None = None
        self._printed: list[str] = []  # titles as VASP lists them before it reads the POTCAR
        self._spin = 1
        self._levels: list[tuple[int, int, list[bytes]]] = []
        self._readers: dict[bytes, Callable[[bytes], None]] = {
            b"POSITION": self._positions,
            b"in": self._pressure,
            b"free": self._free_energy,
            b"energy": self._energies,
            b"magnetization": self._moment_table,
            b"number": self._magnetization,
            b"E-fermi": self._fermi,
            b"Fermi": self._fermi,
            b"direct": self._lattice,
            b"reached": self._reached,
            b"soft": self._stopped,
            b"hard": self._stopped,
            b"General": self._complete,
            b"Elapsed": self._elapsed,
            b"position": self._first_positions,
            b"executed": self._executed,
            b"running": self._running,
            b"generate": self._mesh,
            b"Following": self._irreducible,
            b"k-points": self._listed,
            b"POTCAR:": self._listed_title,
            b"TITEL": self._title,
            b"VRHFIN": self._element,
            b"SHA256": self._hash,
            b"ions": self._counts,
        }
        self._readers |= dict.fromkeys(FIRST_WORDS, self._messages.read)
        if with_bands:
            self._readers |= {b"spin": self._spin_component, b"k-point": self._k_point}

    def steps(self) -> Iterator[IonicStep]:
        """Yield the ionic steps that are whole."""
        with self._source.open() as stream:
            self._lines = enumerate(iter(partial(stream.readline, MAX_LINE_BYTES), b""), 1)
            try:
                self._version(self._next())
                for number, line in self._lines:
                    word = line.split(None, 1)
                    if not word:
                        continue
                    if read := self._readers.get(word[0]):
                        read(line)
                    elif word[0].startswith(b"----") and self._begins_step(line):
                        yield from self._finished()
                        self._place = number
                    if self._is_header and b"=" in line:
                        self._tags(line)
            except _Ended:
                pass
            except ParseError as error:  # of what it is compressed with
                self.output.damage = str(error)
        yield from self._finished()
        self._end_header()
        self._messages.end()
        self._take_bands()

    def _next(self) -> bytes:
        for _, line in self._lines:
            return line
        raise _Ended

    def _take(self, n: int) -> list[bytes]:
        return [self._next() for _ in range(n)]

    def _begins_step(self, line: bytes) -> bool:
        """Read a line of dashes; tell whether an ionic step begins with it."""
        if b" aborting loop " in line:
            self._is_converged = b"not reached" not in line
            return False
        found = _ITERATION.search(line)
        if found is None:
            self._messages.read(line)  # the end of a box, perhaps
            return False
        self._end_header()
        is_first = found[1] == b"1"
        self._electronic_steps += not is_first
        return is_first

    # the beginning

    def _version(self, line: bytes) -> None:
        """The first line, such as `` vasp.6.4.2 20Jul23 (build Dec  6 2024 13:00:52) complex``."""
        word = line.split()[:1]
        if word and word[0].startswith(b"vasp."):
            self.output.version = word[0].removeprefix(b"vasp.").decode("latin-1")

    def _tags(self, line: bytes) -> None:
        for name, written in _TAG.findall(line):
            value = tag_value(name.decode(), written.decode("latin-1"))
            if value is not None:
                self.output.parameters[name.decode()] = value

    def _executed(self, line: bytes) -> None:
        if found := _DATE.search(line):
            written = f"{found[1].decode()} {found[2].decode()}"
            with suppress(ValueError):
                self.output.started_at = datetime.strptime(written, "%Y.%m.%d %H:%M:%S")

    def _running(self, line: bytes) -> None:
        if found := _CORES.search(line):
            self.output.n_cores = int(found[1]) * int(found[2] or 1)

    def _mesh(self, line: bytes) -> None:
        counts = [integer(word) for word in line.partition(b":")[2].split()]
        if len(counts) == 3 and all(counts):
            self.output.divisions = tuple(n for n in counts if n)

    def _irreducible(self, line: bytes) -> None:
        """Read the k-points that symmetry leaves of a mesh, with whole numbers as weights."""
        if b"reciprocal" in line:
            self._next()
            self._points()

    def _listed(self, line: bytes) -> None:
        if b"reciprocal lattice" in line and self.output.k_points is None:
            self._points()

    def _points(self) -> None:
        rows: list[bytes] = []
        while len(row := self._next().split()) == 4:
            rows += row
        if rows:
            self.output.k_points = table(rows, (len(rows) // 4, 4), slice(0, 4))

    def _listed_title(self, line: bytes) -> None:
        self._printed.append(_said(line.partition(b":")[2]))

    def _title(self, line: bytes) -> None:
        self.output.titles.append(_said(line.partition(b"=")[2]))

    def _element(self, line: bytes) -> None:
        self.output.elements.append(element_of(_said(line.partition(b"=")[2])) or "")

    def _hash(self, line: bytes) -> None:
        words = line.partition(b"=")[2].split()
        if words and self._printed:
            self.output.hashes[self._printed[-1]] = words[0].decode("latin-1").lower()

    def _counts(self, line: bytes) -> None:
        if b"ions per type =" in line:
            self.output.counts = [integer(n) or 0 for n in line.partition(b"=")[2].split()]

    def _end_header(self) -> None:
        """Complete what the header says of each type of atom."""
        if not self._is_header:
            return
        self._is_header = False
        output, n = self.output, len(self.output.counts)
        if len(output.titles) != n:  # VASP 6 prints less with NWRITE = 1
            output.titles = (self._printed or output.titles)[:n]
        stated = output.elements if len(output.elements) == n else [""] * n
        output.elements = [
            element or title_element(title) or "X"
            for element, title in zip(stated, output.titles, strict=False)
        ]
        if "LDAUTYPE" in output.parameters:  # printed with U alone
            output.parameters.setdefault("LDAU", True)
        valences = output.parameters.pop("ZVAL", None)
        output.valences = valences if isinstance(valences, list) else []

    def _first_positions(self, line: bytes) -> None:
        if b"cartesian" in line:
            self.output.positions_a = self._vectors(slice(0, 3))
            self.output.lattice_a = self._lattice_a

    # a step

    def _lattice(self, line: bytes) -> None:
        if b"lattice vectors" in line:
            self._lattice_a = table(self._take(3), (3, 3), slice(0, 3))

    def _positions(self, line: bytes) -> None:
        if b"FORCE" not in line:
            return
        self._next()
        both = self._vectors(slice(0, 6))
        if both is not None:
            self._positions_a, self._forces = both[:, :3], both[:, 3:]

    def _vectors(self, columns: slice) -> Array | None:
        """Read a row for each atom."""
        n = sum(self.output.counts)
        if not 0 < n <= MAX_SITES:
            return None
        return table(self._take(n), (n, columns.stop), columns)

    def _pressure(self, line: bytes) -> None:
        if line.split()[1:2] == [b"kB"]:
            row = table([line.partition(b"kB")[2]], (1, 6), slice(0, 6))
            self._stress_gpa = None
            if row is not None:
                xx, yy, zz, xy, yz, zx = -KBAR_GPA * row[0]
                self._stress_gpa = np.array([[xx, xy, zx], [xy, yy, yz], [zx, yz, zz]])

    def _free_energy(self, line: bytes) -> None:
        written = line.partition(b"=")[2]
        if b"free  energy" in line:  # two blanks: after the last electronic step
            self._set("free", written)
        elif found := _NUMBER.search(written):
            self._cycle_energies_ev = (self._cycle_energies_ev[1], number(found[0]))

    def _energies(self, line: bytes) -> None:
        if b"energy  without" in line:
            without, _, zero = line.partition(b"energy(sigma->0)")
            self._set("without", without.partition(b"=")[2])
            self._set("zero", zero.partition(b"=")[2])

    def _set(self, name: str, written: bytes) -> None:
        found = _NUMBER.search(written)
        if found and (value := number(found[0])) is not None:
            self._step[name] = value

    def _magnetization(self, line: bytes) -> None:
        if line.lstrip().startswith(b"number of electron "):
            parts = [number(word) for word in line.partition(b"magnetization")[2].split()]
            known = [part for part in parts if part is not None]
            if parts and len(known) == len(parts):
                along = len(known) == 1
                total = known[0] if along else float(np.linalg.norm(known))
                self.output.total_magnetization_mu_b = total

    def _moment_table(self, line: bytes) -> None:
        axis = _AXES.find(line.partition(b"(")[2][:1])
        n = sum(self.output.counts)
        if axis >= 0 and 0 < n <= MAX_SITES:
            while not self._next().lstrip().startswith(b"---"):
                pass
            rows = [row.split()[-1:] for row in self._take(n)]
            moments = table(chain.from_iterable(rows), (n, 1), slice(0, 1))
            if moments is not None:
                self._moments[axis] = moments[:, 0]

    def _fermi(self, line: bytes) -> None:
        if found := _NUMBER.search(line.partition(b":")[2]):
            self.output.fermi_energy_ev = number(found[0])
            self._levels, self._spin = [], 1

    def _spin_component(self, line: bytes) -> None:
        self._spin = integer(line.split()[-1]) or 1 if b"component" in line else self._spin

    def _k_point(self, line: bytes) -> None:
        place = integer(line.partition(b":")[0].split()[-1])
        if place is None or b"occupation" not in self._next():
            return
        rows: list[bytes] = []
        while len(row := self._next().split()) == 3:
            rows += row
        self._levels.append((self._spin, place, rows))

    def _take_bands(self) -> None:
        """Take the eigenvalues of the last step that has them."""
        add_levels(self.output.bands, self._levels, self._fullest())

    def _fullest(self) -> int:
        """The electrons in a full band: bands of one spin are printed with one."""
        parameters = self.output.parameters
        one = parameters.get("ISPIN") == 2 or parameters.get("LNONCOLLINEAR")
        return 1 if one else 2

    def _finished(self) -> Iterator[IonicStep]:
        """Yield what was found of the step that ends, if it is whole, and begin anew."""
        positions = self.output.positions_a if self._positions_a is None else self._positions_a
        if "free" in self._step and self._lattice_a is not None and positions is not None:
            yield IonicStep(
                lattice_a=self._lattice_a,
                positions_a=positions,
                energy_ev=self._step.get("zero"),
                free_energy_ev=self._step.get("free"),
                energy_without_entropy_ev=self._step.get("without"),
                forces_ev_per_a=self._forces,
                stress_gpa=self._stress_gpa,
                magnetic_moments_mu_b=self._local_moments(),
                electronic_steps=self._electronic_steps or None,
                is_electronically_converged=self._convergence(),
                place=self._place,
            )
        self._step, self._moments = {}, {}
        self._positions_a = self._forces = self._stress_gpa = None
        self._cycle_energies_ev = (None, None)
        self._electronic_steps, self._is_converged = 1, None

    def _convergence(self) -> bool | None:
        counted = is_converged(
            self._electronic_steps, self._cycle_energies_ev, self.output.parameters
        )
        return False if counted is False else self._is_converged

    def _local_moments(self) -> Array | None:
        if set(self._moments) == {0, 1, 2}:
            return np.stack([self._moments[axis] for axis in range(3)], axis=1)
        return self._moments.get(0)

    # the end

    def _reached(self, line: bytes) -> None:
        if b"required accuracy" in line:
            self.output.has_reached_accuracy = True

    def _stopped(self, line: bytes) -> None:
        if b"stop encountered" in line:
            self.output.was_stopped = True

    def _complete(self, line: bytes) -> None:
        if b"timing and accounting" in line:
            self.output.is_complete = True

    def _elapsed(self, line: bytes) -> None:
        if b"Elapsed time (sec):" in line:
            self.output.wall_time_s = number(line.partition(b":")[2])


def _said(text: bytes) -> str:
    return " ".join(text.decode("latin-1").split())
