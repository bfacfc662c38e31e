"""Runs of pw.x, finished and failed (tests/fixtures/runs/make_espresso.py), text and XML."""

import hashlib
import lzma
import re
import warnings
from datetime import datetime
from io import StringIO
from pathlib import Path

import ase.io
import numpy as np
import pytest
from ase.units import GPa

from nanoos.errors import ParseError
from nanoos.methods import Potential
from nanoos.parsers import Source
from nanoos.runs import Run, RunFolder, Step
from nanoos.runs.espresso import Espresso
from nanoos.structures.sameness import is_same_geometry

FIXTURES = Path(__file__).parents[2] / "fixtures" / "runs" / "espresso"
OTHERS = FIXTURES / "aiida_quantumespresso"
OUR_RUNS = sorted(path.name for path in FIXTURES.iterdir() if (path / "pw.in.xz").exists())
TEXT, XML = "pw.out.xz", "pw.save/data-file-schema.xml.xz"
RY_EV = 13.605691930242388  # ASE's, of CODATA 2006


def folder(path, *, without=()):
    files = sorted(file for file in path.rglob("*") if file.is_file())
    names = {file.relative_to(path).as_posix(): file for file in files}
    return RunFolder(
        path.name, {name: Source(name, file) for name, file in names.items() if name not in without}
    )


def of_texts(**texts):
    """Return a folder of texts in memory; a double underscore stands for a dot."""
    names = {name.replace("__", "."): text for name, text in texts.items()}
    sources = {
        name: Source(name, data=text if isinstance(text, bytes) else text.encode())
        for name, text in names.items()
    }
    return RunFolder("folder", sources)


def text_of(name, file=TEXT):
    return lzma.decompress((FIXTURES / name / file).read_bytes()).decode()


def read(given):
    """Return the steps and the runs of a folder."""
    reader = Espresso()
    found = [one for run in reader.runs(given) for one in reader.read(run)]
    return [x for x in found if isinstance(x, Step)], [x for x in found if isinstance(x, Run)]


def one(given):
    steps, (run,) = read(given)
    return steps, run


# What goes on elsewhere


def test_geometry_after_the_last_step_is_what_a_relaxation_leaves_for_the_next():
    for name, later in (("vc_steps_exhausted", "vc_continued"), ("interrupted", "restarted")):
        (next_step, *_), _ = one(folder(FIXTURES / later))
        for lacking in (), (XML,):
            steps, run = one(folder(FIXTURES / name, without=lacking))
            assert is_same_geometry(run.next_structure, next_step.structure)
            assert not is_same_geometry(run.next_structure, steps[-1].structure)
        steps, of_xml = one(folder(FIXTURES / name, without=(TEXT,)))
        left = of_xml.next_structure or steps[-1].structure  # the XML has energies on the way
        assert is_same_geometry(left, next_step.structure)
    for name in ("relax", "vc-relax", "restarted", "scf"):
        assert one(folder(FIXTURES / name))[1].next_structure is None


def test_restarted_run_begins_where_the_one_before_ended_and_not_where_its_input_says():
    """pw.x prints the geometry of the input, then that it takes another, from pw.save."""
    steps, run = one(folder(FIXTURES / "restarted"))
    xmls, of_xml = one(folder(FIXTURES / "restarted", without=(TEXT,)))
    texts, of_text = one(folder(FIXTURES / "restarted", without=(XML,)))
    for ours, theirs in zip(steps, xmls, strict=True):
        assert is_same_geometry(ours.structure, theirs.structure)
        assert ours.energy_ev == pytest.approx(theirs.energy_ev, abs=1e-6)
    assert run.initial is of_xml.initial is None
    assert [one.energy_ev for one in texts] == [one.energy_ev for one in steps[1:]]
    assert "first step is left out" in of_text.message


def test_unit_of_length_of_the_output_is_that_of_the_xml_too():
    """With vectors and celldm(1), the XML of version 6 says the length of a1 in its input."""
    _, runs = read(folder(FIXTURES / "vc_continued"))
    assert len(runs) == 1


