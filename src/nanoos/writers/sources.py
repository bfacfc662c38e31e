"""What goes along with exported structures: their publications and their licences."""

from __future__ import annotations

import csv
from collections.abc import Callable
from pathlib import Path
from typing import TextIO

from nanoos.errors import NotWritten
from nanoos.writers.bibtex import Bibliography
from nanoos.writers.record import Record

NOT_STATED = "not stated"
_BY = "written by NANO-OS"
_COLUMNS = ("id", "name", "reduced_formula", "source", "external_id", "licence", "citation")


def sources_into(bibliography: TextIO, licences: TextIO, of: str) -> Callable[[Record], None]:
    """Begin the two files that go along with the file or folder ``of``; return what adds to them.

    The bibliography has each publication once; the licences are a table with a row for each
    structure, with the key of its publication. What is not stated is said to be so.
    """
    bibliography.write(f"% Sources of {of}, {_BY}\n\n")
    table = csv.writer(licences, lineterminator="\n")
    table.writerow(_COLUMNS)
    publications = Bibliography()

    def add(record: Record) -> None:
        key = NOT_STATED
        if record.citation:
            key, entry = publications.cite(record.citation)
            bibliography.write(entry)
        known = {**record.extra, "external_id": record.extra.get("database_code"), **record.known}
        known["source"] = known.get("source") or record.extra.get("database")
        cells = [known.get(column) or "" for column in _COLUMNS[:-2]]
        table.writerow([*cells, record.licence or NOT_STATED, key])

    return add


def check_replaceable(*paths: Path) -> None:
    """Raise NotWritten where one of the paths holds a file that is not such a one of ours."""
    for path in paths:
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as stream:
                first = stream.readline()
            if _BY not in first and first != ",".join(_COLUMNS) + "\n":
                raise NotWritten(
                    f"{path} is there already and was not written by an export. Move it, choose "
                    "another name, or leave sources and licences out (--no-sources, sources=False)."
                )
