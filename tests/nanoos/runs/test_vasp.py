"""VASP's runs: real ones (tests/fixtures/runs/README.md), compared with ASE, and broken."""

import hashlib
import lzma
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.units import GPa

from nanoos import plugins
from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.runs import Run, RunFolder
from nanoos.runs.vasp import Vasp

FIXTURES = Path(__file__).parents[2] / "fixtures" / "runs" / "vasp"
OUTPUTS = sorted(
    path
    for path in FIXTURES.glob("*/*.xz")
    if any(word in path.name for word in ("OUTCAR", "xml")) and path.parent.name != "crashed"
)


def content(path):
    data = path.read_bytes()
    return lzma.decompress(data) if path.suffix == ".xz" else data


def folder(name, **replaced):
    """Return a run's folder; files may be replaced, added, and with None left out."""
    files = {path.name.removesuffix(".xz"): content(path) for path in (FIXTURES / name).iterdir()}
    files |= {key.replace("__", "."): data for key, data in replaced.items()}
    return of_files({key: data for key, data in files.items() if data is not None}, name)


def of_files(files, name="run"):
    return RunFolder(name, {key: Source(key, data=data) for key, data in files.items()})


def read(run_folder):
    """Return steps and run of the one run in a folder."""
    (run,) = Vasp().runs(run_folder)
    *steps, last = Vasp().read(run)
    assert isinstance(last, Run)
    return steps, last


def test_the_reader_is_a_plug_in():
    assert plugins.get("nanoos.runs", "vasp") is Vasp


@pytest.mark.parametrize("path", OUTPUTS, ids=lambda path: f"{path.parent.name}/{path.name}")
def test_numbers_are_those_that_ase_reads(path, tmp_path):
    file = tmp_path / path.name.removesuffix(".xz")
    file.write_bytes(content(path))
    kind = "vasp-xml" if "xml" in path.name else "vasp-out"
    if path.parent.name == "unfinished":
        with pytest.raises((ase.io.ParseError, IndexError, AssertionError, StopIteration)):
            assert ase.io.read(file, ":", format=kind)[0].calc
        expected = []
    else:
        expected = ase.io.read(file, ":", format=kind)
    steps, _ = read(of_files({path.name: content(path)}))
    assert len(steps) == len(expected)
    for step, atoms in zip(steps, expected, strict=True):
        results = atoms.calc.results
        assert step.structure.symbols == list(atoms.symbols)
        sign = np.sign(np.linalg.det(atoms.cell))
        np.testing.assert_allclose(step.structure.lattice_a, sign * atoms.cell.array, atol=1e-9)
        np.testing.assert_allclose(step.structure.positions_a, atoms.positions, atol=1e-9)
        assert step.energy_ev == pytest.approx(results["energy"], abs=1e-6)
        assert step.free_energy_ev == pytest.approx(results["free_energy"], abs=1e-6)
        np.testing.assert_allclose(step.forces_ev_per_a, results["forces"], atol=1e-6)
        if results.get("stress") is None:
            assert step.stress_gpa is None
        else:
            stress = atoms.get_stress(voigt=False) / GPa
            np.testing.assert_allclose(step.stress_gpa, stress, atol=1e-6)
        if "magmoms" in results:
            np.testing.assert_allclose(step.magnetic_moments_mu_b, results["magmoms"], atol=1e-6)


@pytest.mark.parametrize(
    ("name", "task", "end", "problems", "electrons", "ions", "n_steps"),
    [
        ("single_point", "single_point", "finished", (), True, None, 1),
        (
            *("electrons_unconverged", "single_point", "finished"),
            *(("electronic_steps_exhausted",), False, None, 1),
        ),
        ("ions_unconverged", "relax", "finished", ("ionic_steps_exhausted",), True, False, 5),
        ("unfinished", "single_point", "unfinished", (), None, None, 0),
        ("complaint", "single_point", "finished", ("error",), True, None, 1),
        ("crashed", "single_point", "crashed", ("error",), None, None, 0),
        ("relaxed", "relax", "finished", (), True, True, 3),
        ("fixed_moment", "relax", "finished", (), True, True, 4),
        ("magnetic", "relax", "finished", (), True, True, 1),
    ],
)
def test_how_a_run_went(name, task, end, problems, electrons, ions, n_steps):
    steps, run = read(folder(name))
    assert (run.task, run.end, run.problems) == (task, end, problems)
    assert (run.is_electronically_converged, run.is_ionically_converged) == (electrons, ions)
    assert len(steps) == n_steps
    assert (run.message is not None) == ("error" in problems)
    assert run.initial is not None


