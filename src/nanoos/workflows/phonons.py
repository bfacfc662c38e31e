"""Phonons by finite displacements: bands, density of states, and what follows of temperature."""

from __future__ import annotations

from pathlib import Path
from typing import Any
from warnings import catch_warnings

import numpy as np
from numpy.typing import NDArray
from pydantic import BaseModel, ConfigDict, Field

from nanoos.engines import Engine, Evaluation
from nanoos.errors import UnsupportedByEngine, WorkflowError
from nanoos.structures import Structure
from nanoos.structures.geometry import cell_heights
from nanoos.workflows.single_point import ELECTRONS_NOTE, evaluated_quantities
from nanoos.workflows.workflow import Outcome, OutputFile, Progress, refusal

Array = NDArray[np.float64]

SYMPREC_A = 1e-3
"""Within this, in Å, symmetry saves displacements; a wider one would bend the forces."""
POINTS_PER_INVERSE_A = 20
"""Of the band path, along which lengths are 2π over a wavelength."""
DOS_POINTS = 201
IMAGINARY_THZ = -0.05
"""Modes below are imaginary; above it, the noise of acoustic modes near Γ."""
MAX_ACOUSTIC_THZ = 0.1
"""Acoustic modes at Γ that miss zero by more do not count as converged."""
MAX_FORCE_EV_PER_A = 0.01
"""Nor those of a structure in which larger forces remain."""


