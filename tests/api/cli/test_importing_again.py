"""Import at the command: what files say of themselves, and files that are known already."""

from __future__ import annotations

import time
from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from samples import metal

from nanoos.writers import write

if TYPE_CHECKING:
    from conftest import Invoke, Start

HALITE = Path(__file__).parents[3] / "examples" / "crystals" / "halite_0011356.cif"


def copper(path: Path, said: str = "") -> Path:
    """Write a file of one structure, of which its second line says something more."""
    lines = write([metal("Cu")], "extxyz").split("\n")
    lines[1] += f" {said}"
    path.write_text("\n".join(lines))
    return path


def ask(invoke: Invoke, query: str) -> list[dict[str, Any]]:
    return invoke("db", "sql", query, "--json").json


def change(database: str, statement: str) -> None:
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute(statement)
        connection.commit()


def wait_for_a_lock(database: str) -> None:
    """Return when somebody waits for one."""
    waiting = "SELECT FROM pg_locks WHERE NOT granted"
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        for _ in range(600):
            cursor.execute(waiting)
            if cursor.fetchone() is not None:
                return
            time.sleep(0.05)
    raise AssertionError("Nobody waits for a lock.")


@pytest.mark.parametrize(
    ("said", "source", "external_id"),
    [
        ("database_code=9000046", None, "9000046"),
        ('database="  " database_code=1.5', None, "1.5"),
        ('database={1 2 3} database_code=" A1 "', None, "A1"),
    ],
)
def test_what_a_file_says_need_not_be_text(
    invoke: Invoke, tmp_path: Path, said: str, source: str | None, external_id: str
) -> None:
    file = copper(tmp_path / "cu.extxyz", said)
    assert invoke("structures", "import", file, "--json").json["imported"] == 1
    assert ask(invoke, "SELECT source, external_id FROM structures") == [
        {"source": source, "external_id": external_id}
    ]


@pytest.mark.slow
def test_a_licence_of_blanks_is_none(invoke: Invoke, database: str, tmp_path: Path) -> None:
    file = copper(tmp_path / "cu.extxyz", 'licence=" "')
    bare = invoke("structures", "import", file, "--public", "--json", exits=1).json
    assert "states no licence" in bare["failed"][0]["error"]
    invoke("structures", "import", file)
    # As revision 004 filled it from what the source said.
    change(database, "UPDATE structures SET licence = ' '")
    assert "states no licence" in invoke("structures", "publish", "--all", exits=2).stderr
    invoke("structures", "publish", "--all", "--licence", "CC0-1.0")
    assert ask(invoke, "SELECT licence FROM structures") == [{"licence": "CC0-1.0"}]


@pytest.fixture
def vasp(invoke: Invoke, tmp_path: Path) -> Path:
    """A file that is known, stored as one structure of the format that the content told."""
    file = tmp_path / "cu.vasp"
    file.write_text(write([metal("Cu")], "poscar"))
    assert invoke("structures", "import", file, "--json").json["imported"] == 1
    return file


def test_a_known_file_is_read_as_another_format(invoke: Invoke, vasp: Path) -> None:
    what = ("structures", "import", vasp, "--json")
    assert invoke(*what, "--format", "poscar").json["existing"] == 1
    assert invoke(*what, "--format", "cif", exits=1).json["existing"] == 0
    assert invoke(*what).json["existing"] == 1


def test_a_known_file_is_read_again(invoke: Invoke, database: str, vasp: Path) -> None:
    """As where its format was told wrong, and nothing else of it was stored."""
    change(database, "UPDATE structure_sources SET format = 'cif'")
    what = ("structures", "import", vasp, "--json")
    formats = "SELECT DISTINCT format FROM structure_sources"
    invoke(*what)
    assert ask(invoke, formats) == [{"format": "cif"}]
    assert invoke(*what, "--again").json == {"imported": 0, "existing": 1, "failed": []}
    assert ask(invoke, formats) == [{"format": "poscar"}]


@pytest.mark.slow
def test_a_known_file_whose_structure_is_deleted_meanwhile_is_read(
    start: Start, database: str, vasp: Path
) -> None:
    other = vasp.rename(vasp.with_name("other.vasp"))
    with closing(psycopg2.connect(database)) as connection, connection.cursor() as cursor:
        cursor.execute("DELETE FROM structures")
        with start("structures", "import", other, "--json") as command:
            wait_for_a_lock(database)
            connection.commit()
            assert command.end() == 0
    assert '"imported": 1' in command.output()


@pytest.mark.slow
def test_what_its_owner_published_has_no_private_twin(
    invoke: Invoke, tmp_path: Path, vasp: Path
) -> None:
    invoke("structures", "publish", "--all", "--licence", "CC0-1.0")
    (tmp_path / "cu.cif").write_text(write([metal("Cu")], "cif"))
    for file in (vasp, copper(tmp_path / "other.extxyz"), tmp_path / "cu.cif"):
        done = invoke("structures", "import", file, "--again", "--json").json
        assert done == {"imported": 0, "existing": 1, "failed": []}
    assert invoke("structures", "import", vasp, "--json").json["existing"] == 1
    assert ask(invoke, "SELECT visibility FROM structures") == [{"visibility": "public"}]
    assert ask(invoke, "SELECT visibility FROM materials") == [{"visibility": "public"}]


def test_what_an_old_release_left_out_is_filled(invoke: Invoke, database: str) -> None:
    """A release from before these columns stores structures after the revision that fills them."""
    invoke("structures", "import", HALITE)
    filled = """
        SELECT source, external_id, licence, citation_id IS NOT NULL AS is_cited FROM structures
    """
    (before,) = ask(invoke, filled)
    change(
        database,
        """
        UPDATE structures SET analysis_version = 1, source = NULL, external_id = NULL,
            licence = NULL, citation_id = NULL, extra = extra || '{"licence": "CC0-1.0"}';
        DELETE FROM citations
        """,
    )
    invoke("structures", "reanalyse")
    assert before["is_cited"]
    assert ask(invoke, filled) == [before | {"licence": "CC0-1.0"}]
