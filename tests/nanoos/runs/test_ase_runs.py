"""Results in ASE's databases and trajectories and in extended XYZ are those that ASE reads."""

import sqlite3

import ase.db
import ase.io
import numpy as np
import pytest
from ase.build import bulk, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.constraints import FixAtoms
from ase.io.trajectory import Trajectory
from ase.md.verlet import VelocityVerlet
from ase.optimize import BFGS
from ase.units import GPa, fs

from nanoos.engines.emt import Emt
from nanoos.errors import ParseError
from nanoos.methods import comparable, level
from nanoos.parsers import Source
from nanoos.runs import Run, RunFolder, Step
from nanoos.runs.ase import Ase
from nanoos.runs.extxyz import ExtendedXyz
from nanoos.structures import Structure
from nanoos.writers import Record
from nanoos.writers.extxyz import ExtendedXyzWriter


def folder(*paths):
    return RunFolder("folder", {path.name: Source(path.name, path) for path in paths})


def read(*paths, reader=None):
    """Return the steps and the runs of files."""
    steps, runs, error = read_as_far_as_it_goes(*paths, reader=reader)
    if error is not None:
        raise error
    return steps, runs


def read_as_far_as_it_goes(*paths, reader=None):
    """Return the steps and the runs of files, and the error that comes at the end, if any."""
    reader, found, error = reader or Ase(), [], None
    try:
        for run in reader.runs(folder(*paths)):
            found.extend(reader.read(run))
    except ParseError as raised:
        error = raised
    steps = [x for x in found if isinstance(x, Step)]
    return steps, [x for x in found if isinstance(x, Run)], error


def read_xyz(path, text=None, read=read):
    if text is not None:
        path.write_bytes(text if isinstance(text, bytes) else text.encode())
    return read(path, reader=ExtendedXyz())


def images(n=3):
    """Return crystals and a molecule with all results that ASE has names for."""
    made = []
    for k in range(n):
        atoms = molecule("H2O") if k == 1 else bulk("Cu", cubic=True) * (1, 1, k + 1)
        atoms.rattle(0.05, seed=k)
        atoms.calc = EMT()
        results = {"energy": atoms.get_potential_energy() + 1, "forces": atoms.get_forces()}
        if k != 1:
            results["stress"] = atoms.get_stress()
        results |= {"free_energy": results["energy"] - 0.1, "magmoms": np.arange(len(atoms)) / 7}
        atoms.calc = SinglePointCalculator(atoms, **results)
        made.append(atoms)
    return made


def write(path, frames):
    if path.suffix in (".db", ".json"):
        with ase.db.connect(path) as database:
            for atoms in frames:
                database.write(atoms, key_value_pairs={"xc": "PBE"})
    else:
        ase.io.write(path, frames)
    return path


@pytest.mark.parametrize("kind", ["db", "json", "traj", "extxyz"])
def test_numbers_are_those_that_ase_reads(kind, tmp_path):
    path = write(tmp_path / f"x.{kind}", images())
    steps, _ = read(path) if kind != "extxyz" else read_xyz(path)
    theirs = ase.io.read(path, ":")
    assert len(steps) == len(theirs) == 3
    for step, atoms in zip(steps, theirs, strict=True):
        assert step.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        free = atoms.get_potential_energy(force_consistent=True)
        assert step.free_energy_ev == pytest.approx(free, abs=1e-9)
        np.testing.assert_allclose(step.forces_ev_per_a, atoms.get_forces(), atol=1e-9)
        magmoms = atoms.calc.results["magmoms"]
        np.testing.assert_allclose(step.magnetic_moments_mu_b, magmoms, atol=1e-9)
        if atoms.pbc.all():
            stress = atoms.get_stress(voigt=False) / GPa
            np.testing.assert_allclose(step.stress_gpa, stress, atol=1e-9)
        else:
            assert step.stress_gpa is None