class PhononsParameters(BaseModel):
    """How large the supercell is, how far atoms are moved, and the temperatures of interest."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    supercell_length: float = Field(
        default=10.0,
        ge=2,
        le=100,
        title="Supercell length",
        description="Opposite faces of the supercell are at least so far apart (unit: Å).",
    )
    displacement: float = Field(
        default=0.01,
        ge=1e-4,
        le=0.2,
        title="Displacement",
        description="How far one atom is moved (unit: Å).",
    )
    mesh_length: float = Field(
        default=50.0,
        ge=5,
        le=500,
        title="Mesh length",
        description="Wave vectors along each reciprocal vector: this times the vector's length "
        "over 2π (unit: Å).",
    )
    temperatures: tuple[float, ...] = Field(
        default=(0, 100, 200, 300, 400, 500, 600, 700, 800, 900, 1000),
        title="Temperatures",
        description="For free energy, entropy and heat capacity (unit: K).",
        max_length=1000,
    )


class Phonons:
    """Move one atom after another in a supercell, and take the forces for springs.

    The displacements that symmetry leaves, force constants, band structure and thermal properties
    are phonopy's (A. Togo, J. Phys. Soc. Jpn. 92, 012001 (2023)); the path through the Brillouin
    zone is ASE's for the primitive cell. The structure should be relaxed. Imaginary frequencies
    are negative, and mean that it is not stable. Long-range dipoles of insulators are left out:
    optical modes do not split at Γ.
    """

    name = "phonons"
    version = "1"
    title = "Phonons: bands, density of states, thermal properties, dynamical stability"
    parameters = PhononsParameters
    default_engine = "emt"
    needs = frozenset({"energy", "forces"})

    def refuses(self, structure: Structure) -> str | None:
        """Return why ``structure`` has none: it must repeat in all directions."""
        if not all(structure.periodic):
            return "Phonons need a crystal, periodic in all three directions"
        return None

    def run(
        self,
        structure: Structure,
        parameters: PhononsParameters,
        engine: Engine,
        progress: Progress,
        folder: Path,
    ) -> Outcome:
        """Displace, evaluate, and solve.

        Quantities: those of ``single_point``, ``min_frequency_thz`` and ``max_frequency_thz`` of
        path and mesh, and for a stable crystal ``zero_point_energy_ev_per_atom``. Data: the
        frequencies at the special points, the density of states, and for a stable crystal the
        thermal properties. Files: ``bands.npz`` has the whole path, ``phonopy_params.yaml`` the
        displacements and forces, with which phonopy goes on.

        Raises
        ------
        UnsupportedByEngine
            If the structure is not periodic, or the engine refuses it.
        EngineError
            If an evaluation fails.
        WorkflowError
            If phonopy fails, or all frequencies are zero, as in a supercell of one atom.
        """
        reason, lattice = refusal(self, structure, engine), structure.lattice_a
        if reason is not None or lattice is None:
            raise UnsupportedByEngine(reason)
        repeats = np.ceil(parameters.supercell_length / cell_heights(lattice) - 1e-9).astype(int)
        phonopy = _phonopy(structure, repeats, parameters.displacement)
        given = engine.calculate(structure)
        evaluations = _evaluated(phonopy, engine, progress)
        phonopy.forces = np.array([one.forces_ev_per_a for one in evaluations])
        phonopy.produce_force_constants(show_drift=False)
        acoustic_thz = _acoustic_thz(phonopy)
        phonopy.symmetrize_force_constants(show_drift=False)

        bands, special = _bands(phonopy)
        mesh = phonopy.run_mesh(parameters.mesh_length)
        frequencies = np.concatenate([bands["frequency_thz"], mesh.frequencies])
        lowest, highest = float(frequencies.min()), float(frequencies.max())
        if highest <= lowest:
            raise WorkflowError("No frequency differs from zero: is the supercell one atom?")
        is_stable = lowest > IMAGINARY_THZ
        quantities = evaluated_quantities(structure, given)
        quantities["min_frequency_thz"] = lowest
        quantities["max_frequency_thz"] = highest
        data = {
            "is_stable": is_stable,
            "supercell": repeats.tolist(),
            "n_displacements": len(evaluations),
            "special_points": special,
            "density_of_states": _density(phonopy),
        }
        if is_stable:
            thermal = _thermal(phonopy, parameters.temperatures)
            quantities["zero_point_energy_ev_per_atom"] = thermal.pop("zero_point")
            data["thermal"] = thermal
        progress(1.0, "stable" if is_stable else f"not stable: {lowest:.2f} THz")
        return Outcome(
            quantities=quantities,
            data=data,
            convergence=_convergence(given, evaluations, acoustic_thz, is_stable),
            files=_written(phonopy, bands, folder),
        )


def _phonopy(structure: Structure, repeats: NDArray[Any], displacement_a: float) -> Any:
    from phonopy import Phonopy
    from phonopy.structure.atoms import PhonopyAtoms

    cell = PhonopyAtoms(
        symbols=structure.symbols,
        cell=structure.lattice_a,
        scaled_positions=structure.fractional,
    )
    try:
        with catch_warnings(action="ignore"):  # that the primitive cell is found, as it is told to
            phonopy = Phonopy(cell, np.diag(repeats), primitive_matrix="auto", symprec=SYMPREC_A)
        phonopy.generate_displacements(distance=displacement_a)
    except (RuntimeError, ValueError) as error:
        raise WorkflowError(f"phonopy makes no displacements of this cell: {error}") from error
    return phonopy


def _evaluated(phonopy: Any, engine: Engine, progress: Progress) -> list[Evaluation]:
    cells = phonopy.supercells_with_displacements or []
    found = []
    for n, cell in enumerate(cells):
        progress(n / (len(cells) + 1), f"{n} of {len(cells)} displacements")
        found.append(engine.calculate(Structure.of(cell.cell, cell.positions, cell.symbols)))
    return found


def _acoustic_thz(phonopy: Any) -> float:
    """Return how far the three modes of uniform motion miss zero, as the engine's forces are."""
    at_gamma = np.abs(phonopy.run_qpoints([[0.0, 0, 0]]).frequencies[0])
    return float(np.sort(at_gamma)[:3].max())


