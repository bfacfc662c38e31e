"""What a search finds, beside what Python finds when it looks at every row."""

from __future__ import annotations

import asyncio
import base64
import json
import re
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import closing
from typing import Any

import psycopg2
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import candidate, metal, person, stored
from sqlalchemy import NullPool, select
from sqlalchemy.ext.asyncio import AsyncSession, create_async_engine

from api.errors import WrongUsage
from api.models import Citation, SimulationJob, SimulationResult, Structure, User
from api.schemas.notation import CRYSTAL_SYSTEMS, EXACT, Range, read_formula
from api.schemas.search import SORTABLE, Query, Sort
from api.services import criteria, order, scope, search, words
from api.services.cursor import Cursor
from api.services.structure_import import import_
from pgsteady.url import parse
from population import VIEWER, populate

ROWS = 400


class Found:
    """A structure with what stands in other tables of it."""

    def __init__(self, row: Structure, citation: Citation | None, owner: str) -> None:
        self.row = row
        self.owner = owner
        self.results: list[SimulationResult] = []
        texts = [row.name, row.source_name, row.source, row.external_id]
        cited = [citation.title, citation.journal, *citation.authors] if citation else []
        self.words = {word for text in [*texts, *cited] for word in (text or "").lower().split()}


class Database:
    """A small population: as searches see it, and in Python."""

    def __init__(self, url: str) -> None:
        self.runner = asyncio.Runner()
        self.engine = create_async_engine(parse(url, "the test").asyncpg(), poolclass=NullPool)
        self.everything = self.run(_read)
        self.in_view = [
            found
            for found in self.everything
            if found.row.visibility == "public" or found.owner == VIEWER
        ]

    def run(self, work: Callable[[AsyncSession], Any]) -> Any:
        async def in_session() -> Any:
            async with AsyncSession(self.engine) as session:
                return await work(session)

        return self.runner.run(in_session())

    def search(self, work: Callable[[AsyncSession], Any]) -> Any:
        """Do ``work`` with what the viewer may see."""

        async def as_viewer(session: AsyncSession) -> Any:
            viewer = (await session.scalars(select(User).where(User.username == VIEWER))).one()
            scope.read_as(session, viewer)
            return await work(session)

        return self.run(as_viewer)


async def _read(session: AsyncSession) -> list[Found]:
    rows = await session.execute(
        select(Structure, Citation, User.username)
        .join(User, User.id == Structure.owner_id)
        .outerjoin(Citation, Citation.id == Structure.citation_id)
    )
    found = {row.id: Found(row, citation, owner) for row, citation, owner in rows}
    results = await session.execute(
        select(SimulationJob.structure_id, SimulationResult)
        .join(SimulationResult.simulation_job)
        .where(SimulationResult.is_converged)
    )
    for structure_id, result in results:
        found[structure_id].results.append(result)
    return list(found.values())


@pytest.fixture(scope="module")
def world(migrated: Callable[[str], str]) -> Iterator[Database]:
    url = migrated("searched")
    with closing(psycopg2.connect(parse(url, "the test").libpq())) as connection:
        connection.autocommit = True
        populate(connection.cursor(), ROWS)
    database = Database(url)
    yield database
    database.run(lambda _: database.engine.dispose())
    database.runner.close()


# What Python finds


def amounts(formula: str) -> dict[str, int]:
    return {e: int(n or 1) for e, n in re.findall(r"([A-Z][a-z]?)(\d*)", formula)}


def is_formula(text: str, row: Structure) -> bool:
    wanted, has = read_formula(text), amounts(str(row.reduced_formula))
    if any(n is not None and has.get(e) != n for e, n in wanted.amounts.items()):
        return False
    if not set(wanted.amounts) <= set(has):
        return False
    others = [n for e, n in has.items() if e not in wanted.amounts]
    return Counter(others) == Counter(wanted.others)


def begins(value: str | None, texts: tuple[str, ...]) -> bool:
    return value is not None and any(
        value.startswith(text[:-1]) if text.endswith("*") else value == text for text in texts
    )


def within(value: Any, wanted: Range[Any]) -> bool:
    if value is None:
        return False
    first, last = wanted.ends
    slack = EXACT if first == last and isinstance(first, float) else 0 * (value - value)
    return (first is None or value >= first - slack) and (last is None or value <= last + slack)


def has_word(word: str, found: Found) -> bool:
    word = word.lower()
    if word.endswith("*"):
        return any(one.startswith(word[:-1]) for one in found.words)
    return word in found.words


