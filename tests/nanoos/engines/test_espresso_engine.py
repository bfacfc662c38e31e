"""The engine espresso, with pw.x itself: every failure here is one that it made.

The runs are as small as they can be; their numbers mean nothing beyond what is asserted.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from ase.build import bulk
from ase.units import GPa

from nanoos.engines import ProgramEngine
from nanoos.engines.espresso import Espresso, EspressoParameters
from nanoos.engines.espresso_calculation import Calculation
from nanoos.engines.espresso_cures import CURES, cure_for
from nanoos.engines.espresso_input import mesh_of
from nanoos.errors import (
    EngineCrashed,
    EngineError,
    EngineUnavailable,
    Interrupted,
    MemoryExceeded,
    NotConverged,
)
from nanoos.methods import level
from nanoos.runs.find import find
from nanoos.runs.run import Run, Step
from nanoos.structures import Structure

SILICON = Structure.from_ase(bulk("Si"))
ALUMINIUM = Structure.from_ase(bulk("Al"))
SMALL = {"functional": "LDA", "cutoff_ev": 110, "k_spacing_per_a": 1.0}
needs_pw = pytest.mark.skipif(Espresso().probe() is not None, reason=str(Espresso().probe()))


def engine(folder: Path, structure: Structure = SILICON, **given: Any) -> Espresso:
    made = Espresso(EspressoParameters(**{**SMALL, **given}))
    made.begin(structure, folder)
    return made


def corrections(made: Espresso) -> list[tuple[str, dict[str, Any]]]:
    return [(one["cause"], one["change"]) for one in made.corrections]


@needs_pw
def test_it_gives_what_an_import_of_its_files_reads(tmp_path: Path) -> None:
    made = engine(tmp_path)
    assert isinstance(made, ProgramEngine)
    found = made.calculate(SILICON)
    assert found.is_converged
    assert found.stress_gpa is not None
    assert np.abs(found.forces_ev_per_a).max() < 1e-3
    assert {path.name for path in made.files} == {"pw.in", "pw.out", "pw.xml"}
    assert not list(tmp_path.glob("*/pw.save"))

    step, run = read(tmp_path)
    assert step.energy_ev == found.energy_ev
    assert step.stress_gpa == pytest.approx(found.stress_gpa)
    assert level(run.method, made.method(SILICON)) == "exact"

    before = {path: path.stat().st_mtime_ns for path in made.files}
    assert engine(tmp_path).calculate(SILICON).energy_ev == found.energy_ev
    assert {path: path.stat().st_mtime_ns for path in made.files} == before  # not run again


def read(folder: Path) -> tuple[Step, Run]:
    """What an import reads of the only run below a folder."""
    from nanoos.runs.espresso import Espresso as Reader

    (run,) = (run for files in find([folder]) for run in Reader().runs(files))  # type: ignore[arg-type]
    step, whole = Reader().read(run)
    assert isinstance(step, Step)
    assert isinstance(whole, Run)
    return step, whole


@needs_pw
@pytest.mark.slow
def test_forces_and_stress_are_slopes_of_its_energy(tmp_path: Path) -> None:
    atoms = bulk("Si")
    atoms.rattle(0.05, seed=7)
    crystal, given = Structure.from_ase(atoms), {"cutoff_ev": 400, "k_spacing_per_a": 0.8}
    made = engine(tmp_path, crystal, **given)
    found = made.calculate(crystal)

    def energy_ev(strain: float, shift_a: float) -> float:
        moved = atoms.copy()
        moved.positions[0, 0] += shift_a
        moved.set_cell(moved.cell @ np.diag([1 + strain, 1, 1]), scale_atoms=True)
        return made.calculate(Structure.from_ase(moved)).energy_ev

    force = -(energy_ev(0, 0.02) - energy_ev(0, -0.02)) / 0.04
    assert found.forces_ev_per_a[0, 0] == pytest.approx(force, abs=0.01)
    slope = (energy_ev(0.01, 0) - energy_ev(-0.01, 0)) / 0.02
    assert found.stress_gpa is not None
    by_difference = slope / crystal.volume_a3 / GPa
    assert found.stress_gpa[0, 0] == pytest.approx(by_difference, abs=0.3)


@needs_pw
@pytest.mark.slow
def test_spin_is_found_where_there_is_some(tmp_path: Path) -> None:
    nickel = Structure.from_ase(bulk("Ni"))
    made = engine(tmp_path, nickel, cutoff_ev=270, k_spacing_per_a=2.0)
    found = made.calculate(nickel)
    assert made.method(nickel).spin == "collinear"
    assert abs(found.further["total_magnetization_mu_b"]) > 0.1
    assert made.method(SILICON).spin == "none"


@needs_pw
@pytest.mark.parametrize(
    ("version", "before", "after"),
    [
        ("6.7MaX", "  lda_plus_u = .true.\n  Hubbard_U(1) = 4.5\n", ""),
        ("7.1", "", "\nHUBBARD {atomic}\n  U Ni-3d 4.5\n"),
    ],
)
def test_u_is_written_as_a_version_reads_it(
    monkeypatch: pytest.MonkeyPatch, version: str, before: str, after: str
) -> None:
    monkeypatch.setattr(Espresso, "version", version)
    oxide = Structure.from_ase(bulk("NiO", "rocksalt", a=4.2))
    given = {"hubbard_ev": {"Ni": 4.5, "Fe": 4.0}, "dispersion": "D3(BJ)"}
    made = Espresso(EspressoParameters(**given))
    text = made._input(oxide).text
    assert before in text
    assert text.endswith(" 0 0 0\n" + after.removeprefix("\n"))
    assert ("lda_plus_u" in text, "HUBBARD" in text) == (bool(before), bool(after))
    assert "  vdw_corr = 'grimme-d3'\n  dftd3_version = 4\n" in text
    method, bare = made.method(oxide), Espresso().method(oxide)
    assert (method.hubbard_ev, method.dispersion) == ({"Ni d": 4.5}, "D3(BJ)")
    assert level(method, bare) is None  # no energy of one beside the other
    of_lda = Espresso(EspressoParameters(**SMALL, dispersion="D3"))
    assert "D3 has no parameters for LDA" in str(of_lda.refuses(SILICON))
    with pytest.raises(ValueError, match="no U for Na"):
        EspressoParameters(hubbard_ev={"Na": 1})


@needs_pw
@pytest.mark.slow
@pytest.mark.parametrize("dispersion", ["D2", "D3", "D3(BJ)"])
def test_u_and_dispersion_change_energies_as_an_import_says(
    tmp_path: Path, dispersion: str
) -> None:
    diamond = Structure.from_ase(bulk("C"))
    given = {"functional": "PBE", "cutoff_ev": 200, "k_spacing_per_a": 3.0}
    bare = engine(tmp_path / "bare", diamond, **given).calculate(diamond).energy_ev
    terms = {"hubbard_ev": {"C": 4.0}, "dispersion": dispersion}
    made = engine(tmp_path / "both", diamond, **given, **terms)
    found = made.calculate(diamond)
    assert found.stress_gpa is not None
    assert abs(found.energy_ev - bare) > 0.1
    _, run = read(tmp_path / "both")
    assert run.method.dispersion == dispersion
    assert level(run.method, made.method(diamond)) == "exact"


@needs_pw
@pytest.mark.slow
@pytest.mark.parametrize(
    ("crystal", "given", "expected"),
    [
        (
            SILICON,
            {"max_electronic_steps": 2},
            ("self-consistency", {"mixing_beta": 0.3, "electron_maxstep": 200}),
        ),
        (ALUMINIUM, {"n_bands": 1}, ("too few bands", {"nbnd": 5})),
        (
            ALUMINIUM,
            {"n_bands": 3, "smearing": "fermi-dirac", "smearing_width_ev": 0.3},
            ("too few bands", {"nbnd": 7}),
        ),
    ],
)
def test_an_input_that_fails_is_corrected_and_both_are_kept(
    tmp_path: Path, crystal: Structure, given: dict[str, Any], expected: tuple[str, dict[str, Any]]
) -> None:
    made = engine(tmp_path, crystal, **given)
    found = made.calculate(crystal)
    assert corrections(made) == [expected]
    (correction,) = made.corrections
    assert correction["input_sha256_before"] != correction["input_sha256_after"]
    assert {"pw-1.in", "pw-1.out", "pw.in", "pw.out"} < {path.name for path in made.files}
    (kept,) = (path for path in made.files if path.name == "corrections.json")
    assert json.loads(kept.read_text()) == made.corrections

    again = engine(tmp_path, crystal, **given)
    assert again.calculate(crystal).energy_ev == found.energy_ev
    assert again.corrections == made.corrections
    right = engine(
        tmp_path / "right", crystal, **{**given, "max_electronic_steps": 100, "n_bands": 12}
    )
    assert found.energy_ev == pytest.approx(right.calculate(crystal).energy_ev, abs=1e-5)
    assert level(made.method(crystal), right.method(crystal)) == "exact"


@needs_pw
@pytest.mark.slow
def test_another_diagonalisation_is_taken(tmp_path: Path) -> None:
    made = engine(tmp_path)
    hopeless = {"diagonalization": "cg", "diago_cg_maxiter": 1, "nbnd": 40}
    failing = Calculation(made._input(SILICON).changed(hopeless), tmp_path / "cg", ["pw.x"])
    step, _ = failing.finish()
    assert [one["change"] for one in failing.corrections] == [{"diagonalization": "david"}]
    assert step.energy_ev == pytest.approx(made.calculate(SILICON).energy_ev, abs=1e-5)


@needs_pw
@pytest.mark.slow
def test_a_calculation_that_is_stopped_goes_on_where_it_was(tmp_path: Path) -> None:
    fine = {"cutoff_ev": 400, "k_spacing_per_a": 0.5}
    whole = engine(tmp_path / "whole", **fine).calculate(SILICON)
    made = Espresso(EspressoParameters(**{**SMALL, **fine}))
    for tenths in range(3, 60):  # a machine may be as fast or slow as it likes
        made.begin(SILICON, tmp_path / str(tenths), wall_time_s=tenths / 10)
        with pytest.raises(Interrupted):
            made.calculate(SILICON)
        if list(tmp_path.glob(f"{tenths}/*/pw.restart_scf")):
            break
    made.begin(SILICON, tmp_path / str(tenths))
    found = made.calculate(SILICON)
    (output,) = (path for path in made.files if path.name == "pw.out")
    assert "Calculation restarted from" in output.read_text()
    assert found.energy_ev == pytest.approx(whole.energy_ev, abs=1e-6)
    assert made.corrections == []


@needs_pw
@pytest.mark.slow
def test_memory_is_saved_and_where_that_does_not_do_it_is_said(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("NANO_OS_PW_COMMAND", "prlimit --as=450000000 pw.x")
    large = Structure.from_ase(bulk("Si").repeat(2))
    made = engine(tmp_path, large, cutoff_ev=500, k_spacing_per_a=5)
    with pytest.raises(MemoryExceeded, match="Cannot allocate memory"):
        made.calculate(large)
    assert [cause for cause, _ in corrections(made)] == ["memory"] * 3


@needs_pw
@pytest.mark.slow
def test_what_no_correction_helps_is_not_converged(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("nanoos.engines.espresso_cures.SCF_STEPS", 1)
    made = engine(tmp_path, max_electronic_steps=1)
    with pytest.raises(NotConverged, match="convergence NOT achieved"):
        made.calculate(SILICON)
    assert [cause for cause, _ in corrections(made)] == ["self-consistency"] * 3


@needs_pw
def test_errors_say_what_pw_x_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(EngineError, match="charge is wrong: smearing is needed"):
        engine(tmp_path / "metal", ALUMINIUM, smearing="fixed").calculate(ALUMINIUM)
    monkeypatch.setenv("NANO_OS_PW_COMMAND", "bash -c 'kill -SEGV $$'")
    with pytest.raises(EngineCrashed, match="SIGSEGV"):
        engine(tmp_path / "killed").calculate(SILICON)
    monkeypatch.setenv("NANO_OS_PW_COMMAND", "no-such-program")
    assert "NANO_OS_PW_COMMAND" in str(Espresso().probe())
    with pytest.raises(EngineUnavailable, match="no-such-program"):
        engine(tmp_path / "missing").calculate(SILICON)


@needs_pw
def test_a_launcher_that_starts_strangers_is_told(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As that of another MPI does: each of them would overwrite what the others write."""
    launcher = tmp_path / "launch"
    launcher.write_text('#!/bin/sh\n"$@"\nexec "$@"\n')
    launcher.chmod(0o755)
    made = Espresso(EspressoParameters(**SMALL))
    made.begin(SILICON, tmp_path / "job", launcher=[str(launcher)])
    with pytest.raises(EngineUnavailable, match="know nothing of each other"):
        made.calculate(SILICON)
    monkeypatch.setenv("NANO_OS_PW_COMMAND", "mpirun -np 2 pw.x -nk 2")
    assert Espresso().version == made.version
    with pytest.raises(EngineUnavailable, match=r"says already how pw\.x is started"):
        made.calculate(SILICON)


