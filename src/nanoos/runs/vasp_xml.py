"""vasprun.xml, read element by element.

Format: VASP manual, "vasprun.xml". Densities of states, projections and dielectric functions, which
can be a hundred times what is wanted, are dropped before the XML is parsed.
"""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import suppress
from datetime import datetime
from typing import Any, cast
from xml.etree.ElementTree import (
    Element,
    XMLPullParser,
)
from xml.etree.ElementTree import ParseError as XmlError

import numpy as np

from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.runs.bands import Bands
from nanoos.runs.vasp_input import fits
from nanoos.runs.vasp_output import IonicStep, Output, integer, is_converged, number, title_element
from nanoos.runs.xml_elements import MAX_DEPTH
from nanoos.structures.structure import Array

KBAR_EV_PER_A3 = 1e-22 / 1.60217733e-19  # with the charge in VASP's constant.F
KBAR_GPA = 0.1
MAX_OPEN_BYTES = 10 * 1024**2
"""No tag, and no text between tags, is longer."""

_BLOCK_BYTES = 64 * 1024
_MAX_EIGENVALUES_BYTES = 200 * 1024**2
_TAIL_BYTES = 32  # longer than each tag that is looked for
_BULKY = re.compile(
    rb"<(eigenvalues|partial|total|projected|dielectricfunction|eigenvalues_kpoints_opt)>"
    rb"|<(eigenvalues_kpoints_opt)\s"
)
_SPIN = b'<set comment="spin'
_K_POINT = b'<set comment="kpoint'
_ROW = re.compile(rb"<r>([^<]*)</r>")
_CALCULATION = re.compile(rb"<calculation\b")
_REFUSED = re.compile(rb"<!(DOCTYPE|ENTITY)")
_CONTROL = bytes(set(range(32)) - set(b"\t\n\r"))
_AMPERSAND = re.compile(rb"&(?!(?:amp|lt|gt|quot|apos|#\d{1,6});)")


