"""LAMMPS: ``log.lammps`` and the dump beside it.

The log has energies and pressure, by time step; the dump, read through ASE, has geometries and
forces. A log alone has no geometry, so it makes no run. Elements are those of the dump, or what
the masses in the log or in a data file tell.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from contextlib import suppress
from dataclasses import dataclass, field
from hashlib import sha256
from io import StringIO
from typing import Any

import numpy as np

from nanoos.errors import ParseError, StructureError
from nanoos.methods import Method
from nanoos.runs.ase_results import step, told
from nanoos.runs.ase_text import first, images_of, last, last_match, value, whole_lines
from nanoos.runs.run import Run, RunFolder, Step

_HEAD_BYTES = 4096
_LOG = re.compile(rb"^LAMMPS \(", re.MULTILINE)
_DUMP = b"ITEM: TIMESTEP"
_DATA = re.compile(rb"^\s*\d+\s+atom types", re.MULTILINE)

_VERSION = re.compile(r"^LAMMPS \((.+?)\)", re.MULTILINE)
_UNITS = re.compile(r"^units\s+(\w+)", re.MULTILINE)
_PAIR = re.compile(r"^(pair_style\s.+|pair_coeff\s.+)$", re.MULTILINE)
_TERM = re.compile(
    r"^((?:kspace|bond|angle|dihedral|improper)_(?:style|coeff|modify)\s.+"
    r"|(?:pair_modify|special_bonds|dielectric)\s.+)$",
    re.MULTILINE,
)
_COEFFICIENTS = re.compile(r"^ *(\w+ Coeffs.*\n(?:[ \t]*\n|[ \t]*\d.*\n?)*)", re.MULTILINE)
_NORM = re.compile(r"^thermo_(?:style\s|modify\s.*?\bnorm\s+(\w+))", re.MULTILINE)
_MASS = re.compile(r"^(?:mass\s+)?(\d+)\s+([\d.]+(?:[eE][+-]?\d+)?)\s*(?:#.*)?$", re.MULTILINE)
_MASSES = re.compile(r"^Masses.*\n\s*\n((?:\s*\d+\s+[\d.eE+-]+.*\n)+)", re.MULTILINE)
_TABLE = re.compile(r"^ *Step +.*\n(?:.*\n)*?(?=Loop time|ERROR|\Z)", re.MULTILINE)
_ERROR = re.compile(r"^ERROR:? *(.+)$", re.MULTILINE)
_STOPPED = re.compile(r"^ *Stopping criterion = (.+)$", re.MULTILINE)
_TIME = re.compile(r"^Total wall time: (\d+):(\d+):(\d+)", re.MULTILINE)
_CORES = re.compile(r"on (\d+) procs")
_BEGIN = re.compile(r"^ITEM: TIMESTEP", re.MULTILINE)
_CONVERGED = frozenset({"energy tolerance", "force tolerance", "linesearch alpha is zero"})
_PRESSURES = ("Pxx", "Pyy", "Pzz", "Pyz", "Pxz", "Pxy")  # as ASE orders stress


class Lammps:
    """The reader of LAMMPS's logs with their dumps."""

    name = "lammps"

    def runs(self, folder: RunFolder) -> list[RunFolder]:
        """Return the one log with the one dump of a folder; several cannot be told apart.

        What LAMMPS wrote to the screen repeats the log, which is then the file named as one.
        """
        found = _Found.of(folder)
        named = [name for name in found.logs if name.startswith("log.")]
        logs = named if len(found.logs) > 1 else found.logs
        if len(logs) != 1 or len(found.dumps) != 1:
            return []
        names = [*logs, *found.dumps, *found.data]
        files = {name: folder.files[name] for name in names}
        return [RunFolder(folder.name, files, outputs=(*logs, *found.dumps))]

    def read(self, run: RunFolder) -> Iterator[Step | Run]:
        """Yield the dumped steps, then the run. Raises ParseError when there is none."""
        found = _Found.of(run)
        log = whole_lines(run.files[found.logs[0]])
        units = last(_UNITS, log) or "lj"
        if units not in ("metal", "real", "si", "cgs", "electron"):
            raise ParseError(f"Quantities in the units {units!r} of LAMMPS have no scale.")
        data = [whole_lines(run.files[name]) for name in found.data]
        elements = _elements([log, *data])
        images, notes = _images(whole_lines(run.files[found.dumps[0]]), units, elements)
        thermo = _thermo(log)
        is_per_atom = _is_per_atom(log)
        n_steps = 0
        for atoms in images:
            place = atoms.info.get("timestep")
            try:
                yield _step(atoms, thermo.get(place, {}), units, is_per_atom=is_per_atom)
                n_steps += 1
            except (StructureError, ParseError) as error:
                notes.append(f"Time step {place}: {error}")
        if not n_steps:
            raise ParseError(notes[0] if notes else "The dump has no step.")
        yield _run(run, log, _method(log, data, units), notes)


@dataclass
class _Found:
    """The names of the files that matter, by what they are."""

    logs: list[str] = field(default_factory=list)
    dumps: list[str] = field(default_factory=list)
    data: list[str] = field(default_factory=list)

    @classmethod
    def of(cls, folder: RunFolder) -> _Found:
        """Tell the files of a folder by their content."""
        found = cls()
        for name, source in folder.files.items():
            with suppress(ParseError):
                head = source.head(_HEAD_BYTES)
                if head.startswith(_DUMP):
                    found.dumps.append(name)
                elif _LOG.search(head) and b"units" in head:
                    found.logs.append(name)
                elif _DATA.search(head):
                    found.data.append(name)
        return found


