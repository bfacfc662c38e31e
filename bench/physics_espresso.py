"""Claim: Quantum ESPRESSO gives V0 and B0 of Si, Al, Cu and MgO as all-electron codes do.

Each with the best pseudopotentials of Debian's quantum-espresso-data, whose functional is stated: a
result is set beside a reference of the same functional only. Those are WIEN2k's: PBE from
ase.collections.dcdft, LDA (Perdew–Wang; the potentials have Perdew–Zunger, another fit to the
same electron gas) from WIEN2k-PW.txt of the package pseudo_dojo. For MgO, of which there are LDA
potentials, no package has an LDA reference, so it stands by itself.

What it does not show: other pseudopotentials. These are examples that come with the program, of
which Al, Mg and O are of nonrelativistic atoms.

    python bench/physics_espresso.py FOLDER [ELEMENT …]

FOLDER keeps inputs and outputs; an evaluation that is there is not run again.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any, NamedTuple

from ase.build import bulk

from nanoos.engines import make
from nanoos.engines.espresso import Espresso
from nanoos.reference import dcdft
from nanoos.structures import Structure
from nanoos.workflows.birch_murnaghan import BirchMurnaghan
from nanoos.workflows.equation_of_state import EquationOfState, EquationOfStateParameters


class Case(NamedTuple):
    """A crystal, what is chosen, and the reference: V0 (Å3 per atom), B0 (GPa), its derivative."""

    structure: Structure
    given: dict[str, Any]
    reference: tuple[float, float, float] | None


def of_dcdft(element: str) -> tuple[float, float, float]:
    """Return WIEN2k's PBE numbers."""
    found = dcdft()[element]
    return found.volume_a3_per_atom, found.bulk_modulus_gpa, found.bulk_modulus_derivative


CASES = {
    "Al": Case(
        Structure.from_ase(bulk("Al", a=3.98)),
        {"functional": "LDA", "cutoff_ev": 300, "k_spacing_per_a": 0.2, "smearing_width_ev": 0.3},
        (15.80216, 84.023, 4.572),
    ),
    "Si": Case(
        Structure.from_ase(bulk("Si", a=5.47)),
        {"functional": "PBE", "k_spacing_per_a": 0.35},
        of_dcdft("Si"),
    ),
    "MgO": Case(
        Structure.from_ase(bulk("MgO", "rocksalt", a=4.17)),
        {"functional": "LDA", "cutoff_ev": 800, "k_spacing_per_a": 0.45},
        None,
    ),
    "Cu": Case(
        Structure.from_ase(bulk("Cu", a=3.63)),
        {"functional": "PBE", "k_spacing_per_a": 0.3, "smearing_width_ev": 0.2},
        of_dcdft("Cu"),
    ),
}


def row(name: str, case: Case, folder: Path) -> str:
    """Return a line of the table."""
    engine = make("espresso", case.given)
    assert isinstance(engine, Espresso)
    engine.begin(case.structure, folder / name)
    workflow, n_atoms = EquationOfState(), case.structure.n_sites
    outcome = workflow.run(
        case.structure, EquationOfStateParameters(), engine, lambda *_, **__: None, folder
    )
    fit = outcome.data["fit"]
    ours = BirchMurnaghan(**{field: fit[field] for field in BirchMurnaghan.__dataclass_fields__})
    method = engine.method(case.structure)
    titles = ", ".join(one.title for one in method.potentials)
    settings = f"{method.cutoff_ev:.0f} eV, {method.k_spacing_per_a:.2f} 1/Å"
    volume_a3 = ours.volume_a3 / n_atoms
    said = f"| {name} | {method.functional} | {titles} | {settings} | {volume_a3:.3f} |"
    if case.reference is None:
        return f"{said} | {ours.bulk_modulus_gpa:.1f} | | {ours.bulk_modulus_derivative:.2f} |"
    volume, modulus, _ = case.reference
    return (
        f"{said} {100 * (volume_a3 / volume - 1):+.1f} % | {ours.bulk_modulus_gpa:.1f} "
        f"| {100 * (ours.bulk_modulus_gpa / modulus - 1):+.1f} % "
        f"| {ours.bulk_modulus_derivative:.2f} |"
    )


def main() -> None:
    """Print the table, a line as soon as it is there."""
    folder, *names = sys.argv[1:]
    print(
        "| crystal | functional | pseudopotentials | cutoff, k-points | V0 (Å³ per atom) | off "
        "| B0 (GPa) | off | B0' |"
    )
    print("|---|---|---|---|---|---|---|---|---|")
    for name, case in CASES.items():
        if not names or name in names:
            print(row(name, case, Path(folder)), flush=True)


if __name__ == "__main__":
    main()