def test_xml_alone_tells_what_ended_too_early():
    """Its status is 0 in version 6, whatever happened."""
    alone = [
        one(folder(FIXTURES / name, without=(TEXT,)))[1]
        for name in ("steps_exhausted", "interrupted", "relax")
    ]
    assert [(run.end, run.problems) for run in alone] == [
        ("finished", ("ionic_steps_exhausted",)),
        ("unfinished", ()),
        ("finished", ()),
    ]


# Numbers


def by_ase(text):
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        return ase.io.read(StringIO(text), ":", format="espresso-out")


@pytest.mark.parametrize(
    "name",
    [
        *("scf", "gamma", "smearing", "tetrahedra", "spin_u", "noncollinear", "spin_orbit"),
        *("dispersion", "relax", "vc-relax", "md", "steps_exhausted"),
    ],
)
def test_every_step_has_the_numbers_that_ase_reads(name):
    steps, _ = one(folder(FIXTURES / name))
    images = by_ase(text_of(name))
    assert len(steps) == len(images)
    for step, atoms in zip(steps, images, strict=True):
        theirs = atoms.calc.results
        np.testing.assert_allclose(step.structure.positions_a, atoms.positions, atol=1e-5)
        assert step.energy_ev == pytest.approx(theirs["energy"], abs=1e-6)
        if "forces" in theirs:
            np.testing.assert_allclose(step.forces_ev_per_a, theirs["forces"], atol=1e-6)
        if "stress" in theirs:
            stress = atoms.get_stress(voigt=False) / GPa
            np.testing.assert_allclose(step.stress_gpa, stress, atol=1e-6)


@pytest.mark.parametrize("name", ["scf", "smearing", "relax", "vc-relax", "md", "hybrid"])
def test_text_and_xml_alone_give_the_same_steps(name):
    given = folder(FIXTURES / name)
    texts, of_text = one(folder(FIXTURES / name, without=(XML,)))
    xmls, of_xml = one(folder(FIXTURES / name, without=(TEXT,)))
    assert [list(one.files) for one in Espresso().runs(given)] == [[TEXT, XML, "pw.in.xz"]]
    for ours, theirs in zip(texts, xmls, strict=True):
        assert ours.energy_ev == pytest.approx(theirs.energy_ev, abs=1e-7)
        internal = theirs.energy_without_entropy_ev
        assert ours.energy_without_entropy_ev == pytest.approx(internal, abs=2e-7)
        np.testing.assert_allclose(ours.forces_ev_per_a, theirs.forces_ev_per_a, atol=1e-6)
        np.testing.assert_allclose(
            ours.structure.positions_a, theirs.structure.positions_a, atol=1e-6
        )
        assert ours.electronic_steps == theirs.electronic_steps
    np.testing.assert_allclose(texts[-1].stress_gpa, xmls[-1].stress_gpa, atol=1e-4)
    for what in ("cutoff_ev", "density_cutoff_ev", "k_spacing_per_a", "smearing_width_ev"):
        ours, theirs = (getattr(run.method, what) for run in (of_text, of_xml))
        assert ours == (theirs and pytest.approx(theirs, rel=1e-5))
    for what in ("smearing", "spin", "spin_orbit", "hubbard_ev", "dispersion"):
        assert getattr(of_text.method, what) == getattr(of_xml.method, what)


def test_energies_of_smeared_electrons_are_each_named():
    (step,), run = one(folder(FIXTURES / "smearing"))
    total = float(re.search(r"!\s+total energy\s+=\s+(\S+)", text_of("smearing"))[1])
    internal = float(re.search(r"internal energy E=F\+TS\s+=\s+(\S+)", text_of("smearing"))[1])
    assert step.energy_ev == step.free_energy_ev == pytest.approx(total * RY_EV)
    assert step.energy_without_entropy_ev == pytest.approx(internal * RY_EV)
    assert step.energy_without_entropy_ev > step.free_energy_ev
    assert (run.method.smearing, run.band_gap_ev) == ("fermi-dirac", 0.0)
    assert run.method.smearing_width_ev == pytest.approx(0.02 * RY_EV)


