"""A method: what decides the numbers of a calculation, beside the structure.

Only what changes energies belongs here. What an input says about output, parallelism, restarts or
how a relaxation moves does not: two runs that differ by such alone have one method.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, Literal

Spin = Literal["none", "collinear", "noncollinear"]


@dataclass(frozen=True, slots=True)
class Potential:
    """The pseudopotential, PAW dataset, basis set or species defaults of one element.

    ``title`` is what the code calls it (``PAW_PBE Fe_pv 02Aug2007``,
    ``Si.pz-vbc.UPF``), ``sha256`` that of its file or, where only the code saw the file, of the
    text that the code prints of it; None where neither is known. Never its content.
    """

    element: str
    title: str
    sha256: str | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Method:
    """How energies were calculated. What a source does not say is None, or empty.

    Parameters
    ----------
    code, code_version
        The program (``VASP``, ``Quantum ESPRESSO``, ``GPAW``, ``ASE EMT``) and its version.
    functional
        The exchange-correlation functional by its usual name (``LDA``, ``PBE``, ``PBEsol``,
        ``r2SCAN``, ``HSE06``), or the name of a force field or machine-learned potential.
    dispersion
        The van der Waals correction (``D3(BJ)``), None for none.
    hubbard_ev
        Site and shell (``Fe d``) → effective U in eV.
    potentials
        One for each element and kind of site, sorted.
    cutoff_ev, density_cutoff_ev
        Plane-wave cutoffs of wave functions and density, in eV.
    k_spacing_per_a
        The largest distance of neighbouring k-points along a reciprocal vector, in 1/Å with the
        factor 2π; None without k-points.
    smearing, smearing_width_ev
        ``gaussian``, ``fermi-dirac``, ``methfessel-paxton 1``, ``cold``, ``tetrahedron``,
        ``fixed``; width in eV.
    spin, spin_orbit
        How spin is treated.
    relativistic
        ``none``, ``scalar``, ``full`` or a scheme's name (``ZORA``).
    further
        What else changes energies, by the code's own name (``LASPH``, ``PREC``), JSON-able.
    """

    code: str
    code_version: str | None = None
    functional: str | None = None
    dispersion: str | None = None
    hubbard_ev: Mapping[str, float] = field(default_factory=dict)
    potentials: tuple[Potential, ...] = ()
    cutoff_ev: float | None = None
    density_cutoff_ev: float | None = None
    k_spacing_per_a: float | None = None
    smearing: str | None = None
    smearing_width_ev: float | None = None
    spin: Spin | None = None
    spin_orbit: bool | None = None
    relativistic: str | None = None
    further: Mapping[str, Any] = field(default_factory=dict)
