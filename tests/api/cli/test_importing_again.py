"""Import at the command: what files say of themselves, and files that are known already."""

from __future__ import annotations

from contextlib import closing
from pathlib import Path
from typing import TYPE_CHECKING, Any

import psycopg2
import pytest
from samples import metal

from nanoos.writers import write

if TYPE_CHECKING:
    from conftest import Invoke


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
