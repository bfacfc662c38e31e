"""Outputs of GPAW, CP2K, FHI-aims, CASTEP and LAMMPS (tests/fixtures/runs/README.md)."""

import gzip
import lzma
import re
from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.units import Bohr, GPa, Hartree

from nanoos.errors import ParseError
from nanoos.methods import comparable
from nanoos.parsers import Source
from nanoos.runs import Run, RunFolder, Step, ase_text
from nanoos.runs.castep import Castep
from nanoos.runs.cp2k import Cp2k
from nanoos.runs.fhi_aims import FhiAims
from nanoos.runs.gpaw import Gpaw
from nanoos.runs.lammps import Lammps

FIXTURES = Path(__file__).parents[2] / "fixtures" / "runs"
READERS = {
    "gpaw": Gpaw,
    "castep": Castep,
    "fhi_aims": FhiAims,
    "cp2k": Cp2k,
    "lammps": Lammps,
}
FORMATS = {"gpaw": "gpaw-out", "castep": "castep-castep", "fhi_aims": "aims-output"}
BEGUN = b"          Invoking FHI-aims ...\n"


def content(path):
    data = path.read_bytes()
    data = lzma.decompress(data) if path.suffix == ".xz" else data
    return BEGUN + data if "fhi_aims" in path.parts and b"Invoking" not in data else data


def files(name):
    """Return name → content of one output, or of a folder of them."""
    path = FIXTURES / name
    found = sorted(path.iterdir()) if path.is_dir() else [path.with_name(f"{path.name}.xz")]
    return {one.name.removesuffix(".xz"): content(one) for one in found}


def text(name):
    return next(iter(files(name).values())).decode()


def read(name, given=None):
    """Return the steps and the run of some outputs."""
    given = files(name) if given is None else given
    folder = RunFolder("folder", {one: Source(one, data=data) for one, data in given.items()})
    reader = READERS[name.partition("/")[0]]()
    found = [one for run in reader.runs(folder) for one in reader.read(run)]
    runs = [one for one in found if isinstance(one, Run)]
    assert len(runs) == 1
    assert isinstance(found[-1], Run)
    return [one for one in found if isinstance(one, Step)], runs[0]


OF_ASE = [
    *("gpaw/silicon.txt", "gpaw/nickel.txt", "gpaw/hydrogen.txt", "gpaw/water.txt"),
    *("fhi_aims/singlepoint.out", "fhi_aims/relax.out", "fhi_aims/md.out", "fhi_aims/spin.out"),
    "castep/md.castep",
]


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("name", OF_ASE)
def test_every_step_has_the_numbers_that_ase_reads(name, tmp_path):
    path = tmp_path / "output"
    path.write_text(text(name))
    images = ase.io.read(path, ":", format=FORMATS[name.partition("/")[0]])
    steps, run = read(name)
    assert len(steps) == len(images)
    for step, atoms in zip(steps, images, strict=True):
        np.testing.assert_allclose(step.structure.positions_a, atoms.positions, atol=1e-9)
        assert step.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
        theirs = atoms.calc.results
        assert (step.forces_ev_per_a is None) == (theirs.get("forces") is None)
        if step.forces_ev_per_a is not None:
            np.testing.assert_allclose(step.forces_ev_per_a, theirs["forces"], atol=1e-9)
        assert (step.stress_gpa is None) == (theirs.get("stress") is None)
        if step.stress_gpa is not None:
            stress = atoms.get_stress(voigt=False) / GPa
            np.testing.assert_allclose(step.stress_gpa, stress, atol=1e-9)
    assert (run.end, run.problems) == ("finished", ())


