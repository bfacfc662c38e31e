"""Entries with results: those that pymatgen writes (tests/fixtures/formats), and OPTIMADE's."""

import json
from pathlib import Path

import pytest

from nanoos.errors import ParseError
from nanoos.methods import Potential, comparable
from nanoos.parsers import Source
from nanoos.runs import Run, RunFolder, Step
from nanoos.runs.entries import Entries

FORMATS = Path(__file__).parents[2] / "fixtures" / "formats"
ENTRIES = json.loads((FORMATS / "pymatgen" / "entries.json").read_text())
OPTIMADE = json.loads((FORMATS / "optimade" / "entry.json").read_text())
PARAMETERS = {  # as the Materials Project fills them
    "run_type": "GGA_U",
    "is_hubbard": True,
    "hubbards": {"Si": 0.0, "O": 2.0, "Fe": 5.3},
    "potcar_spec": [
        {"titel": "PAW_PBE Si 05Jan2001", "hash": "b2b0ea6feb62e7cde209616683b8f7f5"},
        {"titel": "PAW_PBE O 08Apr2002", "hash": "7a25bc5b9a5393f46600a4939d357982"},
    ],
}


def read(value):
    source = Source("mp.json", data=json.dumps(value).encode())
    found = []
    for run in Entries().runs(RunFolder("old", {"mp.json": source})):
        found += Entries().read(run)
    assert [type(one) for one in found] == [Step, Run] * (len(found) // 2)
    return list(zip(found[::2], found[1::2], strict=True))


def test_each_entry_is_a_run_with_its_energy_and_method():
    entry = ENTRIES[0] | {"parameters": PARAMETERS}
    ((step, run), *others) = read([entry, *ENTRIES[1:]])
    assert len(others) == len(ENTRIES) - 1
    assert step.energy_ev == entry["energy"]
    assert step.structure.n_sites == 9
    assert (run.name, run.task) == ("old/mp.json/quartz-1", "other")
    assert (run.method.code, run.method.functional) == ("VASP", "PBE")
    assert run.method.hubbard_ev == {"O p": 2.0}
    assert run.method.potentials == (
        Potential("O", "PAW_PBE O 08Apr2002"),
        Potential("Si", "PAW_PBE Si 05Jan2001"),
    )
    assert run.parameters["run_type"] == "GGA_U"


def test_corrections_stay_apart_from_energies():
    adjustments = [{"@class": "ConstantEnergyAdjustment", "value": -4.1, "name": "oxide"}]
    entry = ENTRIES[0] | {"correction": -4.1, "energy_adjustments": adjustments}
    ((step, run),) = read(entry)
    assert step.energy_ev == ENTRIES[0]["energy"]
    assert run.extra["correction_ev"] == -4.1
    assert run.extra["energy_adjustments"] == adjustments


def test_document_of_the_materials_project_has_both_energies_per_atom():
    document = {
        "material_id": "mp-1",
        "structure": ENTRIES[0]["structure"],
        "uncorrected_energy_per_atom": -7.0,
        "energy_per_atom": -7.5,
        "formation_energy_per_atom": -3.0,
        "band_gap": 5.7,
        "is_gap_direct": False,
    }
    ((step, run),) = read([document])
    assert step.energy_ev == pytest.approx(-63)
    assert run.extra["correction_ev"] == pytest.approx(-4.5)
    assert (run.band_gap_ev, run.is_gap_direct) == (5.7, False)
    assert run.extra["formation_energy_per_atom"] == -3.0


@pytest.mark.parametrize(
    ("fields", "energy_ev", "gap_ev"),
    [
        ({"_alexandria_energy": -10.5, "_alexandria_energy_corrected": -11.0}, -10.5, None),
        ({"_oqmd_delta_e": -0.4, "_oqmd_band_gap": 1.1}, None, 1.1),
        ({"_mp_stability": {"gga_gga+u": {"energy_above_hull": 0.0}}}, None, None),
    ],
)
def test_fields_of_providers_are_results(fields, energy_ev, gap_ev):
    value = json.loads(json.dumps(OPTIMADE))
    entry = value["data"][0] if isinstance(value.get("data"), list) else value.get("data", value)
    entry["attributes"] |= fields
    ((step, run), *_) = read(value)
    assert (step.energy_ev, run.band_gap_ev) == (energy_ev, gap_ev)
    assert run.extra.items() >= fields.items()
    assert run.method.functional is None


def test_entries_without_a_functional_are_comparable_within_their_file_alone():
    one, other = ([ENTRIES[0] | {"parameters": {}, "energy": energy}] for energy in (-1.0, -2.0))
    ((_, a),), ((_, b),) = read(one), read(other)
    assert a.method.functional is b.method.functional is None
    assert comparable(a.method, a.method)
    assert not comparable(a.method, b.method)


def test_functional_of_alexandria_is_that_of_the_method():
    methods = []
    for said in ("PBE", "PBEsol"):
        value = json.loads(json.dumps(OPTIMADE))
        entry = value["data"][0] if isinstance(value.get("data"), list) else value["data"]
        fields = {"_alexandria_energy": -10.5, "_alexandria_xc_functional": said}
        entry["attributes"] |= fields
        methods.append(read(value)[0][1].method)
    assert [one.functional for one in methods] == ["PBE", "PBEsol"]
    assert not comparable(*methods)


def test_what_has_no_results_is_no_run():
    assert read([one["structure"] for one in ENTRIES]) == []
    assert read(OPTIMADE) == []
    assert read({"energy": 1.0}) == []


def test_entry_that_is_left_out_is_told_after_the_others():
    broken = {key: value for key, value in ENTRIES[0].items() if key != "structure"}
    source = Source("mp.json", data=json.dumps([ENTRIES[0], broken]).encode())
    (run,) = Entries().runs(RunFolder("old", {"mp.json": source}))
    found = Entries().read(run)
    assert isinstance(next(found), Step)
    assert isinstance(next(found), Run)
    with pytest.raises(
        ParseError, match=r"1 of 2 entries are left out, the first because: .*no str"
    ):
        next(found)
