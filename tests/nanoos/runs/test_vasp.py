"""VASP's runs: real ones (tests/fixtures/runs/README.md), compared with ASE, and broken."""

import hashlib
import lzma
from contextlib import suppress
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.units import GPa
from hypothesis import given, settings
from hypothesis import strategies as st

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
    assert (steps[0].place, run.steps_in) == (474, "vasprun.xml")  # a line of the XML
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


def test_outputs_that_began_at_different_times_are_two_runs():
    later = content(FIXTURES / "ions_unconverged" / "OUTCAR.xz")
    runs = Vasp().runs(folder("electrons_unconverged", OUTCAR=later))
    assert [sorted(run.files) for run in runs] == [["vasprun.xml"], ["OUTCAR"]]


def test_runs_of_a_folder_come_in_the_order_they_ran():
    first = content(FIXTURES / "single_point" / "OUTCAR.xz")
    second = content(FIXTURES / "magnetic" / "OUTCAR_MAG.xz")
    undated = first.replace(b" date 2021.04.05", b"")
    xml = content(FIXTURES / "single_point" / "vasprun.xml.xz")
    runs = Vasp().runs(
        of_files(
            {
                "OUTCAR.relax10.gz": undated,
                "OUTCAR.relax2": undated,
                "OUTCAR": undated,
                "notes.txt": b"no output of a program",
            }
        )
    )
    assert [[*run.files] for run in runs] == [["OUTCAR.relax2"], ["OUTCAR.relax10.gz"], ["OUTCAR"]]
    runs = Vasp().runs(
        of_files(
            {
                "run1.OUTCAR": first,
                "run1.vasprun.xml": xml,
                "older": second,
                "POTCAR": b" PAW_PBE Si\n   TITEL  = PAW_PBE Si 05Jan2001\n",
            }
        )
    )
    assert [[*run.files] for run in runs] == [
        ["POTCAR", "older"],
        ["POTCAR", "run1.OUTCAR", "run1.vasprun.xml"],
    ]
    assert [run.name for run in runs] == ["run/older", "run/run1.OUTCAR"]


def xml_of(name, *replacements):
    """Return the vasprun.xml of a run with some of its text replaced."""
    (path,) = (FIXTURES / name).glob("*xml*")
    data = content(path)
    for old, new in replacements:
        assert old in data
        data = data.replace(old, new, 1)
    return data


@pytest.mark.parametrize(
    ("tags", "functional", "dispersion"),
    [
        ({}, "PBE", None),
        ({"GGA": "PS"}, "PBEsol", None),
        ({"GGA": "CA"}, "LDA", None),
        ({"METAGGA": "R2SCAN"}, "r2SCAN", None),
        ({"METAGGA": "SCAN", "LUSE_VDW": "T"}, "SCAN", "rVV10"),
        ({"GGA": "MK", "LUSE_VDW": "T"}, "optB86b-vdW", None),
        ({"GGA": "ML", "LUSE_VDW": "T", "Zab_VDW": "-1.8867"}, "vdW-DF2", None),
        ({"IVDW": "12"}, "PBE", "D3(BJ)"),
        ({"LHFCALC": "T", "AEXX": "0.25"}, "PBE0", None),
        ({"LHFCALC": "T", "AEXX": "0.25", "HFSCREEN": "0.2"}, "HSE06", None),
        ({"LHFCALC": "T", "AEXX": "0.25", "HFSCREEN": "0.3"}, "HSE03", None),
        ({"LHFCALC": "T", "AEXX": "1.0", "AGGAC": "0.0", "ALDAC": "0.0"}, "HF", None),
    ],
)
def test_functionals_have_their_usual_names(tags, functional, dispersion):
    _, run = read(of_files({"vasprun.xml": with_tags(tags)}))
    assert (run.method.functional, run.method.dispersion) == (functional, dispersion)


def with_tags(tags):
    """Return a vasprun.xml with these as its first parameters: the first counts."""
    kinds = {"GGA": "string", "METAGGA": "string", "IVDW": "int"}
    written = ""
    for name, value in tags.items():
        kind = kinds.get(name, "logical" if value in "TF" else "float")
        tag = "v" if " " in value else "i"
        written += f'<{tag} type="{kind}" name="{name}">{value}</{tag}>\n'
    return xml_of("version_6", (b"<parameters>", b"<parameters>" + written.encode()))