def test_forces_and_energies_of_lammps_are_those_of_dump_and_log():
    steps, run = read("lammps/relax")
    dump = files("lammps/relax")["copper.dump"].decode()
    images = ase.io.read(StringIO(dump), ":", format="lammps-dump-text")
    assert len(steps) == len(images) == 9
    for step, atoms in zip(steps, images, strict=True):
        np.testing.assert_allclose(step.forces_ev_per_a, atoms.get_forces(), atol=1e-9)
        np.testing.assert_allclose(step.structure.positions_a, atoms.positions, atol=1e-9)
    assert [steps[0].energy_ev, steps[-1].energy_ev] == [-9.3100555, -13.953158]
    np.testing.assert_allclose(steps[-1].stress_gpa, -16.47834 * np.eye(3), atol=1e-6)
    assert (run.task, run.is_ionically_converged) == ("relax", True)
    assert run.method.functional == "eam"


def test_energies_of_lammps_that_are_divided_by_atoms_are_multiplied_again():
    given = files("lammps/relax")
    divided = re.sub(
        rb"(?m)^minimize", b"thermo_modify norm yes flush yes\nminimize", given["log.lammps"]
    )
    steps, _ = read("lammps/relax", given | {"log.lammps": divided})
    assert steps[0].energy_ev == pytest.approx(-9.3100555 * 4)
    restyled = divided.replace(b"\nminimize", b"\nthermo_style custom step pe\nminimize")
    steps, _ = read("lammps/relax", given | {"log.lammps": restyled})
    assert steps[0].energy_ev == -9.3100555


def test_force_field_of_lammps_is_known_by_coefficients_and_terms():
    given = files("lammps/relax")
    log = given["log.lammps"]
    without = re.sub(rb"(?m)^pair_coeff.*\n", b"", log)

    def method(log, data=""):
        others = {"log.lammps": log, "copper.data": given["copper.data"] + data.encode()}
        return read("lammps/relax", given | others)[1].method

    long_range = log.replace(b"pair_style", b"kspace_style pppm 1e-4\npair_style", 1)
    assert not comparable(method(log), method(long_range))
    one, other = (f"\nPair Coeffs # lj/cut\n\n1 {epsilon} 2.5\n" for epsilon in (0.1, 0.2))
    assert comparable(method(without, one), method(without + b"\n", one))
    assert not comparable(method(without, one), method(without, other))
    assert not comparable(method(without), method(without + b"\n"))


def test_elements_of_a_dump_without_them_are_told_by_masses():
    steps, run = read("lammps/dynamics")
    assert {symbol for step in steps for symbol in step.structure.symbols} == {"Cu"}
    assert run.task == "molecular_dynamics"
    assert steps[3].energy_ev == -9.6254694


def test_energy_forces_and_stress_of_cp2k_are_in_our_units_and_signs():
    (step,), run = read("cp2k/silicon")
    said = text("cp2k/silicon")
    energy = float(re.search(r"ENERGY\| .*: +(\S+)", said)[1])
    assert step.energy_ev == pytest.approx(energy * Hartree, abs=1e-9)
    force = [float(x) for x in re.search(r"1 +1 +Si +(0\S+) +(\S+) +(\S+)\n", said).groups()]
    np.testing.assert_allclose(step.forces_ev_per_a[0], np.array(force) * Hartree / Bohr)
    assert "1/3 Trace                                             8.3365" in said  # of pressure
    assert np.trace(step.stress_gpa) / 3 == pytest.approx(-8.33651705726, abs=1e-9)
    assert run.method.k_spacing_per_a == pytest.approx(np.pi * 3**0.5 / 2 / 2.7, rel=1e-6)
    assert run.method.density_cutoff_ev == pytest.approx(40 * Hartree)
    assert [one.title for one in run.method.potentials] == ["SZV-GTH GTH-PADE-q4"]


