"""What ASE writes to its databases and trajectories is read back, and damage is told."""

import sqlite3
from pathlib import Path

import ase.db
import ase.io
import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, fcc111, molecule
from ase.calculators.emt import EMT
from ase.calculators.singlepoint import SinglePointCalculator
from ase.io import ulm
from hypothesis import given, settings
from hypothesis import strategies as st

from nanoos.errors import ParseError
from nanoos.parsers import Parsed, Rejected, Source, read, read_source
from nanoos.structures import Structure, fingerprint

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
KINDS = ["db", "json", "traj"]


def write(path, images, **more):
    """Write as ASE does."""
    if path.suffix == ".traj":
        ase.io.write(path, images)
        return path
    with ase.db.connect(path) as database:
        for atoms in images:
            database.write(atoms, **more)
    return path


def both(path):
    """Return the structures and the errors of a file."""
    found = list(read_source(Source(path.name, path)))
    return (
        [one for one in found if isinstance(one, Parsed)],
        [str(one.error) for one in found if isinstance(one, Rejected)],
    )


def slab():
    return fcc111("Cu", (1, 1, 3), vacuum=6.0)


IMAGES = [
    bulk("Cu", cubic=True),
    molecule("CH3OH"),
    slab(),
    Atoms("C2", [[0, 0, 0], [0, 0, 1.3]], cell=[9, 9, 2.6], pbc=[False, False, True]),
]


@pytest.mark.parametrize("kind", KINDS)
def test_structures_come_back_with_the_directions_in_which_they_repeat(kind, tmp_path):
    found = read(write(tmp_path / f"x.{kind}", IMAGES))
    for parsed, atoms in zip(found, IMAGES, strict=True):
        assert parsed.source_format == f"ase_{kind}"
        assert fingerprint(parsed.structure) == fingerprint(Structure.from_ase(atoms))
        assert parsed.structure.periodic == tuple(atoms.pbc)
    assert [parsed.place for parsed in found] == [1, 2, 3, 4]
    assert found[0].name == "x 1"


@pytest.mark.parametrize("kind", KINDS)
@settings(max_examples=15, deadline=None)
@given(
    numbers=st.lists(st.integers(1, 118), min_size=1, max_size=6),
    seed=st.integers(0, 2**32 - 1),
    pbc=st.tuples(st.booleans(), st.booleans(), st.booleans()),
)
def test_any_structure_comes_back_to_the_last_digit(kind, numbers, seed, pbc, tmp_path_factory):
    chance = np.random.default_rng(seed)
    cell = np.diag([5.0, 6.0, 7.0]) + chance.uniform(-0.5, 0.5, (3, 3))
    grid = np.arange(len(numbers))[:, None] / len(numbers)  # sites 0.8 Å apart or more
    atoms = Atoms(numbers, scaled_positions=np.hstack([grid] * 3), cell=cell, pbc=pbc)
    (parsed,) = read(write(tmp_path_factory.mktemp("any") / f"x.{kind}", [atoms]))
    expected = Structure.from_ase(atoms)
    np.testing.assert_array_equal(parsed.structure.positions_a, expected.positions_a)
    np.testing.assert_array_equal(parsed.structure.lattice_a, expected.lattice_a)
    assert parsed.structure.symbols == expected.symbols
    assert parsed.structure.periodic == pbc


@pytest.mark.parametrize("kind", KINDS)
def test_results_are_kept(kind, tmp_path):
    atoms = bulk("Cu") * (2, 1, 1)
    atoms.rattle(0.05, seed=1)
    atoms.calc = EMT()
    energy, forces = atoms.get_potential_energy(), atoms.get_forces()
    atoms.get_stress()
    (parsed,) = read(write(tmp_path / f"x.{kind}", [atoms]))
    found = parsed.extra["calculation"]
    assert (found["calculator"], found["energy_ev"]) == ("emt", energy)
    np.testing.assert_array_equal(found["forces_ev_per_a"], forces)
    assert len(found["stress_ev_per_a3"]) == 6


