"""What may be chosen of Quantum ESPRESSO."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, field_validator

from nanoos.engines.espresso_terms import SHELLS, Dispersion
from nanoos.methods import functional_name
from nanoos.parsers.espresso_cell import RYDBERG_EV

CUTOFF_RY = 50.0
"""Where a pseudopotential's author suggests none."""
MAGNETIC = frozenset({"Cr", "Mn", "Fe", "Co", "Ni"})
"""Elements for which spin is taken into account unless told otherwise."""
STARTING_MAGNETIZATION = 0.4
"""Of their valence electrons, the share that begins polarised."""


class EspressoParameters(BaseModel):
    """What may be chosen. Where the program and its files lie is not: that is the machine's."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    functional: str | None = Field(
        default=None,
        title="Functional",
        description="By its usual name (PBE, PBEsol, LDA); that of the pseudopotentials if not "
        "given, PBE first.",
    )
    pseudopotentials: dict[str, str] = Field(
        default_factory=dict,
        title="Pseudopotentials",
        description="Element → name of its UPF file; the best there is of the others.",
    )
    family: str = Field(
        default="",
        pattern=r"^(\w[\w.+-]*)?$",
        title="Family",
        description="Subfolder of the folder of pseudopotentials to take them from.",
    )
    cutoff_ev: float | None = Field(
        default=None,
        gt=0,
        title="Cutoff",
        description="Of the wave functions, in eV; the largest that the pseudopotentials suggest, "
        f"or {CUTOFF_RY * RYDBERG_EV:.0f} eV where one suggests none.",
    )
    density_cutoff_ev: float | None = Field(
        default=None,
        gt=0,
        title="Cutoff of the density",
        description="In eV; as suggested, at least 4 times the cutoff, 8 times where ultrasoft or "
        "PAW potentials suggest none.",
    )
    k_spacing_per_a: float = Field(
        default=0.25,
        gt=0.01,
        le=10,
        title="Distance of k-points",
        description="Along each reciprocal vector at most this, in 1/Å with the factor 2π; the "
        "mesh is centred on Γ.",
    )
    smearing: Literal["cold", "gaussian", "methfessel-paxton 1", "fermi-dirac", "fixed"] = Field(
        default="cold", title="Smearing", description="Fixed occupations are for insulators only."
    )
    smearing_width_ev: float = Field(
        default=0.15, gt=0, le=10, title="Width of the smearing", description="In eV."
    )
    spin: Literal["auto", "none", "collinear"] = Field(
        default="auto",
        title="Spin",
        description=f"auto: collinear where there is {', '.join(sorted(MAGNETIC))}.",
    )
    starting_moments_mu_b: dict[str, float] = Field(
        default_factory=dict,
        title="Starting moments",
        description="Element → moment of an atom in Bohr magnetons at the beginning; "
        f"{STARTING_MAGNETIZATION:g} of the valence electrons of magnetic elements.",
    )
    hubbard_ev: dict[str, Annotated[float, Field(gt=0, le=50)]] = Field(
        default_factory=dict,
        title="Hubbard U",
        description="Element → effective U (U - J) in eV: for d electrons of transition metals, Ga "
        "and In, f of rare earths and actinoids, p of C, N, O and As, s of H; others have none.",
    )
    dispersion: Dispersion | None = Field(
        default=None, title="Dispersion", description="Van der Waals correction; none if not given."
    )
    n_bands: int | None = Field(
        default=None, ge=1, title="Bands", description="Number of bands; pw.x's own if not given."
    )
    max_electronic_steps: int = Field(
        default=100,
        ge=1,
        title="Iterations",
        description="Of self-consistency, before mixing is corrected.",
    )
    mixing_beta: float = Field(
        default=0.7,
        gt=0,
        le=1,
        title="Mixing",
        description="Share of the new density, before mixing is corrected.",
    )
    diagonalization: Literal["david", "cg"] = Field(
        default="david", title="Diagonalisation", description="pw.x's, before it is corrected."
    )

    @field_validator("functional")
    @classmethod
    def _usual(cls, name: str | None) -> str | None:
        return functional_name(name) if name else None

    @field_validator("hubbard_ev")
    @classmethod
    def _known(cls, hubbard_ev: dict[str, float]) -> dict[str, float]:
        if unknown := sorted(hubbard_ev.keys() - SHELLS.keys()):
            raise ValueError(f"pw.x has no U for {', '.join(unknown)}")
        return hubbard_ev

    @field_validator("pseudopotentials")
    @classmethod
    def _plain(cls, named: dict[str, str]) -> dict[str, str]:
        if paths := [name for name in named.values() if Path(name).name != name]:
            raise ValueError(f"{paths[0]} is a path; name a file of the folder")
        return named