def group(query: Query, row: Structure) -> int | None:
    loose = query.symprec_a == 0.1
    return row.space_group_number_at_0_1 if loose else row.space_group_number_at_0_01


def one_result_has(wanted: dict[str, Range[float]], found: Found) -> bool:
    return any(
        all(within(getattr(result, name), range_) for name, range_ in wanted.items())
        for result in found.results
    )


MEANINGS: dict[str, Callable[[Any, Found, Query], bool]] = {
    "ids": lambda v, f, q: f.row.id in v,
    "id_prefix": lambda v, f, q: f.row.id.hex.startswith(v.replace("-", "").lower()),
    "elements": lambda v, f, q: set(v) <= set(f.row.elements or ()),
    "elements_any": lambda v, f, q: bool(set(v) & set(f.row.elements or ())),
    "elements_only": lambda v, f, q: set(f.row.elements or ()) <= set(v),
    "elements_none": lambda v, f, q: not set(v) & set(f.row.elements or ()),
    "chemical_system": lambda v, f, q: (
        {e for e in v.split("-") if e != "*"} <= set(f.row.elements or ())
        and len(f.row.elements or ()) == len(v.split("-"))
    ),
    "chemical_subsystems_of": lambda v, f, q: set(f.row.elements or ()) <= set(v),
    "reduced_formula": lambda v, f, q: any(is_formula(text, f.row) for text in v),
    "anonymous_formula": lambda v, f, q: begins(f.row.anonymous_formula, v),
    "protostructure": lambda v, f, q: begins(
        f.row.protostructure, tuple(t if ":" in t or "*" in t else f"{t}:*" for t in v)
    ),
    "number_of_periodic_dimensions": lambda v, f, q: f.row.number_of_periodic_dimensions in v,
    "is_ordered": lambda v, f, q: f.row.is_ordered is v,
    "space_group": lambda v, f, q: group(q, f.row) in v,
    "crystal_system": lambda v, f, q: any(
        CRYSTAL_SYSTEMS[name][0] <= (group(q, f.row) or 0) <= CRYSTAL_SYSTEMS[name][1] for name in v
    ),
    "symprec_a": lambda v, f, q: True,
    "quantities": lambda v, f, q: f.owner == VIEWER and one_result_has(v, f),
    "method": lambda v, f, q: (
        f.owner == VIEWER and any(r.method_sha256.startswith(v) for r in f.results)
    ),
    "mix": lambda v, f, q: True,
    "words": lambda v, f, q: all(has_word(word, f) for word in v.split()),
    "contains": lambda v, f, q: any(
        v.lower() in (text or "").lower()
        for text in (f.row.name, f.row.source_name, f.row.external_id, f.row.reduced_formula)
    ),
    "tags": lambda v, f, q: set(v) <= set(f.row.tags),
    "owner": lambda v, f, q: f.owner == v.lower(),
    "visibility": lambda v, f, q: f.row.visibility == v,
    "source": lambda v, f, q: f.row.source in v,
    "external_id": lambda v, f, q: f.row.external_id in v,
    "licence": lambda v, f, q: f.row.licence in v,
    "fingerprint": lambda v, f, q: f.row.fingerprint in v,
    **{
        name: lambda v, f, q, name=name: within(getattr(f.row, name), v) for name in criteria.RANGES
    },
}
"""For each field of a query, whether its value holds of a structure."""


def looked_through(world: Database, query: Query, sort: Sort) -> list[Any]:
    """Return the ids of what the viewer finds, in order, by looking at every row."""
    given = {name: getattr(query, name) for name in query.model_fields_set}
    rows = [
        found.row
        for found in world.in_view
        if all(MEANINGS[name](value, found, query) for name, value in given.items())
    ]
    rows.sort(key=lambda row: row.id, reverse=sort.descending)
    known = [row for row in rows if getattr(row, sort.column) is not None]
    known.sort(key=lambda row: getattr(row, sort.column), reverse=sort.descending)
    known_ids = {row.id for row in known}
    return [row.id for row in [*known, *(row for row in rows if row.id not in known_ids)]]


