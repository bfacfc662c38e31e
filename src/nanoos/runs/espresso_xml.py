"""The XML of a pw.x run: ``prefix.xml``, or ``data-file-schema.xml`` in ``prefix.save``.

Schema qes of Quantum ESPRESSO 6.2 and newer, https://www.quantum-espresso.org/ns/qes. All
quantities are in Hartree atomic units. Stress is printed as pressure, so its sign is turned.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Set
from contextlib import suppress
from dataclasses import replace
from typing import Any
from xml.etree.ElementTree import Element

import numpy as np

from nanoos.errors import ParseError, StructureError
from nanoos.parsers import Source
from nanoos.parsers.espresso_cards import element_of
from nanoos.parsers.espresso_cell import BOHR_A, RYDBERG_EV
from nanoos.parsers.plain import plain
from nanoos.runs.bands import Bands
from nanoos.runs.espresso_facts import (
    SMEARINGS,
    Facts,
    dispersion_name,
)
from nanoos.runs.espresso_units import HARTREE_EV, HARTREE_PER_BOHR3_GPA
from nanoos.runs.k_points import grid_spacing_per_a, list_spacing_per_a
from nanoos.runs.run import End, Problem, Step
from nanoos.runs.xml_elements import elements
from nanoos.structures import Structure
from nanoos.structures.sameness import is_same_geometry
from nanoos.structures.structure import Array

SIGN = b"<qes:espresso"
"""What such a file has near its beginning."""

_FACTS = frozenset(
    {"general_info", "parallel_info", "input", "output", "ks_energies", "exit_status", "status"}
    | {"timing_info", "closed"}
)
_SKIPPED = frozenset({"symmetries", "Hubbard_ns"})
_STATUS: dict[int, tuple[End, tuple[Problem, ...]]] = {
    0: ("finished", ()),
    2: ("finished", ("electronic_steps_exhausted",)),
    3: ("finished", ("ionic_steps_exhausted",)),
    255: ("time_limit", ()),
}
"""What the exit status of pw.x means: ``run_pwscf.f90``, ``check_stop.f90``."""


class EspressoXml:
    """One such file: its steps, and, after them, its facts and the geometry it began with."""

    def __init__(self, source: Source) -> None:
        self._source = source
        self._bands = Bands()
        self._max_electronic_steps: int | None = None
        self._max_steps: int | None = None
        self._stated_u: dict[tuple[str, str], float] = {}
        self.facts = Facts()
        self.initial: Structure | None = None
        self.next_structure: Structure | None = None
        self.parameters: dict[str, Any] = {}
        self.final: Step | None = None
        self.alat_a: float | None = None

    def read(self) -> None:
        """Read the facts and the first and the last geometry alone."""
        for element in self._elements(_FACTS):
            self._take(element)

    def steps(self) -> Iterator[Step]:
        """Yield every ionic step; the output has stress and moments of the last one.

        After a vc-relax the output is a step of its own: the last geometry, calculated again.
        """
        held: Step | None = None
        n_steps = 0
        for element in self._elements(_FACTS | {"step"}):
            if element.tag != "step":
                self._take(element)
                continue
            if held is not None:
                yield held
            n_steps += 1
            held = _step(element, n_steps)
        last = self.final
        if held is not None and last is not None and held.energy_ev == last.energy_ev:
            # the geometry of the output may be the next one, which dynamics went on to
            if not is_same_geometry(held.structure, last.structure):
                self.next_structure = last.structure
            held = replace(last, structure=held.structure, place=held.place)
            last = None
        for step in (held, last):
            if step is not None:
                yield step

    def is_of(self, energies_ev: Set[float | None]) -> bool:
        """Tell whether its energy is one of those of a text, or one of them has none."""
        energy = self.final.energy_ev if self.final is not None else None
        printed = [one for one in energies_ev if one is not None]
        return energy is None or not printed or bool(np.isclose(printed, energy, 0, 1e-6).any())

    def _elements(self, wanted: frozenset[str]) -> Iterator[Element]:
        try:
            yield from elements(self._source, wanted, _SKIPPED)
        except ParseError as error:
            self.facts.problems = ("truncated",)
            self.facts.message = str(error)

    def _take(self, element: Element) -> None:
        take = getattr(self, f"_take_{element.tag}", None)
        if take is not None:
            with suppress(ParseError):  # of a number that is none: what it belongs to is not said
                take(element)

    def _take_general_info(self, info: Element) -> None:
        creator = info.find("creator")
        self.facts.version = None if creator is None else creator.get("VERSION")

    def _take_parallel_info(self, info: Element) -> None:
        processes, threads = _integer(info, "nprocs"), _integer(info, "nthreads")
        if processes is not None:
            self.facts.n_cores = processes * (threads or 1)

    def _take_input(self, given: Element) -> None:
        self.facts.calculation = _text(given, "control_variables/calculation")
        structure = given.find("atomic_structure")
        if structure is not None:
            self._take_alat(structure)
            with suppress(StructureError):
                self.initial = _structure(structure)
        self._max_electronic_steps = _integer(given, "electron_control/max_nstep")
        self._max_steps = _integer(given, "control_variables/nstep")
        self.parameters = {
            section.tag: {one.tag: _plain(one.text) for one in section if one.text and not len(one)}
            for section in given
            if section.tag not in {"atomic_species", "atomic_structure"}
        }
        isolated = _text(given, "boundary_conditions/assume_isolated")
        if isolated and isolated != "none":
            self.facts.further["assume_isolated"] = isolated
        self._take_method(given, "basis")

    def _take_output(self, output: Element) -> None:
        """Take the results; what it says of the method is what was used, not what was asked."""
        for structure in output.findall("atomic_structure"):  # of the input it may be |a1|
            self._take_alat(structure)
        self._take_method(output, "basis_set")
        facts = self.facts
        scf = "convergence_info/scf_conv"
        if facts.task != "other":
            facts.is_electronically_converged = _flag(output, f"{scf}/convergence_achieved")
        if facts.is_electronically_converged is False:
            n_steps = _integer(output, f"{scf}/n_scf_steps") or 0
            if n_steps < (self._max_electronic_steps or 0):
                facts.end = "unfinished"
            else:
                facts.problems = ("electronic_steps_exhausted",)
        if facts.task == "relax":
            opt = "convergence_info/opt_conv"
            facts.is_ionically_converged = _flag(output, f"{opt}/convergence_achieved")
            n_steps = _integer(output, f"{opt}/n_opt_steps") or 0
            if not facts.is_ionically_converged and n_steps >= (self._max_steps or 1):
                facts.problems = ("ionic_steps_exhausted",)
        for name in ("total_energy", "convergence_info") if facts.task == "other" else ():
            for found in output.findall(name):  # of the run that made the density
                output.remove(found)
        if facts.is_electronically_converged is not False:
            self._take_levels(output)
        self.final = _step(output, None)

    def _take_alat(self, structure: Element) -> None:
        alat = structure.get("alat")
        if alat:
            self.alat_a = _number(alat) * BOHR_A

    def _take_levels(self, output: Element) -> None:
        facts = self.facts
        if facts.smearing != "fixed":  # else it is the highest level
            fermi = _value(output, "band_structure/fermi_energy")
            facts.fermi_energy_ev = None if fermi is None else fermi * HARTREE_EV
        if facts.is_spin_polarised:
            facts.total_magnetization_mu_b = _value(output, "magnetization/total")
        facts.band_gap_ev, facts.is_gap_direct = self._bands.gap()

    def _take_method(self, given: Element, basis: str) -> None:
        facts = self.facts
        for species in given.iterfind("atomic_species/species"):
            name = _text(species, "pseudo_file")
            if name:
                facts.pseudopotentials[species.get("name", "")] = name
        facts.functional = (
            _text(given, "dft/functional") or facts.functional or ""
        ).upper() or None
        facts.dispersion = dispersion_name(
            _text(given, "dft/vdW/vdw_corr") or "", _integer(given, "dft/vdW/dftd3_version") or 3
        )
        self._take_u(given)
        self._take_cutoffs(given, basis)
        self._take_spin(given)
        self._take_k_points(given)
        self._take_occupations(given)
        for place in ("bands/tot_charge", "dft/hybrid/exx_fraction"):
            if value := _value(given, place):
                facts.further[place.rpartition("/")[2]] = value

    def _take_u(self, given: Element) -> None:
        """Take U, in Hartree since 7.1 (before, input in eV, output in Ry), and its orbitals."""
        stated = {
            (u.get("specie", ""), u.get("label", "")[-1:]): _number(u.text)
            for u in given.iterfind("dft/dftU/Hubbard_U")
        }
        if given.tag == "input":
            self._stated_u = stated
            return
        projection = _text(given, "dft/dftU/U_projection_type") or "atomic"
        if projection != "atomic":
            self.facts.further["U_projection_type"] = projection
        for (label, shell), value in stated.items():
            unit = HARTREE_EV
            if not np.isclose(self._stated_u.get((label, shell), value), value, rtol=1e-6):
                unit = RYDBERG_EV
            if value and shell.isalpha():
                self.facts.add_u(label, shell, value * unit)

    def _take_cutoffs(self, given: Element, basis: str) -> None:
        for name, tag in (("cutoff_ev", "ecutwfc"), ("density_cutoff_ev", "ecutrho")):
            value = _value(given, f"{basis}/{tag}")
            if value is not None:
                setattr(self.facts, name, value * HARTREE_EV)

    def _take_spin(self, given: Element) -> None:
        for place in ("spin", "magnetization"):
            if given.find(place) is not None:
                self.facts.is_spin_polarised = _flag(given, f"{place}/lsda")
                self.facts.is_noncollinear = _flag(given, f"{place}/noncolin")
                self.facts.has_spin_orbit = _flag(given, f"{place}/spinorbit")

    def _take_k_points(self, given: Element) -> None:
        """Take the distance of k-points; a list is in units of 2π/alat."""
        if self.initial is None or self.initial.lattice_a is None:
            return
        for place in ("k_points_IBZ", "band_structure/starting_k_points"):
            grid = given.find(f"{place}/monkhorst_pack")
            points = given.findall(f"{place}/k_point")
            if grid is not None:
                divisions = [int(_number(grid.get(f"nk{i}"))) for i in (1, 2, 3)]
                self.facts.k_spacing_per_a = grid_spacing_per_a(self.initial.lattice_a, divisions)
            elif points and self.alat_a:
                table = np.array([_numbers(point.text, 3) for point in points])
                weights = np.array([_number(point.get("weight")) for point in points])
                self.facts.k_spacing_per_a = list_spacing_per_a(
                    self.initial.lattice_a, table * (2 * np.pi / self.alat_a), weights
                )

    def _take_occupations(self, given: Element) -> None:
        for place, kind in (("bands", "occupations"), ("band_structure", "occupations_kind")):
            occupations = _text(given, f"{place}/{kind}")
            smearing = given.find(f"{place}/smearing")
            if occupations is None:
                continue
            self.facts.smearing = "tetrahedron" if "tetra" in occupations else occupations
            if occupations == "smearing" and smearing is not None:
                name = (smearing.text or "").strip().casefold()
                self.facts.smearing = SMEARINGS.get(name, name)
                self.facts.smearing_width_ev = _number(smearing.get("degauss")) * HARTREE_EV

    def _take_ks_energies(self, point: Element) -> None:
        eigenvalues = _numbers(_text(point, "eigenvalues"))
        occupations = _numbers(_text(point, "occupations"), eigenvalues.size)
        n_spins = 2 if self.facts.is_spin_polarised else 1
        if eigenvalues.size % n_spins == 0 < eigenvalues.size:  # one spin after the other
            place = len(self._bands)
            energies_ev = (eigenvalues * HARTREE_EV).reshape(n_spins, 1, -1)
            for spin, full in enumerate(occupations.reshape(n_spins, 1, -1)):
                self._bands.add(spin, [place], energies_ev[spin], full)

    def _take_exit_status(self, status: Element) -> None:
        """Take how pw.x ended; version 6 says 0 also where the output says that it did not."""
        facts = self.facts
        end, problems = _STATUS.get(int(_number(status.text)), ("crashed", ("error",)))
        facts.end = facts.end if end == "finished" and facts.end else end
        facts.problems = problems or facts.problems

    _take_status = _take_exit_status

    def _take_timing_info(self, timing: Element) -> None:
        self.facts.wall_time_s = _value(timing, "total/wall")

    def _take_closed(self, closed: Element) -> None:  # noqa: ARG002 - that it is there says it
        if self.facts.end is None:
            self.facts.end = "finished"


def _step(element: Element, place: int | None) -> Step | None:
    """Return the geometry of a step or of the output, with its results; None if it makes none."""
    given = element.find("atomic_structure")
    if given is None:
        return None
    try:
        structure = _structure(given)
    except (StructureError, ParseError):
        return None
    n = structure.n_sites
    energy, entropy = _value(element, "total_energy/etot"), _value(element, "total_energy/demet")
    scf = element.find("scf_conv") if place else element.find("convergence_info/scf_conv")
    scf = Element("scf_conv") if scf is None else scf
    forces, stress = _array(element, "forces", 3 * n), _array(element, "stress", 9)
    energy_ev = energy * HARTREE_EV if energy else None
    return Step(
        structure=structure,
        energy_ev=energy_ev,
        free_energy_ev=energy_ev,
        energy_without_entropy_ev=(
            energy_ev - (entropy or 0.0) * HARTREE_EV if energy_ev is not None else None
        ),
        forces_ev_per_a=None if forces is None else forces.reshape(n, 3) * (HARTREE_EV / BOHR_A),
        stress_gpa=None if stress is None else stress.reshape(3, 3) * -HARTREE_PER_BOHR3_GPA,
        magnetic_moments_mu_b=_moments(element, n),
        electronic_steps=_integer(scf, "n_scf_steps"),
        is_electronically_converged=_flag(scf, "convergence_achieved"),
        place=place,
    )


def _structure(given: Element) -> Structure:
    """Return a geometry. Raises ParseError or StructureError."""
    atoms = given.findall("atomic_positions/atom")
    positions = [_numbers(atom.text, 3) for atom in atoms]
    vectors = [_numbers(_text(given, f"cell/a{i}"), 3) for i in (1, 2, 3)]
    elements_ = [element_of(atom.get("name", ""), 0) for atom in atoms]
    return Structure.of(
        np.array(vectors) * BOHR_A, np.array(positions).reshape(-1, 3) * BOHR_A, elements_
    )


def _moments(output: Element, n_sites: int) -> Array | None:
    """Return the local moments, which version 7.5 prints first."""
    sites = output.findall("magnetization/Scalar_Site_Magnetic_Moments/SiteMagnetization")
    if len(sites) != n_sites:
        return None
    return np.array([_number(site.text) for site in sites])


def _array(element: Element, place: str, size: int) -> Array | None:
    """Return numbers that are there and finite; Fortran prints stars for what overflows."""
    try:
        return _numbers(_text(element, place), size)
    except ParseError:
        return None


def _text(element: Element, place: str) -> str | None:
    text = element.findtext(place)
    return None if text is None else text.strip()


def _numbers(text: str | None, size: int | None = None) -> Array:
    try:
        values = np.array((text or "").split(), dtype=np.float64)
    except ValueError:
        values = np.array([np.nan])
    if not np.isfinite(values).all() or size not in (None, values.size):
        raise ParseError("The XML has no numbers where pw.x prints some.")
    return values


def _number(text: str | None) -> float:
    return float(_numbers(text, 1)[0])


def _value(element: Element, place: str) -> float | None:
    found = _array(element, place, 1)
    return None if found is None else float(found[0])


def _integer(element: Element, place: str) -> int | None:
    value = _value(element, place)
    return None if value is None else int(value)


def _plain(text: str) -> Any:
    """Return a value as JSON has it."""
    text = text.strip()
    if text in {"true", "false"}:
        return text == "true"
    try:
        return int(text) if re.fullmatch(r"[-+]?\d{1,18}", text) else plain(float(text))
    except ValueError:
        return text


def _flag(element: Element, place: str) -> bool | None:
    text = _text(element, place)
    return None if text is None else text == "true"