def test_energy_of_a_hybrid_is_the_one_with_exact_exchange():
    (step,), run = one(folder(FIXTURES / "hybrid", without=(XML,)))
    total = float(re.search(r"!!\s+total energy\s+=\s+(\S+)", text_of("hybrid"))[1])
    assert step.energy_ev == pytest.approx(total * RY_EV)
    assert (run.method.functional, run.method.further) == ("PBE0", {"exx_fraction": 0.25})


def test_charge_and_exact_exchange_are_said_by_text_and_xml_alike():
    text, xml = text_of("hybrid"), text_of("hybrid", XML)
    charged = xml.replace("<tot_charge>0.0", "<tot_charge>1.0")
    assert charged != xml
    given = text_of("hybrid", "pw.in.xz").replace("nat = 2", "tot_charge = 1.0d0, nat = 2")
    folders = (
        of_texts(pw__out=text, pw__in=given),
        of_texts(pw__out=text, pw__xml=charged),
        of_texts(pw__xml=charged),
    )
    for each in folders:
        assert one(each)[1].method.further == {"exx_fraction": 0.25, "tot_charge": 1.0}


def test_what_is_under_pressure_has_negative_stress():
    (step,), _ = one(folder(FIXTURES / "scf"))
    kbar = float(re.search(r"P=\s*(\S+)", text_of("scf"))[1])
    assert kbar > 0
    assert np.trace(step.stress_gpa) / 3 == pytest.approx(-kbar / 10, abs=1e-3)


def test_moments_are_read_of_one_and_of_three_components():
    (step,), run = one(folder(FIXTURES / "spin_u"))
    assert step.magnetic_moments_mu_b == pytest.approx([1.1996])
    assert run.total_magnetization_mu_b == pytest.approx(1.2306, abs=1e-3)
    (step,), run = one(folder(FIXTURES / "noncollinear"))
    assert step.magnetic_moments_mu_b.shape == (1, 3)
    assert step.magnetic_moments_mu_b[0, 0] > 2
    assert run.total_magnetization_mu_b == pytest.approx(3.5)
    (step,), _ = one(folder(OTHERS / "magnetic_moments_v68"))
    assert step.magnetic_moments_mu_b.shape == (2,)
    (step,), _ = one(folder(OTHERS / "default_xml_260128", without=("aiida.out.xz",)))
    assert step.magnetic_moments_mu_b == pytest.approx(
        [6.2436e-5, -1.4455e-5, -1.4455e-5], rel=1e-3
    )


# Methods


def test_method_is_all_that_decides_the_numbers():
    _, run = one(folder(FIXTURES / "spin_u"))
    method = run.method
    assert (method.code, method.code_version) == ("Quantum ESPRESSO", "6.7MaX")
    assert (method.functional, method.spin, method.spin_orbit) == ("PBE", "collinear", False)
    assert method.hubbard_ev == pytest.approx({"Ni d": 4.0}, rel=1e-6)
    assert method.cutoff_ev == pytest.approx(20 * RY_EV)
    assert method.density_cutoff_ev == pytest.approx(80 * RY_EV)
    alat = 6.5 * 0.529177
    assert method.k_spacing_per_a == pytest.approx(2 * np.pi / alat * 3**0.5 / 2, rel=1e-5)
    md5 = re.search(r"MD5 check sum:\s*(\w+)", text_of("spin_u"))[1]
    digest = hashlib.sha256(md5.encode()).hexdigest()
    assert method.potentials == (Potential("Ni", "Ni.pbe-nd-rrkjus.UPF", digest),)