def test_the_mesh_is_the_jobs_for_cells_that_differ_little(tmp_path: Path) -> None:
    lattice = np.diag([3.0, 4.0, 12.0])
    assert mesh_of(lattice, (True, True, True), 0.5).tolist() == [5, 4, 2]
    assert mesh_of(lattice, (True, True, False), 0.5).tolist() == [5, 4, 1]
    cube = Structure.of(np.eye(3) * 3.0, [[0, 0, 0]], ["Si"])
    made = Espresso(EspressoParameters(k_spacing_per_a=0.5))
    meshes = []
    for begun in (False, True):
        if begun:
            made.begin(cube, tmp_path)
        meshes.append([made._mesh(scaled(cube, factor)) for factor in (1, 0.95, 1.05, 2)])
    assert meshes[0] == [(5, 5, 5), (5, 5, 5), (4, 4, 4), (3, 3, 3)]
    assert meshes[1] == [(5, 5, 5), (5, 5, 5), (5, 5, 5), (3, 3, 3)]


def scaled(cube: Structure, factor: float) -> Structure:
    assert cube.lattice_a is not None
    return Structure.of(cube.lattice_a * factor, cube.positions_a * factor, cube.symbols)


def test_every_cause_has_signs_of_its_own() -> None:
    """Words of pw.x 6.7; those of symmetry are in its source, no run here came to them."""
    said = {
        "memory": "In file 'setlocal.f90', around line 48: Error allocating 2519424 bytes: "
        "Cannot allocate memory",
        "too few bands": "Error in routine setup (1):\n too few bands",
        "symmetry": "Error in routine sym_rho_init_shell (2):\n lone vector",
        "diagonalisation": "Error in routine c_bands (1):\n too many bands are not converged",
        "self-consistency": "convergence NOT achieved after 100 iterations: stopping",
    }
    for cause, words in said.items():
        cure = cure_for(words)
        assert cure is not None
        assert cure.cause == cause
    assert {cure.cause for cure in CURES} == set(said)
    assert cure_for("c_bands:  2 eigenvalues not converged") is None
