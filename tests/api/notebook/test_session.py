"""A notebook's session: plain Python, on a real database."""

from __future__ import annotations

import doctest
import shutil
import subprocess
import sys
import zipfile
from collections.abc import Iterator
from pathlib import Path
from typing import get_type_hints

import pytest
from ase import Atoms
from ase.build import bulk
from ase.io import write
from samples import gas, metal, solid_solution
from sqlalchemy import select
from sqlalchemy.ext.asyncio import AsyncSession

import api
from api.cli.filters import FILTERS
from api.errors import NotFound, WrongUsage
from api.models import StructureSource, User
from api.notebook import Filters, Session, entry, found, session
from api.notebook.filters import OPTIONS
from api.schemas.search import Query
from nanoos.errors import StructureError
from nanoos.parsers import read
from nanoos.structures import fingerprint

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
QUARTZ = next(EXAMPLES.glob("quartz*"))


@pytest.fixture
def db(database: str) -> Iterator[Session]:
    with api.session() as opened:
        yield opened


@pytest.fixture
def filled(db: Session) -> Session:
    db.import_([metal("Cu"), metal("Au"), gas(), solid_solution()], name="sample")
    db.import_(QUARTZ)
    return db


def test_three_lines_from_a_query_to_atoms_and_a_table(filled: Session) -> None:
    found = filled.search(elements=["Si", "O"], density_g_per_cm3=(2.0, 3.0))
    table = found.to_pandas()
    (atoms,) = found.atoms()
    assert table.reduced_formula.tolist() == ["O2Si"]
    assert table.index.tolist() == [atoms.info["id"]]
    assert atoms.get_chemical_formula() == "O6Si3"
    assert atoms.info["space_group_number_at_0_1"] in {152, 154}