def _images(text: str, units: str, elements: list[str]) -> tuple[list[Any], list[str]]:
    def with_ase(stream: StringIO) -> Any:
        from ase.io.lammpsrun import read_lammps_dump_text

        return read_lammps_dump_text(stream, slice(None), units=units, specorder=elements or None)

    images, cause = images_of(text, with_ase)
    if cause is None:
        return images, []
    frames = [match.start() for match in _BEGIN.finditer(text)]
    images, _ = images_of(text[: frames[-1]] if frames else "", with_ase)
    return images, [cause]


def _elements(texts: list[str]) -> list[str]:
    """Return the element of each type by its mass; none where one is not that of an element."""
    from ase.data import atomic_masses, chemical_symbols

    found: dict[int, float] = {}
    log, *data = texts
    blocks = [line for line in log.splitlines() if line.startswith("mass ")]
    blocks += [match[1] for text in data for match in _MASSES.finditer(text)]
    for block in blocks:
        for line in block.splitlines():
            if match := _MASS.fullmatch(line.strip()):
                found[int(match[1])] = float(match[2])
    symbols: list[str] = []
    for kind in sorted(found):
        nearest = int(np.nanargmin(np.abs(atomic_masses - found[kind])))
        if abs(atomic_masses[nearest] - found[kind]) > 0.1 or kind != len(symbols) + 1:
            return []
        symbols.append(chemical_symbols[nearest])
    return symbols


def _thermo(log: str) -> dict[int, dict[str, float]]:
    """Return what the log's tables say, by time step; the last where one is there twice."""
    found: dict[int, dict[str, float]] = {}
    for table in _TABLE.finditer(log):
        head, *rows = table[0].splitlines()
        names = head.split()
        for row in rows:
            with suppress(ValueError):
                numbers = [float(word) for word in row.split()]
                if len(numbers) == len(names):
                    found[int(numbers[0])] = dict(zip(names, numbers, strict=True))
    return found


def _is_per_atom(log: str) -> bool:
    """Tell whether energies are divided by the number of atoms; a style begins without that."""
    said = last_match(_NORM, log)
    return said is not None and said[1] in {"yes", "on", "true"}


def _step(atoms: Any, thermo: Mapping[str, float], units: str, *, is_per_atom: bool) -> Step:
    from ase.calculators.lammps import convert

    from nanoos.structures import Structure

    results: dict[str, Any] = {}
    if atoms.calc is not None:
        results["forces"] = atoms.calc.results.get("forces")  # its energy, 0, is a stand-in
    energy = thermo.get("PotEng")
    if energy is None and "E_pair" in thermo:
        energy = thermo["E_pair"] + thermo.get("E_mol", 0.0)
    if energy is not None:
        energy *= len(atoms) if is_per_atom else 1
        results["energy"] = convert(energy, "energy", units, "ASE")  # type: ignore[no-untyped-call]
    if all(name in thermo for name in _PRESSURES):
        pressures = np.array([thermo[name] for name in _PRESSURES])
        results["stress"] = -convert(pressures, "pressure", units, "ASE")  # type: ignore[no-untyped-call]
    return step(results, Structure.from_ase(atoms), atoms.info.get("timestep"))


def _run(run: RunFolder, log: str, method: Method, notes: list[str]) -> Run:
    stopped, error = last(_STOPPED, log), first(_ERROR, log)
    is_minimised = stopped in _CONVERGED if stopped else None
    time = _TIME.search(log)
    hours, minutes, seconds = map(int, time.groups()) if time else (0, 0, 0)
    end = "crashed" if error else "finished" if time else "unfinished"
    problems = ["error"] * bool(error) + ["ionic_steps_exhausted"] * (is_minimised is False)
    is_dynamics = re.search(r"^run\s+[1-9]", log, re.MULTILINE) is not None
    return Run(
        name=run.name,
        method=method,
        task="relax"
        if stopped and not is_dynamics
        else "molecular_dynamics"
        if is_dynamics
        else "other",
        end=end,  # type: ignore[arg-type]
        problems=(*problems, *(["truncated"] if notes else [])),  # type: ignore[arg-type]
        message=" ".join(filter(None, (error, told(notes)))) or None,
        is_ionically_converged=is_minimised,
        wall_time_s=float(3600 * hours + 60 * minutes + seconds) if time else None,
        n_cores=int(cores) if (cores := value(last(_CORES, log))) else None,
        files={name: source.sha256 for name, source in run.files.items()},
    )


def _method(log: str, data: list[str], units: str) -> Method:
    """Return the force field: styles and coefficients as the input gave them.

    Coefficients that a data file has are known by their hash. Where there are none at all, as after
    ``read_restart``, nothing is known to be comparable, and the log's hash tells.
    """
    lines = [
        " ".join(line.split()) for line in dict.fromkeys(_PAIR.findall(log)) if "$" not in line
    ]
    styles = [line.removeprefix("pair_style ") for line in lines if line.startswith("pair_style")]
    pairs = [line for line in lines if line.startswith("pair_coeff")]
    terms = [" ".join(line.split()) for line in _TERM.findall(log) if "$" not in line]
    further: dict[str, Any] = {"units": units, "pair_coeff": pairs, "terms": sorted({*terms})}
    if not pairs:
        tables = sorted(
            {" ".join(table.split()) for text in data for table in _COEFFICIENTS.findall(text)}
        )
        further["coefficients_sha256"] = sha256(("\n".join(tables) or log).encode()).hexdigest()
    return Method(
        code="LAMMPS",
        code_version=first(_VERSION, log),
        functional=styles[-1] if styles else None,
        further=further,
    )