@pytest.mark.parametrize(
    ("name", "u_ev"), [("spin_u", {"Ni d": 4.0}), ("default_xml_230310", {"Co d": 5.0})]
)
@pytest.mark.parametrize("without", [(TEXT, "aiida.out.xz"), (XML, "data-file-schema.xml.xz")])
def test_u_is_in_ev_whatever_the_unit_of_a_version(name, u_ev, without):
    root = OTHERS if "xml" in name else FIXTURES
    _, run = one(folder(root / name, without=without))
    assert run.method.hubbard_ev == pytest.approx(u_ev, rel=1e-6)
    projection = {"U_projection_type": "ortho-atomic"} if "xml" in name else {}
    assert run.method.further == projection  # another energy by the same U


@pytest.mark.parametrize("name", OUR_RUNS[1:])
def test_list_of_k_points_tells_the_grid(name):
    _, of_text = one(folder(FIXTURES / name, without=(XML,)))
    _, of_both = one(folder(FIXTURES / name))
    expected = of_both.method.k_spacing_per_a
    assert of_text.method.k_spacing_per_a == pytest.approx(expected, rel=1e-5)
    assert expected is not None


def test_kinds_of_relativity_dispersion_and_occupation_are_named():
    _, run = one(folder(FIXTURES / "spin_orbit"))
    assert (run.method.spin_orbit, run.method.relativistic) == (True, "full")
    _, run = one(folder(FIXTURES / "dispersion"))
    assert (run.method.functional, run.method.dispersion) == ("PBEsol", "D3")
    _, run = one(folder(FIXTURES / "tetrahedra"))
    assert (run.method.smearing, run.method.smearing_width_ev) == ("tetrahedron", None)


def test_gap_is_that_of_the_eigenvalues():
    _, run = one(folder(FIXTURES / "scf"))
    top, bottom = re.search(r"unoccupied level \(ev\):\s*(\S+)\s+(\S+)", text_of("scf")).groups()
    assert run.band_gap_ev == pytest.approx(float(bottom) - float(top), abs=2e-4)
    assert run.is_gap_direct is False
    _, run = one(folder(FIXTURES / "scf", without=(XML,)))
    assert run.band_gap_ev == pytest.approx(float(bottom) - float(top))


# How it ended


def test_finished_run_says_what_it_cost_and_what_was_asked():
    steps, run = one(folder(FIXTURES / "relax"))
    assert (run.task, run.end, run.problems) == ("relax", "finished", ())
    assert (run.is_electronically_converged, run.is_ionically_converged) == (True, True)
    assert (run.n_cores, type(run.started_at)) == (1, datetime)
    assert 0 < run.wall_time_s < 60
    assert run.parameters["conv_thr"] == "1.0d-7"
    assert run.initial is steps[0].structure
    np.testing.assert_allclose(run.initial.positions_a[0, 0], 0.102 * 0.52917720859, rtol=1e-8)
    given = folder(FIXTURES / "relax")
    assert run.files == {name: source.sha256 for name, source in given.files.items()}
    lines = text_of("relax").splitlines()
    assert run.steps_in == TEXT
    assert all("ATOMIC_POSITIONS" in lines[step.place - 1] for step in steps[1:])


@pytest.mark.parametrize(
    ("name", "end", "problems", "message"),
    [
        ("steps_exhausted", "finished", ("ionic_steps_exhausted",), "maximum number of steps"),
        ("unconverged", "finished", ("electronic_steps_exhausted",), "NOT achieved after   2"),
        ("time_limit", "time_limit", (), "Maximum CPU time"),
        ("crashed", "crashed", ("error",), "readpp (1): file ./pseudo/not_there.UPF not found"),
    ],
)
def test_failure_is_kept_with_its_cause(name, end, problems, message):
    steps, run = one(folder(FIXTURES / name))
    assert len(steps) == 1
    assert (run.end, run.problems) == (end, problems)
    assert message in run.message
    assert run.is_electronically_converged is {"steps_exhausted": True, "crashed": None}.get(
        name, False
    )