def test_positions_beside_an_output_of_cp2k_are_its_later_steps():
    steps, run = read("cp2k/water")
    assert len(steps) == 5
    assert steps[1].energy_ev == pytest.approx(-17.079306842389322 * Hartree, abs=1e-9)
    assert steps[1].structure.positions_a[0, 1] == pytest.approx(2.7621400888)
    assert (run.end, run.problems) == ("finished", ("ionic_steps_exhausted",))
    assert (run.task, run.is_ionically_converged) == ("relax", False)
    assert len(run.files) == 2
    alone = {one: data for one, data in files("cp2k/water").items() if one == "water.out"}
    (step,), run = read("cp2k/water", alone)
    assert step.energy_ev != steps[-1].energy_ev
    assert (run.problems, run.is_ionically_converged) == (
        ("ionic_steps_exhausted", "truncated"),
        None,
    )
    assert "5 energies" in run.message
    ended = alone["water.out"].replace(
        b"MAXIMUM NUMBER OF OPTIMIZATION STEPS REACHED", b"GEOMETRY OPTIMIZATION COMPLETED"
    )
    frames = files("cp2k/water")["water-pos-1.xyz"]
    for given in ({}, {"water-pos-1.xyz": b"".join(frames.splitlines(keepends=True)[:10])}):
        _, run = read("cp2k/water", {"water.out": ended} | given)
        assert (run.problems, run.is_ionically_converged) == (("truncated",), None)
    _, run = read("cp2k/water", {"water.out": ended, "water-pos-1.xyz": frames})
    assert (run.problems, run.is_ionically_converged) == ((), True)


@pytest.mark.parametrize(
    ("pattern", "by", "what", "value"),
    [
        (r"(DFT\| Charge +)0", r"\g<1>1", "further", {"DFT Charge": "1"}),
        (r"(DFT\| Multiplicity +)1", r"\g<1>3", "further", {"DFT Multiplicity": "3"}),
        (r"(QS\| Method: +)GPW", r"\g<1>GAPW", "further", {"QS Method": "GAPW"}),
        (
            "(?= SCF PARAMETERS)",
            " HFX_INFO| Fraction:                                       0.2500000000\n",
            "functional",
            "PADE+HFX",
        ),
        (
            "(?= SCF PARAMETERS)",
            "                        Smear method:                    FERMI_DIRAC\n"
            "                        Electronic temperature [a.u.]:      1.00E-02\n",
            "smearing_width_ev",
            pytest.approx(0.272114, rel=1e-6),
        ),
        (
            r"(?<=SZV-GTH\n)",
            "        Angular momentum quantum number L:                         1\n"
            "        U(eff) = (U - J) value in [eV]:                        2.000\n",
            "hubbard_ev",
            {"Si p": 2.0},
        ),
    ],
)
def test_settings_of_cp2k_that_change_energies_are_part_of_the_method(pattern, by, what, value):
    given = text("cp2k/silicon")
    changed = re.sub(pattern, by, given, count=1)
    ours, theirs = (read("cp2k", {"x.out": one.encode()})[1].method for one in (changed, given))
    assert getattr(ours, what) == value
    assert not comparable(ours, theirs)


def test_gpaw_says_method_cost_and_gap():
    (step,), run = read("gpaw/silicon.txt")
    method = run.method
    assert (method.code, method.code_version, method.functional) == ("GPAW", "22.8.0", "PBE")
    assert (method.cutoff_ev, method.smearing, method.smearing_width_ev) == (
        200,
        "fermi-dirac",
        0.05,
    )
    assert (method.spin, method.further) == ("none", {})
    assert method.k_spacing_per_a == pytest.approx(np.pi * 3**0.5 / 5.43 * 2 / 2, rel=1e-6)
    assert [one.title for one in method.potentials] == ["Si.PBE.gz"]
    assert (run.band_gap_ev, run.is_gap_direct, run.wall_time_s) == (2.005, False, 15.645)
    assert step.free_energy_ev == step.energy_without_entropy_ev == -10.594576
    assert np.trace(step.stress_gpa) < 0  # compressed, as its pressure says


def test_relaxation_is_told_by_falling_energies_where_gpaw_does_not_say():
    _, run = read("gpaw/hydrogen.txt")
    assert (run.task, run.method.cutoff_ev) == ("relax", None)
    assert run.method.further["mode"] == "lcao"