def paged(
    world: Database, query: Query, sort: Sort | None, limit: int
) -> tuple[list[Any], set[Any]]:
    """Return the ids of all pages, and what was said of their number."""

    async def walk(session: AsyncSession) -> tuple[list[Any], set[Any]]:
        ids, counts, after = [], set(), None
        while True:
            page = await search.find(session, query, sort=sort, after=after, limit=limit)
            assert len(page.rows) <= limit
            ids += [row.id for row in page.rows]
            counts.add((page.count, page.is_exact))
            if (after := page.after) is None:
                return ids, counts
            assert len(page.rows) == limit

    return world.search(walk)


# Random searches


def written(name: str, row: Structure, other: Structure, chance: Any) -> Any:
    """Return a value of the query's field that this row, or one like the other, might meet."""
    elements = list(row.elements or ())
    some = chance.sample(elements, chance.randint(1, len(elements)))
    counts = amounts(str(row.reduced_formula))
    hidden = chance.choice(elements)
    ways: dict[str, Callable[[], Any]] = {
        "ids": lambda: [row.id],
        "id_prefix": lambda: str(row.id)[: chance.randint(1, 36)],
        "elements": lambda: some,
        "elements_any": lambda: [*some, "O"],
        "elements_only": lambda: [*elements, *chance.sample(SYMBOLS, chance.choice([1, 4, 12]))],
        "elements_none": lambda: chance.sample(SYMBOLS, 3),
        "chemical_system": lambda: "-".join(chance.choice([e, "*"]) for e in elements),
        "chemical_subsystems_of": lambda: [*elements, "O"],
        "reduced_formula": lambda: chance.choice(
            [
                str(row.reduced_formula),
                "".join(f"{'*' if e == hidden else e}{n}" for e, n in counts.items()),
                "".join(f"*{n}" for n in counts.values()),
                "".join(f"{e}{'?' if e == hidden else n}" for e, n in counts.items()),
            ]
        ),
        "anonymous_formula": lambda: chance.choice(
            [str(row.anonymous_formula), f"{row.anonymous_formula}*", "AB*", "A2B"]
        ),
        "protostructure": lambda: chance.choice(
            [row.protostructure, str(row.protostructure).split(":")[0], "A2B_oP*", "AB_oP2_1_a"]
        ),
        "number_of_periodic_dimensions": lambda: chance.choice([[0, 1], "slab", 3, [2, 3]]),
        "is_ordered": lambda: chance.random() < 0.5,
        "space_group": lambda: [row.space_group_number_at_0_1, row.space_group_number_at_0_01, 1],
        "crystal_system": lambda: chance.sample(list(CRYSTAL_SYSTEMS), 2),
        "symprec_a": lambda: chance.choice([0.1, 0.01]),
        "quantities": lambda: {
            name: Range[float](at_least=chance.uniform(-10, 5), at_most=chance.uniform(5, 500))
            for name in chance.sample(["pressure_gpa", "bulk_modulus_gpa"], chance.randint(1, 2))
        },
        "method": lambda: chance.choice([["000"], ["f" * 64, "0" * 64], "ABC"]),
        "mix": lambda: chance.random() < 0.5,
        "words": lambda: chance.choice(
            [row.name or "cod", f"{row.source or 'mp'} Journal", f"word{chance.randint(0, 99)}",
             f"author{chance.randint(1, 9)}*", f"mineral* {row.source or 'COD'}"]
        ),
        "contains": lambda: chance.choice([str(row.name)[2:9], ".CIF", "%", "_", "O2"]),
        "tags": lambda: row.tags or ["set1"],
        "owner": lambda: chance.choice(["Local", "stranger", "nobody"]),
        "visibility": lambda: row.visibility,
        "source": lambda: [row.source or "MP", "rare"],
        "external_id": lambda: [row.external_id],
        "licence": lambda: [row.licence or "none"],
        "fingerprint": lambda: [row.fingerprint, "0" * 64],
    }  # fmt: skip
    if name in ways:
        return ways[name]()
    ends = sorted({getattr(one, name) for one in (row, other)} - {None})
    if not ends:
        return (1, 50)
    return chance.choice([(ends[0], ends[-1]), (ends[0], None), (None, ends[0]), (ends[0],) * 2])


SYMBOLS = ["O", "Si", "Fe", "Na", "Cl", "H", "C", "N", "Al", "Mg", "Ca", "K", "Ti", "S", "P"]
seeds = st.randoms(use_true_random=False)
once = settings(suppress_health_check=[HealthCheck.function_scoped_fixture], max_examples=60)