def test_found_is_fetched_page_by_page(filled: Session, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(found, "PAGE", 2)
    everything = filled.search(sort="density_g_per_cm3:desc")
    assert everything.count == 5
    densities = [one["density_g_per_cm3"] for one in everything]
    assert densities[:4] == sorted(densities[:4], reverse=True)
    assert densities[4] is None
    assert len(everything.to_pandas()) == 5
    assert len(list(filled.search(limit=3))) == filled.search(limit=3).count == 3
    walking = iter(everything)
    next(walking)
    filled.import_(metal("Ag"))  # while somebody is in the middle of it
    assert len([*walking]) >= 4


def test_disordered_structures_are_left_out_of_atoms_and_said(filled: Session) -> None:
    with pytest.warns(UserWarning, match="1 disordered"):
        assert len(list(filled.search().atoms())) == 4
    assert sum(not one.is_ordered for one in filled.search().structures()) == 1
    mixed = filled.search(is_ordered=False).first()
    with pytest.raises(StructureError, match="disordered"):
        _ = mixed.atoms


def test_entry_holds_all_that_is_known(filled: Session) -> None:
    one = filled.search(reduced_formula="SiO2").first()
    assert one["citation"]["authors"]
    assert fingerprint(one.structure) == one["fingerprint"]
    assert filled.structure(str(one.id)) == one
    assert "O2Si" in repr(one)
    with pytest.raises(NotFound):
        filled.structure("0199a3d2-0000-7000-8000-000000000000")
    with pytest.raises(NotFound):
        filled.search(elements="Xe").first()


def test_import_says_what_is_new_and_what_failed(db: Session, tmp_path: Path) -> None:
    first = db.import_(bulk("Ni"), name="nickel")
    again = db.import_([bulk("Ni"), bulk("Al")])
    assert (first.new, again.new) == (1, 1)
    assert again.ids[0] == first.ids[0]
    (tmp_path / "broken.cif").write_text("data_x\n_cell_length_a 1\n")
    (tmp_path / "quartz.cif").write_bytes(QUARTZ.read_bytes())
    files = db.import_(tmp_path)
    assert (files.new, len(files.failed)) == (1, 1)
    assert files.failed[0].file.endswith("broken.cif")
    with pytest.raises(StructureError):
        db.import_(Atoms("Cu2", positions=[[0, 0, 0], [0, 0, 0.1]]))


def test_ids_of_many_files_come_in_the_order_of_their_names(db: Session, tmp_path: Path) -> None:
    """They are read in several processes, which end as they may."""
    folder = tmp_path / "many"
    folder.mkdir()
    for n in range(40):
        bulk("Cu", a=3.5 + n / 100).write(folder / f"{n:02}.extxyz")
    write(folder / "07.extxyz", [bulk("Au", a=a) for a in (4.1, 3.9, 4.0)])
    (folder / "11.extxyz").write_text("no atoms")
    with zipfile.ZipFile(folder / "06 packed.zip", "w") as packed:
        bulk("Ag").write(tmp_path / "silver.extxyz")
        packed.write(tmp_path / "silver.extxyz", "silver.extxyz")
    found = db.import_(folder)
    names = [f"{n:02}" for n in range(40)]
    names[6:8] = ["silver", "06", "07 1", "07 2", "07 3"]
    names.remove("11")
    assert [db.structure(id_)["name"] for id_ in found.ids] == names
    assert (found.new, [Path(one.file).name for one in found.failed]) == (42, ["11.extxyz"])
    archive = shutil.make_archive(str(tmp_path / "many"), "gztar", folder)
    again = db.import_(archive)
    assert (again.ids, again.new, len(again.failed)) == (found.ids, 0, 1)


def test_what_is_public_needs_a_licence(db: Session) -> None:
    refused = db.import_(bulk("Ni"), public=True)
    assert (refused.new, len(refused.failed)) == (0, 1)
    assert "licence" in refused.failed[0].error
    with pytest.raises(WrongUsage, match="LicenseRef-"):
        db.import_(bulk("Ni"), public=True, licence="my own")
    (id_,) = db.import_(bulk("Ni"), public=True, licence="cc0-1.0").ids
    assert db.structure(id_)["licence"] == "CC0-1.0"


def test_where_files_lie_is_not_stored(db: Session, tmp_path: Path) -> None:
    (tmp_path / "mine").mkdir()
    (tmp_path / "mine" / "quartz.cif").write_bytes(QUARTZ.read_bytes())
    db.import_(tmp_path / "mine")

    async def names(session: AsyncSession, _: User) -> list[str]:
        return list(await session.scalars(select(StructureSource.name)))

    assert db._background.run(names) == ["mine/quartz.cif"]


def test_export_comes_back_as_the_same(filled: Session, tmp_path: Path) -> None:
    report = filled.search(is_ordered=True).export(tmp_path / "all.xyz")
    assert report.written == 4
    known = {one["fingerprint"] for one in filled.search(is_ordered=True)}
    assert {fingerprint(one.structure) for one in read(tmp_path / "all.xyz")} == known
    assert (tmp_path / "all.bib").exists()


def test_notebook_shows_what_was_found(filled: Session) -> None:
    filled.import_(metal("Ag"), name="<b>silver</b>")
    shown = filled.search()._repr_html_()
    assert "6 structures found" in shown
    assert "&lt;b&gt;silver" in shown


@pytest.mark.parametrize(
    ("wrong", "says"),
    [
        ({"element": "O"}, "Did you mean elements"),
        ({"elements": ["Xx"]}, "Xx"),
        ({"density_g_per_cm3": (3.0, 2.0)}, "density_g_per_cm3"),
        ({"sort": "colour"}, "colour"),
        ({"density": (2, 3)}, r"no filter density\. Did you mean density_g_per_cm3\?"),
        ({"formula": "SiO2"}, "Did you mean reduced_formula"),
        ({"ids": ["nope"]}, "'nope' is no id; copy it from"),
        ({"visibility": "secret"}, "'secret' is none of private, public"),
        ({"limit": 0}, "limit=0"),
    ],
)
def test_wrong_filter_is_named(db: Session, wrong: dict[str, object], says: str) -> None:
    with pytest.raises(WrongUsage, match=says):
        db.search(**wrong)  # type: ignore[arg-type]


def test_what_cannot_be_imported_is_said(db: Session) -> None:
    with pytest.raises(WrongUsage, match=r"no file or folder missing\.cif"):
        db.import_("missing.cif")
    for wrong in (5, ["salt.cif"], None):
        with pytest.raises(TypeError, match="the path of a file"):
            db.import_(wrong)  # type: ignore[arg-type]
    assert db.search().count == 0


def test_what_is_no_id_is_said(db: Session) -> None:
    with pytest.raises(WrongUsage, match="'nope' is no id"):
        db.structure("nope")


def test_options_of_the_command_are_known_by_their_names() -> None:
    named = {
        filter_.option.removeprefix("--").replace("-", "_"): filter_.field
        for panel in FILTERS.values()
        for filter_ in panel
    }
    assert {o: field for o, field in named.items() if o != field} == OPTIONS


def test_filters_are_those_of_a_query() -> None:
    assert set(get_type_hints(Filters)) == set(Query.model_fields)


async def test_it_works_where_a_loop_is_running(database: str) -> None:
    with api.session() as db:
        db.import_(metal("Cu"))
        assert db.search().count == 1


def test_closed_session_says_so(database: str) -> None:
    db = api.session()
    db.close()
    db.close()
    with pytest.raises(WrongUsage, match="closed"):
        _ = db.search().count


@pytest.mark.parametrize("module", [session, found, entry], ids=lambda module: module.__name__)
def test_examples_of_the_docs_run(database: str, module: object) -> None:
    with api.session() as db:
        db.import_(QUARTZ)
        failed, tried = doctest.testmod(module, extraglobs={"db": db})  # type: ignore[arg-type]
    assert tried
    assert not failed


def test_import_api_loads_nothing_heavy() -> None:
    code = "import sys, api; print({'sqlalchemy', 'numpy', 'pydantic'} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"