def test_electrons_that_did_not_converge_are_flagged():
    steps, run = read("gpaw/unconverged.txt")
    assert [step.energy_ev for step in steps] == [None]
    assert run.problems == ("electronic_steps_exhausted",)
    assert (run.message, run.is_electronically_converged) == ("Did not converge!", False)


def test_species_settings_of_fhi_aims_are_known_by_their_hash():
    _, run = read("fhi_aims/spin.out")
    (potential,) = run.method.potentials
    assert (potential.element, run.method.functional) == ("H", "pw-lda")
    other = text("fhi_aims/spin.out").replace("hydro 2 p 3.5", "hydro 2 p 3.6").encode()
    (changed,) = read("fhi_aims", {"aims.out": other})[1].method.potentials
    assert potential.sha256 != changed.sha256


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("xc\thse06 0.11", "xc\thse06 0.2"),
        ("xc libxc GGA_X_PBE+GGA_C_PBE", "xc libxc MGGA_X_SCAN+MGGA_C_SCAN"),
        ("xc pbe\n  charge 1.", "xc pbe\n  charge 0."),
        ("xc pbe0\n  hybrid_xc_coeff 0.2", "xc pbe0"),
        ("xc pbe\n  relativistic atomic_zora scalar", "xc pbe\n  relativistic zora scalar 1e-12"),
        ("xc pbe\n  include_spin_orbit", "xc pbe"),
    ],
)
def test_lines_of_the_input_of_fhi_aims_are_taken_whole(one, other):
    given = text("fhi_aims/spin.out")
    methods = []
    for lines in (one, other):
        changed = given if "relativistic" not in lines else given.replace("relativistic   ", "#", 1)
        changed = re.sub(r"\bxc +pw-lda", lines, changed, count=1)
        methods.append(read("fhi_aims", {"aims.out": changed.encode()})[1].method)
    assert not comparable(*methods)


def test_castep_says_method_and_task():
    _, run = read("castep/md.castep")
    assert (run.method.functional, run.method.cutoff_ev) == ("LDA", 190.48)
    assert (run.task, run.wall_time_s) == ("molecular_dynamics", 9.33)


def test_electrons_of_castep_that_did_not_converge_at_the_end_are_flagged():
    *before, last = text("castep/md.castep").split("Final energy, E")
    warning = "*Warning* max. SCF cycles performed but system has not reached the groundstate.\n"

    def converged(*parts):
        _, run = read("castep", {"x.castep": "Final energy, E".join(parts).encode()})
        return run.is_electronically_converged, run.problems

    assert converged(*before, last) == (True, ())
    assert converged(warning + before[0], *before[1:], last) == (True, ())
    ended = [*before[:-1], f"{before[-1]}{warning}", last]
    assert converged(*ended) == (False, ("electronic_steps_exhausted",))


def test_charge_and_u_of_castep_are_part_of_the_method():
    given = text("castep/md.castep")
    table = """                        Hubbard U values are eV
             | Si                   1   |   0.000   0.000   0.000   0.000 |
             | Fe                   1   |   0.000   0.000   4.500   0.000 |
"""
    given = re.sub(r"(net charge of system +: +)0.000", r"\g<1>1.000", given)
    changed = given.replace("using best-fit", f"{table} using best-fit", 1).encode()
    method = read("castep", {"x.castep": changed})[1].method
    assert method.further == {"charge": 1.0}
    assert method.hubbard_ev == {"Fe d": 4.5}


def test_screen_beside_a_log_of_lammps_is_the_same_run():
    given = files("lammps/relax")
    steps, run = read("lammps/relax", given | {"screen": given["log.lammps"]})
    assert len(steps) == 9
    assert "screen" not in run.files