def test_unconverged_energy_is_that_of_the_last_iteration():
    (step,), _ = one(folder(FIXTURES / "unconverged"))
    last = re.findall(r"total energy\s+=\s+(\S+) Ry", text_of("unconverged"))[-1]
    assert step.energy_ev == pytest.approx(float(last) * RY_EV)
    assert (step.is_electronically_converged, step.electronic_steps) == (False, 2)


def test_error_that_only_the_crash_file_has_is_taken():
    frame = "%" * 60
    text = text_of("relax")
    cut = text[: text.index("NEW-OLD atomic charge")]
    crash = f" {frame}\n     Error in routine broyden (1):\n     factorization\n {frame}\n"
    _, run = one(of_texts(relax__out=cut, CRASH=crash))
    assert (run.end, run.problems) == ("crashed", ("error",))
    assert run.message == "Error in routine broyden (1): factorization"


def test_scheduler_that_ended_a_run_is_heard():
    text = text_of("relax")
    said = "slurmstepd: error: *** JOB 7 ON n1 CANCELLED AT 2026-01-01 DUE TO TIME LIMIT ***\n"
    _, run = one(of_texts(relax__out=text[: text.index("NEW-OLD atomic charge")] + said))
    assert (run.end, run.is_ionically_converged) == ("time_limit", False)


def test_relaxation_that_was_killed_is_as_far_as_it_came():
    steps, run = one(folder(OTHERS / "failed_interrupted_relax", without=("aiida.out.xz",)))
    assert (run.task, len(steps)) == ("relax", 1)
    _, run = one(folder(OTHERS / "relax_success"))
    assert (run.end, run.method.code_version, run.is_ionically_converged) == (
        "finished",
        "6.6",
        True,
    )


# What belongs together


def test_two_runs_in_one_file_are_both_read():
    steps, runs = read(of_texts(all__out=text_of("scf") + text_of("relax")))
    assert [run.task for run in runs] == ["single_point", "relax"]
    assert len(steps) == 5


def test_xml_goes_to_the_text_with_its_energy():
    given = of_texts(
        a__out=text_of("scf"),
        b__out=text_of("relax"),
        b__in=text_of("relax", "pw.in.xz"),
        pw__xml=text_of("relax", XML),
    )
    runs = Espresso().runs(given)
    assert [(run.name, list(run.files)) for run in runs] == [
        ("folder/a.out", ["a.out"]),
        ("folder/b.out", ["b.out", "pw.xml", "b.in"]),
    ]
    given.files["pw.xml"] = Source("pw.xml", data=text_of("md", XML).encode())
    assert [next(iter(run.files)) for run in Espresso().runs(given)] == ["a.out", "b.out", "pw.xml"]


def test_pseudopotential_beside_it_is_known_by_the_hash_that_the_program_prints():
    upf = "<UPF version='2.0.1'>\n<PP_INFO>made up</PP_INFO>\n</UPF>\n"
    md5 = hashlib.md5(upf.encode()).hexdigest()
    text = re.sub(r"(MD5 check sum: ).*", rf"\1{md5}", text_of("scf"))
    for files in (
        {"pw__out": text, "Si.pz-vbc__UPF": upf},
        {"pw__xml": text_of("scf", XML), "Si.pz-vbc__UPF": upf},
        {"pw__out": text},
    ):
        _, run = one(of_texts(**files))
        (potential,) = run.method.potentials
        assert potential.sha256 == hashlib.sha256(md5.encode()).hexdigest()
        assert ("Si.pz-vbc.UPF" in run.files) == ("Si.pz-vbc__UPF" in files)
    _, run = one(of_texts(pw__out=text_of("scf"), **{"Si.pz-vbc__UPF": upf}))
    assert list(run.files) == ["pw.out"]  # another file of the same name


def test_what_is_no_run_is_left_alone():
    nothing = of_texts(
        pw__in=text_of("scf", "pw.in.xz"), notes__txt="Program of the week", empty=""
    )
    assert Espresso().runs(nothing) == []