class Vasprun:
    """Reads one vasprun.xml; ``output`` is whole when the steps have been taken."""

    def __init__(self, source: Source) -> None:
        self.output = Output()
        self._source = source
        self._line = 1
        self._begun: deque[int] = deque()  # the lines at which calculations begin
        self._calculation: Element | None = None
        self._ends: dict[str, Callable[[Element], None]] = {
            "generator": self._generator,
            "incar": self._incar,
            "parameters": self._parameters,
            "kpoints": self._k_points,
            "atominfo": self._atoms,
            "structure": self._initial,
            "modeling": self._end_of_document,
        }

    def steps(self) -> Iterator[IonicStep]:
        """Yield the ionic steps that are whole. Raises ParseError for a document type."""
        pull: XMLPullParser[Any] = XMLPullParser(("start", "end"))
        root: Element | None = None
        depth = 0
        try:
            for block in self._blocks():
                pull.feed(_text(block))
                for event, element in cast(Iterator[tuple[str, Element]], pull.read_events()):
                    if event == "start":
                        depth += 1
                        self._begin(element, depth)
                        root = element if root is None else root
                        continue
                    depth -= 1
                    if element.tag == "calculation":
                        yield from self._ended()
                    elif read := self._ends.get(element.tag):
                        read(element)
                    if depth == 1 and root is not None:
                        root.clear()
        except XmlError as error:
            self.output.damage = f"The XML is damaged: {error}."
        if self._calculation is not None:
            yield from self._ended(is_cut=True)

    def _begin(self, element: Element, depth: int) -> None:
        if depth > MAX_DEPTH:
            raise ParseError(f"The XML is nested more than {MAX_DEPTH} levels deep.")
        if element.tag == "calculation":
            self._calculation = element

    def _blocks(self) -> Iterator[bytes]:
        """Yield the document without its bulky parts; of these the eigenvalues are taken."""
        held, n_open = b"", 0
        blocks = self._read()
        for block in blocks:
            held += block
            while found := _BULKY.search(held):
                n_open = self._checked(held[: found.start()], n_open)
                yield held[: found.start()]
                name = found[1] or found[2]
                held = self._cut(held[found.start() :], b"</" + name + b">", blocks)
            end = max(len(held) - _TAIL_BYTES, 0)
            n_open = self._checked(held[:end], n_open)
            yield held[:end]
            held = held[end:]
        self._checked(held, n_open)
        yield held

    def _read(self) -> Iterator[bytes]:
        with self._source.open() as stream:
            try:
                while block := stream.read(_BLOCK_BYTES):
                    yield block
            except ParseError as error:  # of what it is compressed with
                self.output.damage = str(error)

    def _cut(self, held: bytes, closing: bytes, blocks: Iterator[bytes]) -> bytes:
        """Pass over an element that ``held`` begins with; return what follows it."""
        wanted, size = closing == b"</eigenvalues>", 0
        parts: list[bytes] = []
        while (end := held.find(closing)) < 0:
            keep = len(held) - len(closing)
            self._line += held.count(b"\n", 0, keep)
            size += keep
            if wanted and size < _MAX_EIGENVALUES_BYTES:
                parts.append(held[:keep])
            block = next(blocks, b"")
            if not block:
                return b""
            held = held[keep:] + block
        self._line += held.count(b"\n", 0, end)
        if wanted and size < _MAX_EIGENVALUES_BYTES:
            self._eigenvalues(b"".join([*parts, held[:end]]))
        return held[end + len(closing) :]

    def _checked(self, piece: bytes, n_open: int) -> int:
        """Return how many bytes stand since the last tag, and note where calculations begin.

        Raises ParseError: a tag or text too long, a document type.
        """
        if _REFUSED.search(piece):
            raise ParseError("The XML has a document type (DOCTYPE), as no VASP writes it.")
        for found in _CALCULATION.finditer(piece):
            self._begun.append(self._line + piece.count(b"\n", 0, found.start()))
        self._line += piece.count(b"\n")
        last = piece.rfind(b">")
        n_open = n_open + len(piece) if last < 0 else len(piece) - last
        if n_open > MAX_OPEN_BYTES:
            raise ParseError(f"The XML has a tag or text of over {MAX_OPEN_BYTES // 1024**2} MB.")
        return n_open

    def _eigenvalues(self, text: bytes) -> None:
        """Take energy and occupation of each band, of the last calculation that has them."""
        bands = Bands()
        for spin, part in enumerate(text.split(_SPIN)[1:], 1):
            rows, n_k_points = _ROW.findall(part), part.count(_K_POINT)
            try:
                values = np.array(b" ".join(rows).split(), dtype=np.float64)
                values = values.reshape(n_k_points, len(rows) // max(n_k_points, 1), -1)
            except ValueError:
                return
            if values.shape[2] < 2 or not np.isfinite(values).all():
                return
            bands.add(spin, range(n_k_points), values[:, :, 0], values[:, :, 1])
        self.output.bands = bands

    def _end_of_document(self, _element: Element) -> None:
        self.output.is_complete = True

    def _generator(self, element: Element) -> None:
        said = _values(element)
        self.output.version = str(said.get("version") or "").strip() or None
        written = f"{said.get('date', '')} {said.get('time', '')}"
        with suppress(ValueError):
            self.output.started_at = datetime.strptime(written, "%Y %m %d %H:%M:%S")

    def _incar(self, element: Element) -> None:
        self.output.incar = _tags(element)

    def _parameters(self, element: Element) -> None:
        self.output.parameters = _tags(element) | self.output.parameters  # the first counts

    def _k_points(self, element: Element) -> None:
        if self._calculation is not None or element.attrib or self.output.k_points is not None:
            return  # those of an interpolation
        points = _rows(element.find("varray[@name='kpointlist']"))
        weights = _rows(element.find("varray[@name='weights']"))
        if points is not None and weights is not None and len(points) == len(weights):
            self.output.k_points = np.hstack([points, weights])
        generation = element.find("generation")
        if generation is None:
            return
        self.output.is_line_mode = generation.get("param") == "listgenerated"
        divisions = _values(generation).get("divisions")
        if isinstance(divisions, list) and len(divisions) == 3 and all(divisions):
            self.output.divisions = tuple(divisions)

    def _atoms(self, element: Element) -> None:
        for row in element.iterfind("array[@name='atomtypes']/set/rc"):
            count, symbol, _mass, valence, title = [(c.text or "").strip() for c in row][:5]
            self.output.counts.append(integer(count) or 0)
            self.output.elements.append(title_element(f"- {symbol}") or title_element(title) or "X")
            self.output.valences.append(number(valence) or 0.0)
            self.output.titles.append(title)

    def _initial(self, element: Element) -> None:
        if element.get("name") == "initialpos":
            self.output.lattice_a, self.output.positions_a = _geometry(element) or (None, None)

    def _ended(self, *, is_cut: bool = False) -> Iterator[IonicStep]:
        """Yield the step of the calculation that ended; of one that is cut, if it has energies."""
        calculation, self._calculation = self._calculation, None
        if calculation is None or (is_cut and calculation.find("energy") is None):
            return
        place = self._begun.popleft() if self._begun else None
        for dos in calculation.iterfind("dos"):
            if not dos.attrib:  # the others are interpolated
                self.output.fermi_energy_ev = number(dos.findtext("i[@name='efermi']"))
        step = self._step(calculation)
        if step is not None:
            step.place = place
            yield step

    def _step(self, calculation: Element) -> IonicStep | None:
        structure = calculation.find("structure")
        geometry = None if structure is None else _geometry(structure)
        if geometry is None:
            return None
        cycles = calculation.findall("scstep")
        step = IonicStep(lattice_a=geometry[0], positions_a=geometry[1])
        energies = calculation.find("energy")
        if energies is not None:  # GW has none
            self._set_energies(step, _values(energies), cycles)
        step.forces_ev_per_a = _rows(calculation.find("varray[@name='forces']"), step.positions_a)
        pressure_kbar = _rows(calculation.find("varray[@name='stress']"), step.lattice_a)
        if pressure_kbar is not None:
            step.stress_gpa = -KBAR_GPA * pressure_kbar
        if cycles:
            step.electronic_steps = len(cycles)
            last = [number(one.findtext("energy/i[@name='e_fr_energy']")) for one in cycles[-2:]]
            said = self.output.parameters
            step.is_electronically_converged = is_converged(len(cycles), last, said)
        return step

    def _set_energies(self, step: IonicStep, stated: dict[str, Any], cycles: list[Element]) -> None:
        """Set the three energies.

        That of the step is an enthalpy where there is external pressure, and versions before 6.1
        write another number as ``e_0_energy``. So, as in ASE, the free energy is that of the step
        without pressure times volume, and the last electronic step tells the differences.
        """
        last = cycles[-1].find("energy") if cycles else None
        inner = stated if last is None else _values(last)
        free, inner_free = stated.get("e_fr_energy"), inner.get("e_fr_energy")
        if free is None:
            return
        pressure = self.output.parameters.get("PSTRESS") or 0.0
        volume = abs(float(np.linalg.det(step.lattice_a)))
        free -= pressure * KBAR_EV_PER_A3 * volume
        step.free_energy_ev = free
        if inner_free is not None:
            zero, without = inner.get("e_0_energy"), inner.get("e_wo_entrp")
            step.energy_ev = None if zero is None else free + zero - inner_free
            step.energy_without_entropy_ev = (
                None if without is None else free + without - inner_free
            )


def _text(block: bytes) -> str:
    """Return a part of the document as expat takes it, whatever a comment holds."""
    block = block.translate(None, _CONTROL)
    if b"&" in block:
        block = _AMPERSAND.sub(b"&amp;", block)
    try:
        return block.decode()
    except UnicodeDecodeError:
        return block.decode("latin-1")  # what the document says it is


def _values(element: Element) -> dict[str, Any]:
    """Return the named values within an element; None for a number that is none."""
    found = {}
    for one in element.iter():
        name = one.get("name")
        if not name or name in found:  # GW has an NELM of its own, further down
            continue
        if one.tag == "i":
            found[name] = _value(one.get("type"), (one.text or "").strip())
        elif one.tag == "v":
            found[name] = [_value(one.get("type"), word) for word in (one.text or "").split()]
    return found


def _tags(element: Element) -> dict[str, Any]:
    """Return the named values that a tag of the name may have, names in capitals."""
    named = ((name.upper(), value) for name, value in _values(element).items())
    return {name: value for name, value in named if value is not None and fits(name, value)}


def _value(kind: str | None, text: str) -> Any:
    if kind == "string":
        return text
    if kind == "logical":
        return text.upper().startswith("T")
    return integer(text) if kind == "int" else number(text)


def _geometry(structure: Element) -> tuple[Array, Array] | None:
    """Return lattice and Cartesian positions, in Å."""
    lattice = _rows(structure.find("crystal/varray[@name='basis']"))
    fractional = _rows(structure.find("varray[@name='positions']"))
    if lattice is None or lattice.shape != (3, 3) or fractional is None:
        return None
    return None if fractional.shape[1] != 3 else (lattice, fractional @ lattice)


def _rows(element: Element | None, like: Array | None = None) -> Array | None:
    """Return the rows of numbers in an element; None unless there are any, and all finite.

    ``like`` is an array whose shape they should have.
    """
    if element is None or len(element) == 0:
        return None
    try:
        rows = np.array([(row.text or "").split() for row in element], dtype=np.float64)
    except ValueError:
        return None
    if rows.ndim != 2 or (like is not None and rows.shape != like.shape):
        return None
    return rows if np.isfinite(rows).all() else None
