"""Simulation results: numbers with units, the method behind them, and their provenance."""

from __future__ import annotations

import uuid
from typing import Any

from sqlalchemy import CheckConstraint, ForeignKey, Index, text
from sqlalchemy.orm import Mapped, mapped_column, relationship

from api.models.base import EMPTY_OBJECT, Base, Created, Identified
from api.models.method import Method
from api.models.simulation_job import SimulationJob

INVARIANTS = {
    "of submitted jobs, only those that succeeded have a result": """
        SELECT result.id FROM simulation_results AS result
        JOIN simulation_jobs AS job ON job.id = simulation_job_id
        WHERE status <> 'succeeded' AND origin = 'submitted'
    """,
}
QUANTITIES = (
    "energy_ev",
    "energy_ev_per_atom",
    "max_force_ev_per_a",
    "pressure_gpa",
    "volume_a3",
    "volume_a3_per_atom",
    "bulk_modulus_gpa",
    "bulk_modulus_derivative",
    "free_energy_ev",
    "energy_without_entropy_ev",
    "band_gap_ev",
    "total_magnetization_mu_b",
    "shear_modulus_gpa",
    "youngs_modulus_gpa",
    "poisson_ratio",
    "universal_anisotropy",
    "min_frequency_thz",
    "zero_point_energy_ev_per_atom",
)
"""The main quantities, each a column of its own; what else a workflow gives goes to ``data``."""

ENERGIES = frozenset({"energy_ev", "energy_ev_per_atom"})
"""Those of them that only say something beside others of a comparable method."""


class SimulationResult(Identified, Created, Base):
    """What one job yielded. Main quantities are typed columns, the rest is ``data``."""

    __tablename__ = "simulation_results"
    __table_args__ = (
        CheckConstraint("volume_a3 > 0", name="volume_a3"),
        CheckConstraint("max_force_ev_per_a >= 0", name="max_force_ev_per_a"),
        CheckConstraint("wall_time_s >= 0", name="wall_time_s"),
        CheckConstraint("n_cores >= 1", name="n_cores"),
        *(Index(None, quantity) for quantity in QUANTITIES),
        {"comment": "Simulation outputs", "info": {"invariants": INVARIANTS}},
    )

    simulation_job_id: Mapped[uuid.UUID] = mapped_column(
        ForeignKey("simulation_jobs.id", ondelete="RESTRICT"), unique=True
    )
    energy_ev: Mapped[float | None] = mapped_column(comment="Total energy of the cell, in eV")
    energy_ev_per_atom: Mapped[float | None] = mapped_column(comment="In eV per atom")
    max_force_ev_per_a: Mapped[float | None] = mapped_column(
        comment="Largest force on an atom, in eV/Å"
    )
    pressure_gpa: Mapped[float | None] = mapped_column(comment="In GPa, positive under compression")
    volume_a3: Mapped[float | None] = mapped_column(comment="Volume of the cell, in Å³")
    volume_a3_per_atom: Mapped[float | None] = mapped_column(comment="In Å³ per atom")
    bulk_modulus_gpa: Mapped[float | None] = mapped_column(comment="In GPa")
    bulk_modulus_derivative: Mapped[float | None] = mapped_column(
        comment="Pressure derivative of the bulk modulus, dimensionless"
    )
    free_energy_ev: Mapped[float | None] = mapped_column(
        comment="Mermin's: energy minus TS of the electrons, in eV"
    )
    energy_without_entropy_ev: Mapped[float | None] = mapped_column(
        comment="Internal energy: free energy plus TS of the electrons, in eV"
    )
    band_gap_ev: Mapped[float | None] = mapped_column(comment="In eV, 0 for a metal")
    total_magnetization_mu_b: Mapped[float | None] = mapped_column(
        comment="Of the cell, in Bohr magnetons"
    )
    shear_modulus_gpa: Mapped[float | None] = mapped_column(comment="Hill's average, in GPa")
    youngs_modulus_gpa: Mapped[float | None] = mapped_column(comment="Of Hill's averages, in GPa")
    poisson_ratio: Mapped[float | None] = mapped_column(comment="Of Hill's averages, dimensionless")
    universal_anisotropy: Mapped[float | None] = mapped_column(
        comment="5 G(Voigt)/G(Reuss) + K(Voigt)/K(Reuss) - 6, 0 for an isotropic crystal"
    )
    min_frequency_thz: Mapped[float | None] = mapped_column(
        comment="Lowest of the phonons, in THz; negative where it is imaginary"
    )
    zero_point_energy_ev_per_atom: Mapped[float | None] = mapped_column(
        comment="Of the phonons, in eV per atom"
    )
    data: Mapped[dict[str, Any]] = mapped_column(
        server_default=EMPTY_OBJECT, comment="Further quantities: name → {values, unit}"
    )
    is_converged: Mapped[bool] = mapped_column(server_default=text("false"))
    convergence: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    read_before_methods: Mapped[dict[str, Any]] = mapped_column(
        "method", comment="Code, functional or potential, and what else makes numbers comparable"
    )
    """Of the method; a trigger fills it in for programs of a release without the table of them."""
    method_sha256: Mapped[str] = mapped_column(
        ForeignKey("methods.sha256", ondelete="RESTRICT"),
        index=True,
        comment="Of the method as canonical JSON",
    )
    output_structure_id: Mapped[uuid.UUID | None] = mapped_column(
        ForeignKey("structures.id", ondelete="RESTRICT"), index=True
    )
    provenance: Mapped[dict[str, Any]] = mapped_column(
        comment="Engine, package versions, host, code revision, hash of the input"
    )
    artifacts: Mapped[list[dict[str, Any]]] = mapped_column(
        server_default=text("'[]'::jsonb"), comment="Files: name, media type, sha256, place"
    )
    wall_time_s: Mapped[float | None] = mapped_column(comment="Time in the engine, in s")
    n_cores: Mapped[int | None] = mapped_column(
        comment="Cores it ran on; times wall_time_s that is its cost"
    )

    simulation_job: Mapped[SimulationJob] = relationship(lazy="raise")
    method: Mapped[Method] = relationship(lazy="raise")