@pytest.mark.slow
@once
@given(
    chance=seeds,
    fields=st.sets(st.sampled_from(sorted(Query.model_fields)), max_size=3),
    column=st.sampled_from(SORTABLE),
    descending=st.booleans(),
    counted=st.sampled_from([3, search.COUNTED]),
)
def test_every_page_is_what_python_finds(
    world: Database, chance: Any, fields: set[str], column: str, descending: bool, counted: int
) -> None:
    """Whether few are found, which are fetched and sorted, or many, whose order is walked."""
    row, other = (found.row for found in chance.sample(world.everything, 2))
    query = Query(**{name: written(name, row, other, chance) for name in fields})
    sort = Sort(column, descending)
    expected = looked_through(world, query, sort)
    limit = chance.choice([1, 7, 50]) if len(expected) < 60 else chance.choice([37, 150])
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(search, "COUNTED", counted)
        patch.setattr(search, "SURELY_FEW", counted)
        patch.setattr(order, "SORTED", 0 if chance.random() < 0.5 else 100)
        ids, counts = paged(world, query, sort, limit)
    assert ids == expected
    ((number, is_exact),) = counts
    assert is_exact == (len(expected) <= counted)
    assert number == len(expected) or not is_exact


@pytest.mark.parametrize("descending", [True, False])
@pytest.mark.parametrize("column", ["reduced_formula", "chemical_system"])
@pytest.mark.parametrize("elements", ["N", "S", "O", "O,Th"])
def test_elements_are_read_from_the_names_that_are_sorted(
    world: Database,
    elements: str,
    column: str,
    descending: bool,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    """Those of many structures, page by page; S is not in Sn, nor O in Os."""
    monkeypatch.setattr(search, "COUNTED", 0)
    monkeypatch.setattr(search, "SURELY_FEW", -1)
    query, sort = Query(elements=elements), Sort(column, descending)
    expected = looked_through(world, query, sort)
    ids, _ = paged(world, query, sort, 7)
    assert expected
    assert ids == expected


@settings(once, max_examples=10)
@given(chance=seeds, column=st.sampled_from(SORTABLE), descending=st.booleans())
def test_a_stream_holds_all_pages_with_their_materials(
    world: Database, chance: Any, column: str, descending: bool
) -> None:
    query = Query(elements_any=chance.sample(SYMBOLS, 4), is_ordered=True)
    sort = Sort(column, descending)

    async def all_(session: AsyncSession) -> list[Any]:
        batches = [batch async for batch in search.stream(session, query, sort=sort, batch=17)]
        assert {len(batch) for batch in batches[:-1]} <= {17}
        assert all(row.material.reduced_formula for batch in batches for row in batch)
        return [row.id for batch in batches for row in batch]

    assert world.search(all_) == looked_through(world, query, sort)


@pytest.mark.parametrize("column", ["reduced_formula", "chemical_system"])
@pytest.mark.parametrize("descending", [False, True])
def test_elements_are_found_to_where_the_order_of_formulas_ends_for_them(
    world: Database, column: str, descending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Carbon stands before calcium, and before a formula of carbon and calcium."""
    monkeypatch.setattr(search, "COUNTED", 0)
    sort = Sort(column, descending)
    for elements in (["C"], ["Ca"], ["Ca", "C"], ["O", "Na"]):
        ids, _ = paged(world, Query(elements=elements), sort, 50)
        assert ids == looked_through(world, Query(elements=elements), sort)


def test_a_time_that_is_asked_for_is_the_usual_order(world: Database) -> None:
    query = Query(updated_at=(min(row.row.updated_at for row in world.in_view), None))
    ids, _ = paged(world, query, None, 50)
    assert ids == looked_through(world, query, Sort("updated_at"))
    ids, _ = paged(world, Query(), None, 50)
    assert ids == looked_through(world, Query(), Sort())


# Counts


@pytest.mark.parametrize(
    "query",
    [Query(), Query(elements="O"), Query(words="cod"), Query(quantities={"energy_ev": ":0"})],
)
def test_an_estimate_knows_of_nothing_but_what_is_in_view(
    world: Database, query: Query, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Where the sample is the whole table it is a count, to the digits that an estimate has."""
    expected = len(looked_through(world, query, Sort()))
    monkeypatch.setattr(search, "COUNTED", min(expected - 1, 20))
    found = world.search(lambda session: search.count(session, query))
    assert not found.is_exact
    assert found.number == float(f"{expected:.1e}" if expected >= 100 else f"{expected:.0e}")
    page = world.search(lambda session: search.find(session, query, limit=5))
    assert (page.count, page.is_exact) == found
    after = world.search(lambda session: search.find(session, query, after=page.after, limit=5))
    assert (after.count, after.is_exact) == found


def test_a_small_sample_is_scaled_up(world: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(search, "COUNTED", 20)
    monkeypatch.setattr(search, "SAMPLE", ROWS // 4)
    found = world.search(lambda session: search.count(session, Query()))
    assert not found.is_exact
    assert 0.3 < found.number / len(world.in_view) < 3


async def test_what_is_not_in_view_is_in_no_page_count_or_stream(session: AsyncSession) -> None:
    rita, hugo = await person(session, "rita"), await person(session, "hugo")
    await stored(session, rita, metal("Cu"))
    (public,) = await stored(session, rita, metal("Au"), visibility="public")
    (hugos,) = await stored(session, hugo, metal("Ag"))
    scope.read_as(session, hugo)
    page = await search.find(session, Query())
    assert {row.id for row in page.rows} == {public, hugos}
    assert page.count == 2
    for query in (Query(elements="Cu"), Query(owner="rita", visibility="private")):
        assert await search.count(session, query) == (0, True)
    streamed = [row.id async for batch in search.stream(session, Query()) for row in batch]
    assert set(streamed) == {public, hugos}


WORDS = [
    "quartz",
    "QUARTZ",
    "quar*",
    "QUAR*",
    "quartz2",
    "4e3xz",
    "4e3",
    "x-ray",
    "X-RAY",
    "ray",
    "cod",
    "cod_1",
    "COD_1",
    "cod*",
    "àé",
    "ÀÉ",
    "À*",
    "fe-2o3",
    "2o3",
    "fe",
    "Fe*",
    "1e-5",
    "8.3.0",
    "v8.3.0",
    "v8*",
    "ǆ",
    "k",
    "K",
    "kelvin*",
    "'",
    "\\",
    "uart",
    "arz",
]


async def test_words_that_are_met_are_those_that_an_index_finds(
    session: AsyncSession, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of what is met on the way, letters are looked for before the word."""
    rita = await person(session, "rita")
    name_of = {
        "Cu": "Quartz",
        "Au": "α-Quarz, X-ray",
        "Ag": "quartz2 (COD_1)",
        "Al": "ÀÉ Fe-2O3",
        "Ni": "1e-5 v8.3.0",
        "Pd": "ǅ Kelvin K",
        "Pt": "xz of 4e3",
    }
    named = [candidate(metal(symbol), name=name) for symbol, name in name_of.items()]
    await import_(session, named, owner=rita)
    hits = 0
    for word in WORDS:
        found = await search.find(session, Query(words=word))
        with monkeypatch.context() as patch:
            patch.setattr(search, "SURELY_FEW", -1)
            met = await search.find(session, Query(words=word))
        assert [row.name for row in met.rows] == [row.name for row in found.rows]
        assert found.is_exact
        assert not met.is_exact
        hits += len(found.rows)
    assert hits > 20


# Cursors


@pytest.mark.parametrize("is_exact", [True, False])
@pytest.mark.parametrize("descending", [True, False])
def test_a_page_is_whole_where_there_are_more_than_the_first_page_said(
    world: Database, is_exact: bool, descending: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """They came in since, or the estimate was too low."""
    monkeypatch.setattr(search, "COUNTED", 10)
    sort = Sort("created_at", descending)
    expected = looked_through(world, Query(), sort)
    (row,) = (found.row for found in world.everything if found.row.id == expected[-5])
    cursor = Cursor.start(Query(), sort, 8, is_exact=is_exact).behind(row)
    page = world.search(
        lambda session: search.find(session, Query(), sort=sort, after=str(cursor), limit=3)
    )
    assert [row.id for row in page.rows] == expected[-4:-1]
    assert page.after is not None


def test_a_cursor_is_of_one_search(world: Database) -> None:
    query, sort = Query(elements="O"), Sort("density_g_per_cm3")
    page = world.search(lambda session: search.find(session, query, sort=sort, limit=3))
    for other_query, other_sort in [
        (Query(), sort),
        (Query(elements="O,Si"), sort),
        (query, Sort()),
        (query, Sort("density_g_per_cm3", descending=True)),
    ]:
        with pytest.raises(WrongUsage, match="another search"):
            world.search(
                lambda session, q=other_query, s=other_sort: search.find(
                    session, q, sort=s, after=page.after
                )
            )


@pytest.mark.slow
@settings(once, max_examples=50)
@given(text=st.text(max_size=60) | st.binary(max_size=60).map(bytes.hex))
def test_what_is_no_cursor_is_said(world: Database, text: str) -> None:
    with pytest.raises(WrongUsage, match=r"no cursor|another search"):
        world.search(lambda session: search.find(session, Query(), after=text))


FORGED = [
    (Sort(), "[" * 100_000),
    (Sort(), '["{digest}", 1e999, true, null, "{id}"]'),
    (Sort("number_of_elements"), '["{digest}", 1, true, 40000, "{id}"]'),
    (Sort("number_of_sites"), '["{digest}", 1, true, 1099511627776, "{id}"]'),
    (Sort("number_of_sites"), '["{digest}", 1, true, "four", "{id}"]'),
    (Sort("volume_a3"), '["{digest}", 1, true, [], "{id}"]'),
    (Sort("source"), '["{digest}", 1, true, "\\u0000", "{id}"]'),
    (Sort("source"), '["{digest}", 1, true, "\\ud800", "{id}"]'),
    (Sort("created_at"), '["{digest}", 1, true, "0001-01-01T00:00:00+23:59", "{id}"]'),
    (Sort("created_at"), '["{digest}", 1, true, "2026-01-01T00:00:00", "{id}"]'),
]


@pytest.mark.parametrize(("sort", "written"), FORGED)
def test_a_forged_cursor_is_none(world: Database, sort: Sort, written: str) -> None:
    page = world.search(lambda session: search.find(session, Query(), sort=sort, limit=1))
    given = json.loads(base64.urlsafe_b64decode(page.after + "=="))
    text = written.replace("{digest}", given[0]).replace("{id}", given[4])
    forged = base64.urlsafe_b64encode(text.encode()).decode().rstrip("=")
    with pytest.raises(WrongUsage, match="no cursor"):
        world.search(lambda session: search.find(session, Query(), sort=sort, after=forged))


@pytest.mark.parametrize("name", ["number_of_elements", "number_of_sites"])
def test_ranges_of_numbers_that_no_column_holds(world: Database, name: str) -> None:
    everything = world.search(lambda session: search.find(session, Query())).count
    for beyond in (2**15, 2**31, 2**63, 10**30):
        for ends, number in [
            ((beyond, None), 0),
            ((beyond, beyond), 0),
            ((None, -beyond - 1), 0),
            ((None, beyond), everything),
            ((-beyond - 1, beyond), everything),
        ]:
            query = Query(**{name: ends})
            assert world.search(lambda session, q=query: search.find(session, q)).count == number


def test_rows_that_come_in_meanwhile_shift_nothing(world: Database) -> None:
    """The place is a value, no number of rows."""
    query, sort = Query(visibility="public"), Sort("number_of_sites", descending=True)

    async def walk(session: AsyncSession) -> list[Any]:
        first = await search.find(session, query, sort=sort, limit=40)
        copy = (
            await session.scalars(select(Structure).where(Structure.id == first.rows[0].id))
        ).one()
        values = copy.values() | {"id": None, "fingerprint": "f" * 64}
        del values["scope_key"], values["id"]
        session.add(Structure(**values))
        await session.flush()
        second = await search.find(session, query, sort=sort, limit=40, after=first.after)
        await session.rollback()
        return [row.id for row in [*first.rows, *second.rows]]

    assert world.search(walk) == looked_through(world, query, sort)[:80]


def test_an_unknown_quantity_is_said(world: Database) -> None:
    query = Query(quantities={"colour": Range[float](at_least=1)})
    with pytest.raises(
        WrongUsage, match=r"'colour' is no quantity of results .*; those are energy_ev"
    ):
        world.search(lambda session: search.find(session, query))


# Names of one thing in several places


def test_the_words_of_a_query_are_those_of_the_index() -> None:
    from sqlalchemy.dialects import postgresql

    from api.models.citation import WORDS as OF_CITATIONS
    from api.models.structure import WORDS as OF_STRUCTURES

    for ours, index in (
        (words.structure_words(), OF_STRUCTURES),
        (words.citation_words(), OF_CITATIONS),
    ):
        compiled = ours.compile(
            dialect=postgresql.dialect(), compile_kwargs={"literal_binds": True}
        )
        text = re.sub(r"structures\.|citations\.|[() ]", "", str(compiled).lower())
        assert text == re.sub(r"[() ]", "", index.lower())
