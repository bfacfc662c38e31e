"""What text and XML of a pw.x run say of it as a whole, and the method that follows.

Both are read into `Facts`; where both say something, the XML, which has all digits, is believed.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, fields, replace
from datetime import datetime
from hashlib import sha256
from pathlib import PurePosixPath
from typing import Any

from nanoos.errors import ParseError
from nanoos.methods import Method, Potential, functional_name
from nanoos.parsers.espresso_cards import element_of
from nanoos.runs.run import End, Problem, Task

TASKS: Mapping[str, Task] = {
    "scf": "single_point",
    "relax": "relax",
    "vc-relax": "relax",
    "md": "molecular_dynamics",
    "vc-md": "molecular_dynamics",
    "nscf": "other",
    "bands": "other",
}
"""What pw.x calls ``calculation``."""

SMEARINGS: Mapping[str, str] = {
    "gaussian": "gaussian",
    "gauss": "gaussian",
    "mp": "methfessel-paxton 1",
    "methfessel-paxton": "methfessel-paxton 1",
    "mv": "cold",
    "marzari-vanderbilt": "cold",
    "fd": "fermi-dirac",
    "fermi-dirac": "fermi-dirac",
}
_DISPERSION = {
    "grimme-d2": "D2",
    "dft-d": "D2",
    "dft-d2": "D2",
    "dft-d3": "D3",
    "ts": "TS",
    "ts-vdw": "TS",
    "mbd": "MBD",
    "mbd_vdw": "MBD",
    "xdm": "XDM",
}
_D3_VERSIONS = {2: "D2", 3: "D3", 4: "D3(BJ)", 5: "D3M", 6: "D3M(BJ)"}  # dftd3_version


@dataclass
class Facts:
    """What is said of a run. None, or empty, is what is not."""

    calculation: str | None = None
    version: str | None = None
    functional: str | None = None
    dispersion: str | None = None
    hubbard_ev: dict[str, float] = field(default_factory=dict)
    pseudopotentials: dict[str, str] = field(default_factory=dict)
    """Label of an atomic species → name of the file."""
    md5: dict[str, str] = field(default_factory=dict)
    """Label of an atomic species → the MD5 of its file."""
    cutoff_ev: float | None = None
    density_cutoff_ev: float | None = None
    k_spacing_per_a: float | None = None
    smearing: str | None = None
    smearing_width_ev: float | None = None
    is_spin_polarised: bool | None = None
    is_noncollinear: bool | None = None
    has_spin_orbit: bool | None = None
    further: dict[str, Any] = field(default_factory=dict)
    band_gap_ev: float | None = None
    is_gap_direct: bool | None = None
    fermi_energy_ev: float | None = None
    total_magnetization_mu_b: float | None = None
    wall_time_s: float | None = None
    n_cores: int | None = None
    started_at: datetime | None = None
    end: End | None = None
    problems: tuple[Problem, ...] = ()
    message: str | None = None
    is_electronically_converged: bool | None = None
    is_ionically_converged: bool | None = None

    def completed_by(self, other: Facts) -> Facts:
        """Return these facts with those of the other where they say nothing.

        Further settings are completed one by one.
        """
        named = ((one.name, getattr(self, one.name)) for one in fields(self))
        missing = [name for name, value in named if value is None or value in ({}, ())]
        completed = {name: getattr(other, name) for name in missing}
        return replace(self, **completed | {"further": {**other.further, **self.further}})

    def add_u(self, label: str, shell: str, u_ev: float) -> None:
        """Add the U of a shell; a species whose U is not that of its element is named."""
        element = element_of(label, 0)
        site = f"{element} {shell.lower()}"
        if self.hubbard_ev.get(site, u_ev) != u_ev:
            site = f"{site} ({label})"
        self.hubbard_ev[site] = u_ev

    @property
    def task(self) -> Task:
        """What was asked for."""
        return TASKS.get(self.calculation or "scf", "other")

    def method(self) -> Method:
        """Return what decides the numbers of the run."""
        return Method(
            code="Quantum ESPRESSO",
            code_version=self.version,
            functional=functional_name(self.functional) if self.functional else None,
            dispersion=self.dispersion,
            hubbard_ev=self.hubbard_ev,
            potentials=self._potentials(),
            cutoff_ev=self.cutoff_ev,
            density_cutoff_ev=self.density_cutoff_ev,
            k_spacing_per_a=self.k_spacing_per_a,
            smearing=self.smearing,
            smearing_width_ev=self.smearing_width_ev,
            spin=self._spin(),
            spin_orbit=self.has_spin_orbit,
            relativistic="full" if self.has_spin_orbit else None,
            further=self.further,
        )

    def _spin(self) -> Any:
        if self.is_noncollinear:
            return "noncollinear"
        if self.is_spin_polarised is None:
            return None
        return "collinear" if self.is_spin_polarised else "none"

    def _potentials(self) -> tuple[Potential, ...]:
        """Return the pseudopotentials, each known by the MD5 that pw.x prints of its file."""
        found = set()
        for label, name in self.pseudopotentials.items():
            try:
                element = element_of(label, 0)
            except ParseError:
                continue
            md5 = self.md5.get(label)
            digest = sha256(md5.encode()).hexdigest() if md5 else None
            found.add(Potential(element, PurePosixPath(name).name, digest))
        return tuple(sorted(found, key=lambda one: (one.element, one.title, one.sha256 or "")))


def dispersion_name(written: str, d3_version: int = 3) -> str | None:
    """Return the usual name of ``vdw_corr``; D3 with the damping of ``dftd3_version``."""
    name = written.strip().casefold()
    if name in {"", "none"}:
        return None
    if name in {"grimme-d3", "dft-d3"}:
        return _D3_VERSIONS.get(d3_version, "D3")
    return _DISPERSION.get(name, written.strip())
