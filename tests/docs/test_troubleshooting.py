"""What goes wrong in ``docs/migrations.md`` does, says what the page shows, and is cured by it."""

from __future__ import annotations

import re
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import psycopg2
import pytest
from pages import blocks_of
from reader import CHAPTERS, SECTIONS, SHOWN_HEAD, Reader


def server_down(reader: Reader) -> Iterator[str]:
    from servers import free_port

    url = reader.environment["DATABASE_URL"]
    reader.environment["DATABASE_URL"] = re.sub(r":\d+/", f":{free_port()}/", url)
    yield "alembic current"
    reader.environment["DATABASE_URL"] = url


def wrong_password(reader: Reader) -> Iterator[str]:
    url = reader.environment["DATABASE_URL"]
    reader.environment["DATABASE_URL"] = re.sub(r"orion:[^@]+@", "orion:wrong@", url)
    yield "alembic current"
    reader.environment["DATABASE_URL"] = url


def new_revision(reader: Reader) -> Path:
    reader.type('alembic revision -m "note where measured"')
    (file,) = (reader.folder / "alembic/versions").glob("*_note_where_measured.py")
    return file


def behind(reader: Reader) -> Iterator[str]:
    new_revision(reader)
    yield 'alembic revision --autogenerate -m "more"'


def ahead(reader: Reader) -> Iterator[str]:
    file = new_revision(reader)
    reader.type("alembic upgrade head")
    moved = file.rename(reader.folder / file.name)
    yield "alembic upgrade head"
    moved.rename(file)


def version_lost(reader: Reader) -> Iterator[str]:
    reader.sql("DELETE FROM alembic_version")
    yield "alembic upgrade head"


def two_heads(reader: Reader) -> Iterator[str]:
    reader.type(
        'alembic revision -m "note who measured"',
        'alembic revision -m "note when measured" --splice'
        f" --head {SHOWN_HEAD} --rev-id {SHOWN_HEAD[:3]}_note_when_measured",
    )
    yield "alembic upgrade head"


def locked(reader: Reader) -> Iterator[str]:
    file = new_revision(reader)
    text = file.read_text().replace("    pass\n", "    op.execute('LOCK TABLE structures')\n")
    file.write_text(text)
    with closing(psycopg2.connect(reader.url, application_name="notebook")) as connection:
        connection.cursor().execute("SELECT FROM structures LIMIT 1")
        yield "alembic upgrade head"


def no_extension(reader: Reader) -> Iterator[str]:
    url = reader.environment["DATABASE_URL"]
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("DROP DATABASE IF EXISTS bare")
        connection.cursor().execute("CREATE DATABASE bare")
    reader.environment["DATABASE_URL"] = f"{url.rpartition('/')[0]}/bare"
    yield "alembic upgrade head"
    reader.environment["DATABASE_URL"] = url
    with closing(psycopg2.connect(url)) as connection:
        connection.autocommit = True
        connection.cursor().execute("DROP DATABASE bare")


def elsewhere(reader: Reader) -> Iterator[str]:
    yield "cd / && alembic current"


FAULTS = {
    "Connection refused": server_down,
    "Password authentication failed": wrong_password,
    "Extension vector": no_extension,
    "No such file: alembic.ini": elsewhere,
    "Target database is not up to date": behind,
    "Can't locate revision identified by": ahead,
    "Relation already exists": version_lost,
    "Multiple head revisions are present": two_heads,
    "Lock timeout": locked,
}

VARYING = {
    r"127\.0\.0\.1:\d+": "ADDRESS",
    r"(pid |backend\()\d+": r"\1PID",
    r"\d{4}-\d\d-\d\d": "DATE",
    r"\d+ s\b": "N s",
    r"\S+ applied it": "SOMEBODY applied it",
    r"nano-os [\d.]+": "VERSION",
    r"(?<![\w<])/[\w./-]*/": "FOLDER/",
    r"line\s+\d+": "line N",
    r"\d{3}_note_": "NNN_note_",
    r"tables are there: .*? and \d+ more": "tables are there: TABLES and N more",
}
"""What is not the same in every run, and what stands for it."""


def lasting(text: str, head: str = SHOWN_HEAD) -> str:
    text = re.sub(r"\s+", " ", text.replace(head, "HEAD"))
    for pattern, stands in VARYING.items():
        text = re.sub(pattern, stands, text)
    return text.strip()


def test_every_symptom_is_produced() -> None:
    assert list(FAULTS) == re.findall(r"^### (.+)$", CHAPTERS["Troubleshooting"], re.MULTILINE)


@pytest.mark.slow
@pytest.mark.parametrize("symptom", FAULTS)
def test_symptom_finding_and_cure(symptom: str, reader: Reader) -> None:
    """The page shows what Alembic and doctor really say, and its cure makes all well."""
    section = SECTIONS[symptom]
    shown = [lasting(block.text) for block in blocks_of(section) if block.language == "text"]
    fault = FAULTS[symptom](reader)
    said = [reader.type(f"{next(fault)} || true"), reader.type("nano-os db doctor || true")]
    assert shown
    for block, output in zip(shown, said, strict=False):
        assert block in lasting(output, reader.head), output
    assert next(fault, None) is None  # whoever did it has mended it
    reader.follow(section)
    assert "Nothing found wrong" in reader.type("nano-os db doctor")