@pytest.mark.parametrize("kind", ["db", "json"])
def test_what_is_stored_with_a_row_is_kept(kind, tmp_path):
    atoms = molecule("O2")
    atoms.set_initial_magnetic_moments([1, -1])
    data = {"origin": ["a", 1, None], "dos": np.arange(6.0).reshape(2, 3), "nan": float("nan")}
    path = write(tmp_path / f"x.{kind}", [atoms], name="Oxygen", run=7, done=True)
    if kind == "db":  # NaN is no JSON, so a database in JSON with one cannot be read
        path = write(tmp_path / f"y.{kind}", [atoms], name="Oxygen", run=7, done=True, data=data)
    (parsed,) = read(path)
    assert parsed.name == "Oxygen"
    assert (parsed.extra["run"], parsed.extra["done"]) == (7, True)
    assert parsed.extra["initial_magmoms"] == [1.0, -1.0]
    assert parsed.extra["ase_db_id"] == 1
    assert len(parsed.extra["ase_unique_id"]) == 32


def test_data_of_a_row_is_kept_with_its_arrays(tmp_path):
    data = {"origin": ["a", 1, None], "dos": np.arange(6.0).reshape(2, 3)}
    for kind in ("db", "json"):
        (parsed,) = read(write(tmp_path / f"x.{kind}", [bulk("Cu")], data=data))
        assert parsed.extra["data"] == {"origin": ["a", 1, None], "dos": [[0, 1, 2], [3, 4, 5]]}


def test_large_data_is_left_out_and_said_so(tmp_path):
    (parsed,) = read(write(tmp_path / "x.db", [bulk("Cu")], data={"rho": np.zeros(200_000)}))
    assert parsed.extra["data_left_out"] == "larger than 1 MB"
    assert "data" not in parsed.extra


@pytest.mark.parametrize("shape", ["[99999999999999999999]", "[3037000500, 3037000500]", "[1e9]"])
def test_data_of_a_hostile_shape_is_left_out_and_the_rows_kept(shape, tmp_path):
    path = write(tmp_path / "x.db", [bulk("Cu"), bulk("Au"), bulk("Ag")])
    text = f'{{"a": {{"__ndarray__": [{shape}, "float64", 8]}}}}'.encode()
    with sqlite3.connect(path) as database:
        data = (8).to_bytes(8, "little") + text
        database.execute("UPDATE systems SET data = ? WHERE id = 1", [data])
        database.execute("UPDATE systems SET data = 5 WHERE id = 2")
    found = read(path)
    assert len(found) == 3
    assert ["damaged" in one.extra.get("data_left_out", "") for one in found] == [True, True, False]


def test_rows_that_were_deleted_leave_no_hole(tmp_path):
    path = write(tmp_path / "x.db", IMAGES)
    ase.db.connect(path).delete([2])
    found = read(path)
    assert [(one.place, one.extra["ase_db_id"]) for one in found] == [(1, 1), (2, 3), (3, 4)]


@pytest.mark.parametrize("kind", KINDS)
def test_one_that_is_wrong_leaves_the_others_in(kind, tmp_path):
    overlapping = Atoms("H2", [[0, 0, 0], [0, 0, 0.1]])
    found, errors = both(write(tmp_path / f"x.{kind}", [bulk("Cu"), overlapping, bulk("Au")]))
    assert [parsed.place for parsed in found] == [1, 3]
    where = {"traj": "Frame 2"}.get(kind, "Row 2")
    assert errors == [f"{where}: H (site 1) and H (site 2) overlap: they are 0.100 Å apart."]


@pytest.mark.parametrize("kind", KINDS)
def test_ghost_atoms_are_refused(kind, tmp_path):
    _, errors = both(write(tmp_path / f"x.{kind}", [Atoms("XH", [[0, 0, 0], [0, 0, 1]])]))
    assert "no element" in errors[0]


# Trajectories


