"""Revision 004 on rows of the release before it: what it fills, and what it survives."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import closing
from pathlib import Path
from typing import Any
from uuid import UUID, uuid4

import alembic.command
import numpy as np
import psycopg2
import pytest
from alembic.config import Config
from alembic.util import CommandError
from psycopg2.extras import register_uuid

from nanoos.structures import Species, Structure, analyse
from pgsteady import backup
from pgsteady.url import parse

CONFIG = Config(Path(__file__).parents[2] / "alembic.ini", stdout=io.StringIO())
RELEASE = Path(__file__).parent / "releases" / "001_initial_schema.dump"
BEFORE = "003_columns_that_structures_are_searched_by"
FILLED = "004_fill_what_structures_are_searched_by"

OWNER, MATERIAL = UUID(int=1), UUID(int=2)
SHARED = {"title": "On spinels", "authors": ["Bragg, W.", "Nishikawa"], "year": 1915}
INSERT = """
    INSERT INTO structures (id, material_id, owner_id, positions_a, lattice_a, species,
        species_at_sites, dimension_types, number_of_sites, is_ordered, fingerprint,
        fingerprint_version, extra)
    SELECT %(id)s, %(material)s, %(owner)s, array_fill(1.0, ARRAY[sites, 3]),
           '{{4,0,0},{0,4,0},{0,0,4}}', %(species)s, %(at)s, '{1,1,0}', sites, false,
           encode(sha256(%(id)s::text::bytea), 'hex'), 1, %(extra)s
    FROM (SELECT cardinality(%(at)s::text[]) AS sites) AS counted
"""
COPIES = """
    INSERT INTO structures (id, material_id, owner_id, positions_a, lattice_a, species,
        species_at_sites, dimension_types, number_of_sites, is_ordered, fingerprint,
        fingerprint_version, extra)
    SELECT lpad(to_hex(n), 32, '0')::uuid, material_id, owner_id, positions_a, lattice_a, species,
           species_at_sites, dimension_types, number_of_sites, is_ordered,
           encode(sha256(n::text::bytea), 'hex'), 1, extra
    FROM structures, generate_series(2, 1501) AS n WHERE id = %s