def _bands(phonopy: Any) -> tuple[dict[str, Array], dict[str, Any]]:
    """Return the frequencies along the path, and those at its special points, by their names."""
    from ase.cell import Cell

    primitive = Cell(phonopy.primitive.cell)  # type: ignore[no-untyped-call]
    path = primitive.bandpath(density=POINTS_PER_INVERSE_A)
    distance, _, _ = path.get_linear_kpoint_axis()
    frequencies = phonopy.run_qpoints(path.kpts).frequencies
    bands = {
        "q_point": path.kpts,
        "distance_inverse_a": distance,
        "frequency_thz": frequencies,
    }
    special = {
        name: {
            "q_point": q.tolist(),
            "values": phonopy.run_qpoints([q]).frequencies[0].tolist(),
            "unit": "THz",
        }
        for name, q in path.special_points.items()
    }
    return bands, {"path": path.path, "frequencies": special}


def _density(phonopy: Any) -> dict[str, Any]:
    """Return the density of states of the primitive cell, which integrates to 3 per atom."""
    frequencies = phonopy.mesh.frequencies
    lowest, highest = min(0.0, frequencies.min()), frequencies.max() * 1.02
    pitch = (highest - lowest) / (DOS_POINTS - 1)
    found = phonopy.run_total_dos(freq_min=lowest, freq_max=highest, freq_pitch=pitch)
    return {
        "frequency": {"values": found.frequency_points.tolist(), "unit": "THz"},
        "density": {"values": found.dos.tolist(), "unit": "1/THz"},
        "n_atoms": len(phonopy.primitive),
    }


def _thermal(phonopy: Any, temperatures_k: tuple[float, ...]) -> dict[str, Any]:
    """Return what harmonic oscillators have at each temperature, per atom.

    Without uniform motion, whose entropy no frequency limits. The sums are in A. Togo, I. Tanaka,
    Scr. Mater. 108, 1 (2015).
    """
    from ase.units import J, kJ, mol

    n_atoms = len(phonopy.primitive)
    found = phonopy.run_thermal_properties(temperatures=temperatures_k, exclude_gamma_acoustic=True)
    return {
        "zero_point": float(found.zero_point_energy * kJ / mol / n_atoms),
        "temperature": {"values": list(temperatures_k), "unit": "K"},
        "free_energy": {
            "values": (found.free_energy * kJ / mol / n_atoms).tolist(),
            "unit": "eV/atom",
        },
        "entropy": {"values": (found.entropy * J / mol / n_atoms).tolist(), "unit": "eV/K/atom"},
        "heat_capacity": {
            "values": (found.heat_capacity * J / mol / n_atoms).tolist(),
            "unit": "eV/K/atom",
        },
    }


def _written(phonopy: Any, bands: dict[str, Array], folder: Path) -> tuple[OutputFile, ...]:
    np.savez_compressed(folder / "bands.npz", **bands)  # type: ignore[arg-type]
    phonopy.save(folder / "phonopy_params.yaml")
    return (
        OutputFile("bands.npz", "application/octet-stream", folder / "bands.npz"),
        OutputFile("phonopy_params.yaml", "application/yaml", folder / "phonopy_params.yaml"),
    )


def _convergence(
    given: Evaluation, evaluations: list[Evaluation], acoustic_thz: float, is_stable: bool
) -> dict[str, Any]:
    notes = []
    if given.max_force_ev_per_a > MAX_FORCE_EV_PER_A:
        notes.append("Forces remain in the given structure: relax it first.")
    if acoustic_thz > MAX_ACOUSTIC_THZ:
        notes.append("Acoustic modes miss zero at Γ: forces are noisy or the supercell is small.")
    if not all(one.is_converged for one in (given, *evaluations)):
        notes.append(ELECTRONS_NOTE)
    converged = not notes
    if not is_stable:
        notes.append("There are imaginary modes: the structure is not a minimum of the energy.")
    return {
        "converged": converged,
        "acoustic_at_gamma_thz": acoustic_thz,
        "max_force_ev_per_a": given.max_force_ev_per_a,
        "notes": notes,
    }