def test_frames_inherit_numbers_but_not_results(tmp_path):
    first, second = bulk("Cu"), bulk("Cu")
    first.calc = SinglePointCalculator(first, energy=-1.0)
    first.info["step"] = 0
    one, two = read(write(tmp_path / "x.traj", [first, second]))
    assert one.extra == {"step": 0, "calculation": {"calculator": "unknown", "energy_ev": -1.0}}
    assert two.extra == {}


def test_disorder_is_not_lost_in_a_trajectory_unsaid(tmp_path):
    atoms = ase.io.read(EXAMPLES / "dolomite_0000905.cif")
    assert "occupancy" in atoms.info
    _, errors = both(write(tmp_path / "x.traj", [atoms]))
    assert "disordered" in errors[0]


def test_full_occupancies_are_no_disorder(tmp_path):
    atoms = bulk("Cu")
    atoms.info["occupancy"] = {"0": {"Cu": 1.0}}
    assert read(write(tmp_path / "x.traj", [atoms]))[0].structure.is_ordered


def test_pickled_trajectory_is_not_opened(tmp_path):
    path = tmp_path / "old.traj"
    path.write_bytes(b"PickleTrajectory" + b"cos\nsystem\n(S'touch x'\ntR.")
    with pytest.raises(ParseError, match="Python pickle"):
        read(path)


def test_ulm_of_another_kind_is_named(tmp_path):
    with ulm.Writer(tmp_path / "x.gpw", tag="gpaw") as writer:
        writer.write(version=1)
    with pytest.raises(ParseError, match="holds gpaw, not ASE-Trajectory"):
        read(tmp_path / "x.gpw")


def trajectory(path, **values):
    with ulm.Writer(path, tag="ASE-Trajectory") as writer:
        writer.write(**values)
    return path


GOOD = {"pbc": [True] * 3, "numbers": np.array([29]), "positions": np.zeros((1, 3))}


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ({"cell": [[1e300, 0, 0], [0, 4, 0], [0, 0, 4]]}, "beyond 1e6"),
        ({"cell": [[float("nan"), 0, 0], [0, 4, 0], [0, 0, 4]]}, "NaN is no JSON number"),
        ({"cell": [[4, 0, 0], [0, 4, 0]]}, "cell vectors should be 3 × 3 numbers"),
        ({"cell": "large"}, "cell vectors are not lists of numbers"),
        ({"cell": np.eye(3) * 4, "numbers": np.array([29, 29])}, "positions should be 2 × 3"),
        ({"cell": np.eye(3) * 4, "positions": np.full((1, 3), np.inf)}, "not finite"),
        ({"cell": np.eye(3) * 4, "positions": np.zeros((1, 3), complex)}, "shape or type"),
        ({"cell": np.eye(3) * 4, "numbers": np.array([119])}, "no element"),
        ({"numbers": np.full(100_001, 29)}, "has 100001 sites; at most 100000 are read"),
        ({"pbc": [True] * 3}, "A direction repeats but has no lattice vector"),
    ],
)
def test_frame_that_makes_no_sense_is_refused(values, message, tmp_path):
    path = trajectory(tmp_path / "x.traj", **(GOOD | values))
    try:
        _, (error,) = both(path)
    except ParseError as raised:
        error = str(raised)
    assert message in error


@pytest.mark.parametrize(
    "reference",
    [
        [[10**12], "float64", 56],
        [[1], "float64", -8],
        [[-1, -3], "float64", 56],
        [[1, 3], "object", 56],
        [[1, 3], "V100000000", 56],
        [[1.5, 3], "float64", 56],
        "positions",
    ],
)
def test_array_of_a_hostile_shape_is_refused(reference, tmp_path):
    path = tmp_path / "x.traj"
    with ulm.Writer(path, tag="ASE-Trajectory") as writer:
        writer.write(pbc=[True] * 3, numbers=np.array([29]), cell=[[4, 0, 0], [0, 4, 0], [0, 0, 4]])
        writer.data["positions."] = {"ndarray": reference}
    with pytest.raises(ParseError, match="damaged"):
        read(path)