"""


class Database:
    """A database at 003, with a user and the material MgO."""

    def __init__(self, url: str) -> None:
        self._url = url
        alembic.command.upgrade(CONFIG, BEFORE)
        self.sql("INSERT INTO users (id, email, username) VALUES (%s, 'a@b.c', 'a')", OWNER)
        self.sql(
            "INSERT INTO materials (id, owner_id, reduced_formula, anonymous_formula, hill_formula,"
            " chemical_system, elements) VALUES (%s, %s, 'MgO', 'AB', 'MgO', 'Mg-O', '{Mg,O}')",
            MATERIAL,
            OWNER,
        )

    def sql(self, statement: str, *values: Any, **named: Any) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(self._url)) as connection, connection:
            cursor = connection.cursor()
            register_uuid(None, cursor)
            cursor.execute(statement, named or values)
            return cursor.fetchall() if cursor.description else []

    def add(
        self,
        species: list[dict[str, Any]] | None = None,
        at: str = "Mg O",
        id_: UUID | None = None,
        **extra: Any,
    ) -> UUID:
        """Insert a structure as a release at 001 does."""
        added = id_ or uuid4()
        self.sql(
            INSERT,
            id=added,
            material=MATERIAL,
            owner=OWNER,
            species=json.dumps(species or [kind("Mg", Mg=1.0), kind("O", O=1.0)]),
            at=at.split(),
            extra=json.dumps(extra),
        )
        return added

    def one(self, columns: str, structure_id: UUID) -> tuple[Any, ...]:
        (found,) = self.sql(
            f"SELECT {columns} FROM structures "
            "LEFT JOIN citations ON citations.id = citation_id WHERE structures.id = %s",
            structure_id,
        )
        return found


def kind(name: str, **occupancies: float) -> dict[str, Any]:
    return {
        "name": name,
        "chemical_symbols": list(occupancies),
        "concentration": list(occupancies.values()),
    }


@pytest.fixture
def database(fresh_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch) -> Database:
    url = fresh_database()
    monkeypatch.setenv("DATABASE_URL", url)
    return Database(url)


def fill() -> None:
    alembic.command.upgrade(CONFIG, FILLED)


def test_what_the_material_and_the_source_say(database: Database) -> None:
    added = database.add(
        database="AMCSD", database_code="0000501", licence="CC0-1.0", citation=SHARED
    )
    bare = database.add()
    fill()
    columns = (
        "elements, number_of_elements, chemical_system, reduced_formula, anonymous_formula,"
        " number_of_periodic_dimensions, source, external_id, licence, title, authors, year"
    )
    assert database.one(columns, added) == (
        *(["Mg", "O"], 2, "Mg-O", "MgO", "AB", 2, "AMCSD", "0000501", "CC0-1.0"),
        *("On spinels", ["Bragg, W.", "Nishikawa"], 1915),
    )
    assert database.one(columns, bare)[6:] == (None,) * 6
    assert database.one("analysis_version, protostructure, tags", added) == (1, None, [])


RATIOS = {
    "one element a site": ([kind("Mg", Mg=1.0), kind("O", O=1.0)], "Mg O O Mg O", [0.4, 0.6]),
    "vacancies": ([kind("m", Mg=0.5, vacancy=0.5), kind("O", O=1.0)], "m m O", [0.5, 0.5]),
    "mixed": ([kind("m", Mg=0.25, O=0.75), kind("O", O=0.5)], "m O", [0.25 / 1.5, 1.25 / 1.5]),
    "an element twice": ([kind("m", Mg=0.5, O=0.25), kind("n", Mg=0.25)], "m n", [0.75, 0.25]),
}


def test_ratios_of_the_elements(database: Database) -> None:
    added = {case: database.add(species, at) for case, (species, at, _) in RATIOS.items()}
    fill()
    for case, (_, _, ratios) in RATIOS.items():
        assert database.one("elements_ratios", added[case])[0] == pytest.approx(ratios), case


def test_a_publication_is_there_once(database: Database) -> None:
    one, two = database.add(citation=SHARED), database.add(citation=dict(reversed(SHARED.items())))
    other = database.add(citation=SHARED | {"year": 1916})
    fill()
    first, same, another = (database.one("citation_id", each)[0] for each in (one, two, other))
    assert first == same != another
    assert database.sql("SELECT count(*) FROM citations") == [(2,)]


ODD: dict[str, tuple[Any, tuple[Any, ...]]] = {
    "a text": ("Bragg 1915", (None, None, None)),
    "a list": ([SHARED], (None, None, None)),
    "null": (None, (None, None, None)),
    "no year": ({"title": "t"}, ("t", [], None)),
    "the year as text": ({"year": "1915"}, (None, [], 1915)),
    "a year that is none": ({"year": "in press"}, (None, [], None)),
    "a year with a fraction": ({"year": 1915.5}, (None, [], None)),
    "a year beyond all": ({"year": 10**12}, (None, [], None)),
    "authors as text": ({"authors": "Bragg"}, (None, [], None)),
    "an author that is null": ({"authors": ["Bragg", None]}, (None, ["Bragg", None], None)),
    "nothing": ({}, (None, [], None)),
}


def test_whatever_a_source_called_its_citation(database: Database) -> None:
    added = {case: database.add(citation=said) for case, (said, _) in ODD.items()}
    fill()
    for case, (said, found) in ODD.items():
        assert database.one("title, authors, year", added[case]) == found, case
        assert database.one("extra", added[case]) == ({"citation": said},)


def test_interrupted_it_is_run_again(database: Database) -> None:
    """What was filled stays, and the same publication keeps its id."""
    early = database.add(id_=UUID(int=1), citation=SHARED)
    database.sql(COPIES, early)
    wrong = [kind("Mg", Mg=1.0), kind("O", O=0.5, Zn=0.5)]  # not the material's elements
    late = database.add(wrong, id_=UUID(int=2**100), citation=SHARED)
    with pytest.raises(CommandError, match="ck_structures_elements_ratios"):
        fill()
    citation, ratios = database.one("citation_id, elements_ratios", early)
    assert ratios == [0.5, 0.5]
    assert database.one("elements", late) == (None,)

    database.sql("DELETE FROM structures WHERE id = %s", late)
    database.add(id_=late, citation=SHARED)
    fill()
    assert database.one("citation_id, elements_ratios", late) == (citation, [0.5, 0.5])
    assert database.sql(
        "SELECT count(*), count(elements), count(DISTINCT citation_id) FROM structures"
    ) == [(1502, 1502, 1)]


def test_the_release_gets_what_the_science_says(
    fresh_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database()
    monkeypatch.setenv("DATABASE_URL", url)
    backup.load(parse(url, "the test"), RELEASE)
    fill()
    with closing(psycopg2.connect(url)) as connection, connection.cursor() as cursor:
        cursor.execute(
            "SELECT lattice_a, positions_a, species, species_at_sites, dimension_types,"
            " elements, elements_ratios, chemical_system, reduced_formula, anonymous_formula"
            " FROM structures"
        )
        rows = cursor.fetchall()
    assert len(rows) > 50
    for lattice_a, positions_a, species, at_sites, periodic, *filled in rows:
        kinds = [
            Species(each["name"], tuple(each["chemical_symbols"]), tuple(each["concentration"]))
            for each in species
        ]
        said = analyse(
            Structure(
                np.array(lattice_a),
                np.array(positions_a),
                tuple(kinds),
                tuple(at_sites),
                tuple(map(bool, periodic)),
            )
        )
        elements, ratios, *labels = filled
        assert tuple(elements) == said.elements
        assert ratios == pytest.approx(said.elements_ratios, abs=1e-15)
        assert labels == [said.chemical_system, said.reduced_formula, said.anonymous_formula]