def test_rows_are_results_of_their_own(tmp_path):
    path = write(tmp_path / "x.db", images())
    with ase.db.connect(path) as database:
        database.write(bulk("Cu"))
        database.write(images()[0], key_value_pairs={"functional": "PBEsol"})
    steps, runs = read(path)
    assert [run.name for run in runs] == [f"folder/x.db#{n}" for n in (1, 2, 3, 5)]
    assert [step.place for step in steps] == [1, 2, 3, 5]
    assert [run.method.functional for run in runs] == ["PBE", "PBE", "PBE", "PBEsol"]
    assert {run.task for run in runs} == {"single_point"}


def test_damaged_row_leaves_the_others_and_is_told(tmp_path):
    path = write(tmp_path / "x.db", images())
    with sqlite3.connect(path) as database:
        database.execute("UPDATE systems SET forces = x'00' WHERE id = 2")
    database.close()
    steps, runs, error = read_as_far_as_it_goes(path)
    assert len(steps) == len(runs) == 2
    assert "Row 2" in str(error)


def test_method_of_what_nobody_states_is_that_of_the_file_alone(tmp_path):
    a, b = (tmp_path / name for name in ("a.traj", "b.traj"))
    ase.io.write(a, images()[:1])
    ase.io.write(b, images()[2:])
    methods = [read(path)[1][0].method for path in (a, b)]
    assert methods[0].code == "unknown"
    assert level(*methods) == "same functional"
    assert level(methods[0], methods[0]) == "exact"


def test_results_of_emt_are_comparable_with_those_of_the_engine(tmp_path):
    atoms = bulk("Cu")
    atoms.calc = EMT()
    atoms.get_potential_energy()
    ase.io.write(tmp_path / "x.traj", atoms)
    _, (run,) = read(tmp_path / "x.traj")
    assert level(run.method, Emt().method()) == "exact"


def test_parameters_of_a_calculator_become_its_method(tmp_path):
    atoms = images()[0]
    atoms.calc.name = "espresso"
    parameters = {
        "xc": "pbe",
        "kpts": (4, 4, 4),
        "directory": "/tmp/x",
        "input_data": {"control": {"outdir": "x"}, "system": {"ecutwfc": 40, "nspin": 2}},
        "smearing": ("Fermi-Dirac", 0.1),
        "pseudopotentials": {"Cu": "Cu.pbe.UPF"},
    }
    atoms.calc.parameters.update(parameters)
    _, (run,) = read(write(tmp_path / "x.traj", [atoms]))
    method = run.method
    assert (method.code, method.functional) == ("Quantum ESPRESSO", "pbe")
    assert method.cutoff_ev == pytest.approx(40 * 13.605693, rel=1e-6)
    assert method.k_spacing_per_a == pytest.approx(2 * np.pi / 3.61 / 4, rel=1e-6)
    assert (method.smearing, method.smearing_width_ev) == ("fermi-dirac", 0.1)
    assert method.further == {
        "input_data": {"system": {"nspin": 2}},
        "pseudopotentials": {"Cu": "Cu.pbe.UPF"},
    }


@pytest.mark.parametrize(
    ("name", "parameters"), [("", {}), ("espresso", {"xc": "PBE"}), ("gpaw", {"setups": "paw"})]
)
def test_method_that_lacks_program_functional_or_potentials_is_its_files_alone(
    name, parameters, tmp_path
):
    methods = []
    for k, path in enumerate((tmp_path / "a.db", tmp_path / "b.db")):
        atoms = images()[0]
        atoms.calc.name = name
        atoms.calc.parameters.update(parameters)
        atoms.calc.results["energy"] += k
        functional = {} if name == "gpaw" else {"xc": "PBE"}
        with ase.db.connect(path) as database:
            database.write(atoms, key_value_pairs=functional)
        methods.append(read(path)[1][0].method)
    assert not comparable(*methods)


def relaxed(path, *, steps=100, fixed=False):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    if fixed:
        atoms.set_constraint(FixAtoms([0]))
    BFGS(atoms, trajectory=str(path), logfile=None).run(fmax=0.05, steps=steps)
    return path