# Damage


@pytest.mark.parametrize(("name", "file"), [("relax", TEXT), ("relax", XML), ("spin_u", TEXT)])
def test_cut_anywhere_it_gives_what_was_whole(name, file):
    text = text_of(name, file)
    whole, _ = one(of_texts(pw=text))
    energies = {step.energy_ev for step in whole} | {None}
    for place in range(0, len(text) - 200, len(text) // 30):
        try:
            steps, runs = read(of_texts(pw=text[:place]))
        except ParseError:
            continue
        if file == TEXT:
            assert all(run.end == "unfinished" for run in runs) or "JOB DONE" in text[:place]
            assert {step.energy_ev for step in steps} <= energies
        else:
            assert all(run.problems == ("truncated",) for run in runs)
        for step, full in zip(steps, whole, strict=False):
            if step.forces_ev_per_a is not None:
                np.testing.assert_array_equal(step.forces_ev_per_a, full.forces_ev_per_a)


@pytest.mark.parametrize(
    ("old", "lost"),
    [
        ("force =    -0.03563293", "forces_ev_per_a"),
        ("   0.00020124   0.00000000", "stress_gpa"),
        ("!    total energy              =     -15.55144157", "energy_ev"),
    ],
)
def test_stars_for_a_number_lose_that_result_alone(old, lost):
    text = text_of("relax")
    assert old in text
    stars = re.sub(r"-?\d[\d.]+(?=\D*$)", "*" * 10, old)
    steps, run = one(of_texts(pw__out=text.replace(old, stars, 1)))
    whole, _ = one(of_texts(pw__out=text))
    assert getattr(steps[0], lost) is None
    assert len(steps) == len(whole)
    assert run.end == "finished"


def test_row_that_is_cut_loses_the_stress_alone():
    (step,), run = one(of_texts(pw__out=re.sub(r"(\(kbar\).*\n *\S+) .*", r"\1", text_of("scf"))))
    assert (step.stress_gpa, run.end) == (None, "finished")
    assert step.forces_ev_per_a is not None


def test_geometry_of_stars_is_left_out_and_told():
    text = re.sub(r"(\(alat\)\nSi\s+)\S+", r"\1**********", text_of("relax"), count=1)
    steps, run = one(of_texts(pw__out=text))
    assert len(steps) == 3
    assert run.problems == ("truncated",)
    assert "Line" in run.message


def test_cell_without_volume_is_refused():
    text = re.sub(r"(a\(\d\) = \().*?\)", r"\1 0.0 0.0 0.0 )", text_of("scf"))
    with pytest.raises(ParseError, match="no geometry"):
        read(of_texts(pw__out=text))


def test_run_of_several_that_has_no_geometry_is_told_after_the_others():
    whole = text_of("scf")
    broken = re.sub(r"(a\(\d\) = \().*?\)", r"\1 0.0 0.0 0.0 )", whole)
    reader = Espresso()
    (run,) = reader.runs(of_texts(pw__out=whole + broken + whole))
    found = []
    with pytest.raises(ParseError, match=r"Run 2 of the output: .*no geometry"):
        found.extend(reader.read(run))
    assert [type(one) for one in found] == [Step, Run] * 2


def test_latin_1_and_nul_characters_do_no_harm():
    text = text_of("scf").replace("Reading input from", "Pr\xe9sident \0 input from")
    (step,), run = one(of_texts(pw__out=text.encode("latin-1")))
    assert run.end == "finished"
    assert step.energy_ev is not None


@pytest.mark.parametrize("doctype", ['<!ENTITY a "a">', '<!ENTITY a SYSTEM "file:///etc/passwd">'])
def test_xml_with_entities_is_refused(doctype):
    xml = text_of("scf", XML).replace(
        "<qes:espresso", f"<!DOCTYPE x [{doctype}]>\n<qes:espresso", 1
    )
    with pytest.raises(ParseError, match="ends before its atoms"):
        read(of_texts(pw__xml=xml))