def test_trajectory_that_is_cut_short(tmp_path):
    path = write(tmp_path / "x.traj", [bulk("Cu")] * 3)
    path.write_bytes(path.read_bytes()[:700])
    with pytest.raises(ParseError, match="cut short or damaged"):
        read(path)


# Databases in SQLite


def test_database_that_is_not_ases(tmp_path):
    database = sqlite3.connect(tmp_path / "x.db")
    database.execute("CREATE TABLE notes (x)")
    database.commit()
    with pytest.raises(ParseError, match="none of ASE's"):
        read(tmp_path / "x.db")


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE information SET value = '10' WHERE name = 'version'", "has the version 10"),
        ("UPDATE information SET value = '4' WHERE name = 'version'", "ase.db.convert"),
        ("DELETE FROM systems", "has no row"),
        ("ALTER TABLE systems DROP COLUMN pbc", "no such column"),
    ],
)
def test_database_of_another_make(statement, message, tmp_path):
    path = write(tmp_path / "x.db", [bulk("Cu")])
    with sqlite3.connect(path) as database:
        database.execute(statement)
    with pytest.raises(ParseError, match=message):
        read(path)


@pytest.mark.parametrize(
    ("statement", "message"),
    [
        ("UPDATE systems SET positions = x'00'", "column positions holds no array"),
        ("UPDATE systems SET numbers = 'copper'", "column numbers holds no array"),
        ("UPDATE systems SET positions = NULL", "positions are missing"),
        ("UPDATE systems SET cell = zeroblob(72)", "no lattice vector"),
        ("UPDATE systems SET key_value_pairs = '{'", "JSON is broken"),
        ("UPDATE systems SET pbc = 'often'", "pbc"),
    ],
)
def test_row_that_makes_no_sense_is_refused(statement, message, tmp_path):
    path = write(tmp_path / "x.db", [bulk("Cu")])
    with sqlite3.connect(path) as database:
        database.execute(statement)
    found, errors = both(path)
    assert not found
    assert message in errors[0]


@pytest.mark.parametrize(
    ("schema", "message"),
    [
        ("CREATE VIEW systems AS SELECT * FROM stored", "none of ASE's"),
        ("CREATE TABLE systems (id, positions AS (zeroblob(1000000000)))", "cannot be read"),
        (
            "CREATE VIRTUAL TABLE systems USING fts4(id, pbc, numbers)",
            "none of ASE's",
        ),
    ],
)
def test_schema_that_would_run_something_is_not_obeyed(schema, message, tmp_path):
    path = write(tmp_path / "x.db", [bulk("Cu")])
    with sqlite3.connect(path) as database:
        database.execute("ALTER TABLE systems RENAME TO stored")
        database.execute(schema)
    with pytest.raises(ParseError, match=message):
        read(path)


def test_damaged_pages_end_the_reading_with_what_was_before(tmp_path):
    path = write(tmp_path / "x.db", [bulk("Cu", a=3.6 + k / 1000) for k in range(300)])
    content = bytearray(path.read_bytes())
    content[len(content) // 2 :] = b"\xff" * (len(content) - len(content) // 2)
    path.write_bytes(content)
    rows = read_source(Source("x.db", path))
    assert isinstance(next(rows), Parsed)
    with pytest.raises(ParseError, match="cannot be read further"):
        list(rows)


def test_damage_that_is_no_text_is_told(tmp_path):
    """SQLite quotes it in its message, which Python then cannot read as UTF-8."""
    path = write(tmp_path / "x.db", [bulk("Cu")])
    path.write_bytes(path.read_bytes().replace(b"positions BLOB", b"positions @\xd9\xd9\xd9"))
    with pytest.raises(ParseError, match="cannot be read further"):
        read(path)


def test_reading_changes_nothing_and_leaves_nothing(tmp_path):
    path = write(tmp_path / "x.db", [bulk("Cu")])
    before = path.read_bytes()
    names = {p.name for p in tmp_path.iterdir()}
    read(path)
    assert path.read_bytes() == before
    assert {p.name for p in tmp_path.iterdir()} == names