def test_trajectory_of_an_optimizer_is_one_relaxation(tmp_path):
    path = relaxed(tmp_path / "relax.traj")
    steps, (run,) = read(path)
    assert len(steps) == len(Trajectory(str(path)))
    assert (run.name, run.task, run.end) == ("folder/relax.traj", "relax", "finished")
    _, (run,) = read(relaxed(tmp_path / "cut.traj", steps=1))
    assert (run.task, run.is_ionically_converged) in {("relax", False), ("relax", None)}


def test_trajectory_of_dynamics_and_of_a_scan_are_no_relaxations(tmp_path):
    atoms = bulk("Cu", cubic=True)
    atoms.rattle(0.1, seed=1)
    atoms.calc = EMT()
    VelocityVerlet(atoms, 2 * fs, trajectory=str(tmp_path / "md.traj")).run(5)
    scan = []
    for scale in (0.97, 1.0, 1.03):
        strained = bulk("Cu")
        strained.set_cell(strained.cell * scale, scale_atoms=True)
        strained.calc = EMT()
        strained.get_potential_energy()
        scan.append(strained)
    ase.io.write(tmp_path / "scan.traj", scan)
    assert [run.task for run in read(tmp_path / "md.traj")[1]] == ["molecular_dynamics"]
    assert [run.task for run in read(tmp_path / "scan.traj")[1]] == ["other"]


def test_frames_of_other_atoms_begin_another_run(tmp_path):
    steps, runs = read(write(tmp_path / "x.traj", images()))
    assert [run.name for run in runs] == ["folder/x.traj", "folder/x.traj#2", "folder/x.traj#3"]
    assert len(steps) == 3


def test_files_without_results_are_no_runs(tmp_path):
    plain = [bulk("Cu"), molecule("H2O")]
    for kind in ("db", "json", "traj", "extxyz"):
        path = tmp_path / f"x.{kind}"
        ase.io.write(path, plain)
        assert Ase().runs(folder(path)) == ExtendedXyz().runs(folder(path)) == []


@pytest.mark.parametrize("kind", ["db", "json", "traj", "extxyz"])
def test_file_cut_anywhere_gives_what_is_whole_or_an_error(kind, tmp_path):
    data = write(tmp_path / f"x.{kind}", images()).read_bytes()
    path = tmp_path / f"cut.{kind}"
    counts = set()
    for size in np.linspace(1, len(data) - 1, 60).astype(int):
        path.write_bytes(data[:size])
        reader = ExtendedXyz() if kind == "extxyz" else Ase()
        steps, runs, _ = read_as_far_as_it_goes(path, reader=reader)
        counts.add(len(steps))
        assert bool(steps) == bool(runs)
    assert counts >= {"extxyz": {1, 2}, "traj": {2}}.get(kind, set())
    assert max(counts, default=0) <= 3


# Extended XYZ

FRAME = """2
Lattice="4 0 0 0 4 0 0 0 4" Properties=species:S:1:pos:R:3:{force}:R:3 {said}
H 0 0 0 0.1 0 0
H 0 0 0.8 -0.1 0 0
"""


@pytest.mark.parametrize("prefix", ["", "DFT_", "REF_", "dft_"])
def test_results_may_have_a_prefix(prefix, tmp_path):
    said = f'{prefix}energy=-3.5 {prefix}stress="1 0 0 0 2 0 0 0 3"'
    (step,), _ = read_xyz(tmp_path / "x.xyz", FRAME.format(force=f"{prefix}forces", said=said))
    assert step.energy_ev == -3.5
    assert step.forces_ev_per_a.tolist() == [[0.1, 0, 0], [-0.1, 0, 0]]
    np.testing.assert_allclose(np.diag(step.stress_gpa), np.array([1, 2, 3]) / GPa)