@pytest.mark.parametrize("file", ["OUTCAR", "vasprun.xml"])
@pytest.mark.parametrize("name", ["single_point", "electrons_unconverged", "relaxed"])
def test_either_output_alone_tells_the_same(name, file):
    steps, run = read(folder(name))
    others, other = read(of_files({file: content(FIXTURES / name / f"{file}.xz")}))
    assert [s.electronic_steps for s in others] == [s.electronic_steps for s in steps]
    assert [s.is_electronically_converged for s in others] == [
        s.is_electronically_converged for s in steps
    ]
    assert (other.task, other.end, other.problems) == (run.task, run.end, run.problems)
    assert other.is_ionically_converged == run.is_ionically_converged
    assert other.band_gap_ev == pytest.approx(run.band_gap_ev, abs=1e-3)
    assert other.fermi_energy_ev in (None, pytest.approx(run.fermi_energy_ev, abs=1e-3))
    for item in ("functional", "potentials", "cutoff_ev", "smearing", "smearing_width_ev", "spin"):
        assert getattr(other.method, item) == getattr(run.method, item), item
    assert other.method.further == run.method.further
    assert other.method.code_version == run.method.code_version


def test_what_only_outcar_has_is_added_to_the_xml():
    steps, run = read(folder("fixed_moment"))
    assert [step.magnetic_moments_mu_b.tolist() for step in steps][-1] == [0.634]
    assert (run.wall_time_s, run.n_cores, run.total_magnetization_mu_b) == (4.252, 1, 2.0)
    assert steps[0].place == 474  # a line of the XML
    assert set(run.files) == {"OUTCAR", "vasprun.xml"}
    data = content(FIXTURES / "fixed_moment" / "OUTCAR.xz")
    assert run.files["OUTCAR"] == hashlib.sha256(data).hexdigest()


@pytest.mark.parametrize("file", ["OUTCAR", "vasprun.xml"])
def test_what_is_cut_off_anywhere_gives_what_is_whole(file):
    data = content(FIXTURES / "relaxed" / f"{file}.xz")
    whole, _ = read(of_files({file: data}))
    for end in range(0, len(data) - 20, len(data) // 25):
        try:
            steps, run = read(of_files({file: data[:end]}))
        except (ParseError, ValueError):  # neither a geometry nor VASP's greeting
            assert end < len(data) // 3
            continue
        assert run.end == ("finished" if b"General timing" in data[:end] else "unfinished")
        assert [s.energy_ev for s in steps] == [s.energy_ev for s in whole[: len(steps)]]
    assert len(steps) >= len(whole) - 1


def test_a_cut_xml_is_completed_by_outcar():
    data = content(FIXTURES / "relaxed" / "vasprun.xml.xz")
    steps, run = read(folder("relaxed", vasprun__xml=data[: len(data) // 2]))
    assert (len(steps), run.end, run.is_ionically_converged) == (3, "finished", True)


def test_outputs_of_two_runs_are_told():
    other = content(FIXTURES / "electrons_unconverged" / "OUTCAR.xz")
    other = other.replace(b"2021.04.05  14:33:49", b"2021.04.05  14:32:55")
    steps, run = read(folder("single_point", OUTCAR=other))
    assert "files_disagree" in run.problems
    assert "-6.50214658 eV in one and -6.50202886 eV in the other" in run.message
    assert steps[0].free_energy_ev == -6.50214658