@pytest.mark.parametrize(
    ("allowed", "criterion", "converged"),
    [(11, "1e-9", True), (10, "1e-3", True), (10, "1e-9", False), (9, "1e-3", None)],
)
def test_electrons_converged_when_the_xml_has_fewer_steps_than_allowed(
    allowed, criterion, converged
):
    data = with_tags({"NELM": str(allowed), "EDIFF": criterion})
    _, run = read(of_files({"vasprun.xml": data}))  # of 10 electronic steps
    assert run.is_electronically_converged is converged
    assert ("electronic_steps_exhausted" in run.problems) == (converged is False)


def test_hubbard_u_is_that_of_dudarev():
    tags = {"LDAU": "T", "LDAUL": "2 ", "LDAUU": "5.3 ", "LDAUJ": "1.0 "}
    _, run = read(of_files({"vasprun.xml": with_tags(tags)}))
    assert run.method.hubbard_ev == {"Si d": pytest.approx(4.3)}
    _, run = read(of_files({"vasprun.xml": with_tags(tags | {"LDAU": "F"})}))
    assert run.method.hubbard_ev == {}


def test_hubbard_u_is_read_from_outcar_alone():
    said = b"""
 LDA+U is selected, type is set to LDAUTYPE =  2
   angular momentum for each species LDAUL =     2    -1
   U (eV)           for each species LDAUU =   4.0   0.0
   J (eV)           for each species LDAUJ =   0.5   0.0
"""
    outcar = content(FIXTURES / "magnetic" / "OUTCAR_MAG.xz")
    place = outcar.index(b" Exchange correlation treatment:")
    _, run = read(of_files({"OUTCAR": outcar[:place] + said + outcar[place:]}))
    assert run.method.hubbard_ev == {"Co d": 3.5}


def test_spin_orbit_and_charge_belong_to_the_method():
    _, run = read(folder("noncollinear"))
    assert (run.method.spin, run.method.spin_orbit) == ("noncollinear", True)
    _, run = read(of_files({"vasprun.xml": with_tags({"NELECT": "7.0"})}))
    assert run.method.further["charge"] == 1


def test_outcar_alone_has_the_distance_of_k_points():
    expected = read(folder("relaxed", OUTCAR=None))[1].method.k_spacing_per_a
    outcar = content(FIXTURES / "relaxed" / "OUTCAR.xz")
    assert b" generate k-points for:    7    7    7" in outcar
    listed = outcar.replace(b" generate k-points for:", b"")
    mesh = b"mesh\n0\nGamma\n 7 7 7\n"
    for files in ({"OUTCAR": outcar}, {"OUTCAR": listed}, {"OUTCAR": listed, "KPOINTS": mesh}):
        _, run = read(of_files(files))
        assert run.method.k_spacing_per_a == pytest.approx(expected, rel=1e-6)


def test_of_a_potcar_only_title_and_hash_are_kept():
    head = b"  PAW_PBE Si 05Jan2001\n   4.0\n   TITEL  = PAW_PBE Si 05Jan2001\n"
    secret = head + b" 0.123456789E+02 local part\n End of Dataset\n"
    _, run = read(folder("single_point", POTCAR=secret))
    (potential,) = run.method.potentials
    assert potential.title == "PAW_PBE Si 05Jan2001"
    assert potential.sha256 == hashlib.sha256(secret).hexdigest()
    stated = hashlib.sha256(secret).hexdigest().encode()
    hashed = secret.replace(b"   4.0\n", b"   4.0\n   SHA256 = " + stated + b" Si/POTCAR\n")
    _, run = read(folder("single_point", POTCAR=hashed))
    assert run.method.potentials[0].sha256 == stated.decode()
    assert "local part" not in repr(run)
    assert "0.123456789" not in repr(run)


@pytest.mark.parametrize(
    ("log", "end", "message"),
    [
        (b" ZBRENT: fatal error in bracketing\n", "crashed", "ZBRENT: fatal error in bracketing"),
        (b" VERY BAD NEWS! internal error in subroutine SGRCON:\n", "crashed", "VERY BAD NEWS"),
        (b"slurmstepd: error: *** JOB 7 CANCELLED DUE TO TIME LIMIT ***\n", "time_limit", ""),
        (b"=>> PBS: job killed: walltime 3600 exceeded limit 3600\n", "time_limit", ""),
        (
            b"forrtl: error (78): process killed (SIGTERM)\nDUE TO TIME LIMIT\n",
            "time_limit",
            "forrtl",
        ),
        (b"", "unfinished", ""),
    ],
)
def test_why_a_run_broke_off_is_found_in_its_logs(log, end, message):
    log = content(FIXTURES / "unfinished" / "vasp_output.xz") + log
    _, run = read(folder("unfinished", vasp_output=log))
    assert run.end == end
    assert (run.message or "").startswith(message)