def test_results_of_two_kinds_in_one_file_are_not_comparable(tmp_path):
    frames = [FRAME.format(force=f"{one}forces", said=f"{one}energy=-1") for one in ("", "MACE_")]
    _, (a, b) = read_xyz(tmp_path / "x.xyz", "".join(frames))
    assert not comparable(a.method, b.method)


def test_kinds_of_results_are_not_mixed(tmp_path):
    text = FRAME.format(force="forces", said="energy=-1 REF_energy=-2 REF_free_energy=-7")
    (step,), _ = read_xyz(tmp_path / "x.xyz", text)
    assert (step.energy_ev, step.free_energy_ev) == (-1, None)
    assert step.forces_ev_per_a is not None


def test_virial_of_what_wants_to_expand_is_negative_stress(tmp_path):
    said = 'energy=-1 virial="6.4 0 0 0 6.4 0 0 0 6.4"'
    (step,), _ = read_xyz(tmp_path / "x.xyz", FRAME.format(force="forces", said=said))
    np.testing.assert_allclose(step.stress_gpa, -0.1 / GPa * np.eye(3))


def test_frames_are_their_own_unless_energy_falls_to_the_end(tmp_path):
    def text(*energies):
        return "".join(FRAME.format(force="forces", said=f"energy={e}") for e in energies)

    _, runs = read_xyz(tmp_path / "set.xyz", text(-1, -3, -2))
    assert [run.name for run in runs] == [f"folder/set.xyz#{n}" for n in (1, 2, 3)]
    assert {run.task for run in runs} == {"single_point"}
    steps, (run,) = read_xyz(tmp_path / "relax.xyz", text(-1, -2, -3))
    assert (len(steps), run.task, run.name) == (3, "relax", "folder/relax.xyz")
    cut = text(-1, -2, -3, -4)[:-12]
    steps, (run,) = read_xyz(tmp_path / "cut.xyz", cut)
    assert (len(steps), run.end, run.problems) == (3, "unfinished", ("truncated",))


def test_damaged_frames_are_told_and_stars_are_no_numbers(tmp_path):
    text = FRAME.format(force="forces", said="energy=-1")
    steps, _, error = read_xyz(
        tmp_path / "x.xyz", text + text.replace("0.8", "****"), read_as_far_as_it_goes
    )
    assert len(steps) == 1
    assert "****" in str(error)
    stars = FRAME.format(force="forces", said="energy=**** free_energy=nan")
    (step,), _ = read_xyz(tmp_path / "stars.xyz", stars)
    assert (step.energy_ev, step.free_energy_ev) == (None, None)
    assert step.forces_ev_per_a is not None
    with pytest.raises(ParseError, match="iconv"):
        read_xyz(tmp_path / "latin.xyz", text.replace("energy", "by=\xe9 energy").encode("latin-1"))


def test_what_an_export_says_of_a_result_counts_for_that_result_alone(tmp_path):
    """ASE keeps it all when a frame is calculated anew; and three that fall are no relaxation."""
    copper = Structure.from_ase(bulk("Cu"))
    method = {"code": "VASP", "functional": "PBE"}

    def record(energy_ev):
        said = {"id": "x", "energy_ev": energy_ev, "is_converged": energy_ev < -1, "method": method}
        return Record(copper, result=said)

    encode = ExtendedXyzWriter().encoder()
    path = tmp_path / "out.extxyz"
    path.write_text("".join(encode(record(energy_ev)) for energy_ev in (-1.0, -2.0, -3.0)))
    _, runs = read_xyz(path, path.read_text())
    assert [run.method.code for run in runs] == ["VASP"] * 3
    assert [run.problems for run in runs] == [("not_converged",), (), ()]
    again = ase.io.read(path)
    again.calc = EMT()
    again.get_potential_energy()
    ase.io.write(tmp_path / "again.extxyz", again)
    _, (run,) = read_xyz(tmp_path / "again.extxyz", (tmp_path / "again.extxyz").read_text())
    assert run.method.code != "VASP"
    assert run.problems == ()