@pytest.mark.filterwarnings("ignore")
def test_restart_file_of_gpaw_has_the_numbers_that_ase_reads(tmp_path):
    data = files("gpaw/restart.gpw")["restart.gpw"]
    path = tmp_path / "restart.gpw"
    path.write_bytes(data)
    atoms = ase.io.read(path, format="gpw")
    (step,), run = read("gpaw", {"restart.gpw": data})
    assert step.energy_ev == pytest.approx(atoms.get_potential_energy(), abs=1e-9)
    np.testing.assert_allclose(step.forces_ev_per_a, atoms.get_forces(), atol=1e-9)
    np.testing.assert_allclose(step.stress_gpa, atoms.get_stress(voigt=False) / GPa, atol=1e-9)
    _, of_text = read("gpaw/silicon.txt")
    ours, theirs = run.method, of_text.method
    for what in ("code", "functional", "cutoff_ev", "k_spacing_per_a", "smearing_width_ev"):
        assert getattr(ours, what) == getattr(theirs, what)
    given = {"x.gpw": data, "x.txt": text("gpaw/silicon.txt").encode()}
    assert list(read("gpaw", given)[1].files) == ["x.txt"]
    with pytest.raises(ParseError):
        read("gpaw", {"restart.gpw": data[:-200]})


# Damage

ONE_OF_EACH = [
    *("gpaw/hydrogen.txt", "fhi_aims/md.out", "castep/md.castep"),
    *("cp2k/silicon", "cp2k/water", "lammps/relax"),
]


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_output_cut_anywhere_gives_what_is_whole_or_an_error(name):
    whole = files(name)
    steps, _ = read(name)
    counts = set()
    for cut in whole:
        for size in np.linspace(len(whole[cut]) // 3, len(whole[cut]) - 2, 12).astype(int):
            try:
                found, run = read(name, whole | {cut: whole[cut][:size]})
            except ParseError:
                continue
            counts.add(len(found))
            for ours, theirs in zip(found, steps, strict=False):
                assert ours.energy_ev in (theirs.energy_ev, None)
            assert run.end != "crashed"
    assert 0 < max(counts) <= len(steps)


@pytest.mark.parametrize("name", ONE_OF_EACH)
def test_latin_1_and_nul_characters_do_no_harm(name):
    changed = {
        one: data.replace(b"Total", b"T\xe9\0tal", 1) if b"Lattice" not in data else data
        for one, data in files(name).items()
    }
    steps, _ = read(name, changed)
    assert steps[0].energy_ev is not None


def test_stars_for_an_energy_are_no_number():
    stars = text("cp2k/silicon").replace("-7.860224021848685", "*" * 18).encode()
    steps, _ = read("cp2k/silicon", {"x.out": stars})
    assert steps[0].energy_ev is None
    stars = re.sub(r"Extrapolated: .*", "Extrapolated:   *********", text("gpaw/silicon.txt"))
    with pytest.raises(ParseError, match="ASE's reader fails"):
        read("gpaw", {"x.txt": stars.encode()})


def test_compressed_output_cut_short_is_an_error_that_says_so():
    cut = gzip.compress(text("gpaw/silicon.txt").encode())[:-20]
    with pytest.raises(ParseError, match="cut short"):
        list(Gpaw().read(RunFolder("folder", {"x.gz": Source("x.gz", data=cut)})))


def test_atoms_on_one_spot_are_an_error_of_the_file():
    moved = text("cp2k/silicon").replace("1.350000      1.377000      1.377000", "0.0 0.0 0.0")
    with pytest.raises(ParseError, match="no structure"):
        read("cp2k", {"x.out": moved.encode()})


def test_outputs_too_long_for_ase_are_refused(monkeypatch):
    monkeypatch.setattr(ase_text, "MAX_BYTES", 1000)
    with pytest.raises(ParseError, match="more than ASE can read"):
        read("gpaw/silicon.txt")


def test_files_of_others_are_no_runs():
    given = {"a.txt": b"energy\n", "log": b"Step 1\n", "x.dump": b"ITEM: TIMESTEP\n0\n"}
    folder = RunFolder("folder", {name: Source(name, data=data) for name, data in given.items()})
    assert [reader().runs(folder) for reader in READERS.values()] == [[]] * len(READERS)