def test_the_text_of_an_error_box_is_the_message():
    outcar = content(FIXTURES / "crashed" / "OUTCAR.crashed.xz").rstrip()
    outcar = outcar.removesuffix(b"-").rstrip(b" -\n")
    outcar += b"""
|     EDDDAV: Call to ZHEGV failed with    12                                 |
|       ---->  I REFUSE TO CONTINUE WITH THIS SICK JOB ... BYE!!! <----       |
 -----------------------------------------------------------------------------
"""
    _, run = read(folder("crashed", **{"OUTCAR.crashed": outcar}))
    assert run.message.startswith("EDDDAV: Call to ZHEGV failed with 12")


def test_a_run_stopped_by_stopcar_reached_its_time_limit():
    outcar = content(FIXTURES / "ions_unconverged" / "OUTCAR.xz")
    place = outcar.index(b" General timing")
    outcar = outcar[:place] + b" soft stop encountered!  aborting job ...\n" + outcar[place:]
    _, run = read(folder("ions_unconverged", OUTCAR=outcar))
    assert (run.end, run.is_ionically_converged) == ("time_limit", False)


def test_a_value_of_another_type_than_its_tag_is_none():
    data = xml_of("relaxed", (b'<i type="int" name="NSW">', b'<i type="string" name="NSW">'))
    _, run = read(
        of_files({"vasprun.xml": data.replace(b'type="int" name="IBRION"', b'name="IBRION"')})
    )
    assert run.method.cutoff_ev == 250


@pytest.mark.parametrize("prolog", [b"<!DOCTYPE a [<!ENTITY b 'c'>]>", b"<!--x--><!DOCTYPE a>"])
def test_a_document_type_is_refused(prolog):
    data = xml_of("version_6", (b"<generator>", prolog + b"<generator>"))
    with pytest.raises(ParseError, match="DOCTYPE"):
        read(of_files({"vasprun.xml": data}))


def test_odd_letters_do_no_harm():
    name = "Müller & Söhne".encode("latin-1") + b"\x00\x07"
    data = xml_of("version_6", (b"unknown system", name))
    steps, run = read(of_files({"vasprun.xml": data}))
    assert (len(steps), run.end) == (1, "finished")
    assert run.parameters["SYSTEM"] == "Müller & Söhne"


def test_numbers_that_overflowed_are_missing():
    data = xml_of("version_6")
    place = data.index(b"<v>", data.index(b'<varray name="forces"')) + len(b"<v>")
    data = data[:place] + b"*" * 16 + data[place + 16 :]
    steps, _ = read(of_files({"vasprun.xml": data}))
    assert steps[0].forces_ev_per_a is None
    assert steps[0].energy_ev is not None


def test_touching_numbers_are_taken_apart():
    outcar = content(FIXTURES / "ions_unconverged" / "OUTCAR.xz")
    place = outcar.index(b"  in kB")
    line = b"  in kB   -1013.37991-2544.49046   255.28119  -198.81087  -417.05080   161.62424\n"
    outcar = outcar[:place] + line + outcar[outcar.index(b"\n", place) + 1 :]
    steps, _ = read(of_files({"OUTCAR": outcar}))
    assert np.diag(steps[0].stress_gpa) == pytest.approx([101.337991, 254.449046, -25.528119])


def test_a_step_of_overlapping_atoms_is_left_out_and_told():
    data = content(FIXTURES / "relaxed" / "OUTCAR.xz")
    place = data.index(b" POSITION  ")
    data = data[:place] + data[place:].replace(b"1.35000", b"0.00000")
    steps, run = read(of_files({"OUTCAR": data}))
    assert len(steps) == 2
    assert "Step 1 is left out" in run.message
    assert "error" in run.problems


@given(st.data())
@settings(max_examples=30)
def test_damage_gives_an_error_or_a_run(data):
    file = data.draw(st.sampled_from(["OUTCAR", "vasprun.xml"]))
    damaged = bytearray(content(FIXTURES / "relaxed" / f"{file}.xz")[:60_000])
    for _ in range(data.draw(st.integers(1, 5))):
        place = data.draw(st.integers(200, len(damaged) - 1))
        size = data.draw(st.sampled_from([1, 3, 500]))
        with_ = data.draw(
            st.sampled_from([b"", b"*", b"\xff", b"\0", b"\n", b"<", b"9" * 30, b"NaN"])
        )
        damaged[place : place + size] = with_
    with suppress(ParseError):
        read(of_files({file: bytes(damaged)}))
