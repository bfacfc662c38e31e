"""Filters as SQL: against an oracle in Python, and what is refused."""

from __future__ import annotations

import string
from contextlib import suppress
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import HealthCheck, example, given, settings
from hypothesis import strategies as st
from oracle import Oracle
from records import Filling, zoo
from samples import metal, person
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import QueryNotSupported, QueryNotUnderstood
from api.models import Structure
from api.optimade import listing, references, structures
from api.optimade.comparisons import Kind
from api.optimade.documents import resource
from api.optimade.filters import Filter
from api.optimade.grammar import MAX_DEPTH, MAX_LENGTH, parse
from api.optimade.paging import order
from api.optimade.properties import Entries, Property
from api.services import published, scope

STRUCTURES = structures.entries("nanoos")
OPERATORS = ["=", "!=", "<", "<=", ">", ">="]
NASTY = ["%", "_", "\\", '"', "'", "a%", "__", "/", "C%u", "'; --", "\\'", "é", "\n", "", " "]
WHEN = datetime(2026, 11, 27, 12, 0, 0, tzinfo=UTC)


@pytest.fixture
async def documents(session: AsyncSession) -> list[dict[str, Any]]:
    """Every public structure as an answer shows it, some with unknown values, odd names, times."""
    filling = Filling(session, await person(session, "rita"))
    book = await filling.cite(title="On copper")
    for number, (name, structure) in enumerate(zoo().items()):
        when = WHEN + timedelta(seconds=number // 3, microseconds=333_000 * (number % 3))
        await filling.add(
            structure,
            name=NASTY[number] if number % 2 else name,
            updated_at=when,
            citation_id=book.id if number % 3 == 0 else None,
        )
    bare = dict.fromkeys(
        ("elements", "elements_ratios", "number_of_elements", "chemical_system", "name"), None
    )
    await filling.add(metal("Ni"), **bare, reduced_formula=None, updated_at=WHEN)
    await filling.add(metal("Pt"), visibility="private")
    scope.read_as_anyone(session)
    names = [name for name in STRUCTURES.properties if name not in {"id", "type"}]
    ids = await all_ids(session, "id IS KNOWN")
    rows = await published.read(session, Structure, listing.columns(STRUCTURES, names), ids)
    assert len(rows) == len(zoo()) + 1
    return [resource(STRUCTURES, names, row, row["cited"]) for row in rows]


def quoted(text: str) -> str:
    return '"' + text.replace("\\", "\\\\").replace('"', '\\"') + '"'


WORDS = st.sampled_from([*NASTY, *zoo(), "Cu", "C", "H", "ClNa", "Cl", "A", "AB", "disorder", "Zn"])
TEXTS = WORDS | st.text(string.ascii_letters + "%_\\\"'", max_size=3)
INTEGERS = st.integers(-1, 30) | st.sampled_from([225, 2**31, 2**63, 10**30])
NUMBERS = INTEGERS | st.floats(-1, 400, allow_nan=False) | st.sampled_from([0.25, 0.5, 1.0])
TIMES = st.integers(-2, 8).map(
    lambda half: (WHEN + timedelta(seconds=half / 2)).isoformat().replace("+00:00", "Z")
)
VALUES = {
    Kind.STRING: TEXTS.map(quoted),
    Kind.IDENTIFIER: st.just(quoted("0190aaaa-0000-7000-8000-000000000000")) | WORDS.map(quoted),
    Kind.INTEGER: NUMBERS.map(repr),
    Kind.FLOAT: NUMBERS.map(repr),
    Kind.BOOLEAN: st.sampled_from(["TRUE", "FALSE"]),
    Kind.TIMESTAMP: TIMES.map(quoted),
}
ALL = {**STRUCTURES.properties, **STRUCTURES.hidden}
SCALARS = [one for one in ALL.values() if one.kind in VALUES]
COMPARED_LISTS = [one for one in ALL.values() if one.item is not None]
IN_STEP = ["elements", "elements_ratios"]


@st.composite
def scalar(draw: st.DrawFn) -> str:
    one = draw(st.sampled_from(SCALARS))
    operators = OPERATORS[:2] if one.kind is Kind.BOOLEAN else OPERATORS
    operator, value = draw(st.sampled_from(operators)), draw(VALUES[one.kind])
    if one.kind is not Kind.BOOLEAN and draw(st.booleans()):
        return f"{value} {operator} {one.name}"
    return f"{one.name}{operator}{value}"


@st.composite
def substring(draw: st.DrawFn) -> str:
    kinds = {Kind.STRING, Kind.IDENTIFIER}
    one = draw(st.sampled_from([one for one in SCALARS if one.kind in kinds]))
    how = draw(st.sampled_from(["CONTAINS", "STARTS", "STARTS WITH", "ENDS", "ENDS WITH"]))
    return f"{one.name} {how} {quoted(draw(TEXTS))}"


def wanted_of(one: Property) -> st.SearchStrategy[str]:
    assert one.item is not None
    operators = st.sampled_from(["", "", "", *OPERATORS])
    return st.tuples(operators, VALUES[one.item]).map(" ".join)


@st.composite
def looking_into_a_list(draw: st.DrawFn) -> str:
    one = draw(st.sampled_from(COMPARED_LISTS))
    if draw(st.booleans()):
        return f"{one.name} HAS {draw(wanted_of(one))}"
    how = draw(st.sampled_from(["ALL", "ANY", "ONLY"]))
    return (
        f"{one.name} HAS {how} {','.join(draw(st.lists(wanted_of(one), min_size=1, max_size=3)))}"
    )


@st.composite
def lists_in_step(draw: st.DrawFn) -> str:
    names = draw(st.permutations(IN_STEP))
    row = st.tuples(*(wanted_of(ALL[name]) for name in names)).map(":".join)
    if draw(st.booleans()):
        return f"{':'.join(names)} HAS {draw(row)}"
    how = draw(st.sampled_from(["ALL", "ANY", "ONLY"]))
    return f"{':'.join(names)} HAS {how} {','.join(draw(st.lists(row, min_size=1, max_size=3)))}"


@st.composite
def length(draw: st.DrawFn) -> str:
    one = draw(st.sampled_from([one for one in ALL.values() if one.kind is Kind.LIST]))
    operator = draw(st.sampled_from(["", *OPERATORS]))
    return f"{one.name} LENGTH {operator} {draw(st.integers(-1, 12))}"


@st.composite
def known(draw: st.DrawFn) -> str:
    name = draw(st.sampled_from([*ALL, "_other_property"]))
    return f"{name} IS {draw(st.sampled_from(['KNOWN', 'UNKNOWN']))}"


ODD = st.sampled_from(
    [
        "_other_property = 3",
        '_other_list HAS ANY "a","b"',
        "1 < 2",
        "2.5 != 2.5",
        "nsites = nelements",
        "chemical_formula_reduced < chemical_formula_anonymous",
        "id = immutable_id",
    ]
)
COMPARISON = st.one_of(
    scalar(), substring(), looking_into_a_list(), lists_in_step(), length(), known(), ODD
)
FILTERS = st.recursive(
    COMPARISON,
    lambda inner: st.one_of(
        inner.map("NOT ({})".format),
        COMPARISON.map("NOT {}".format),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(" ".join),
        st.tuples(inner, st.sampled_from(["AND", "OR"]), inner).map(" ".join).map("({})".format),
    ),
    max_leaves=5,
)


async def all_ids(session: AsyncSession, text: str, entries: Entries = STRUCTURES) -> list[UUID]:
    condition = Filter(text, entries).condition
    async with session.begin_nested():
        found = await published.find(
            session, entries.source, condition, order("", entries), limit=1000
        )
    assert found.number == len(found.keys)
    return [id_ for (id_,) in found.keys]


async def sql_matches(session: AsyncSession, text: str) -> set[str]:
    return {str(id_) for id_ in await all_ids(session, text)}


@settings(
    max_examples=120,
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)
@given(FILTERS)
@example('NOT elements HAS "Cu"')
@example('NOT elements HAS ANY < "Cu"')
@example('elements HAS ONLY "Cu","Zn","Cl-Na"')
@example('NOT elements HAS ONLY "Cl","Na"')
@example('chemical_formula_hill="Ni" OR NOT (chemical_formula_hill!="ClNa")')
@example('NOT (chemical_formula_hill="Ni" OR nsites=1)')
@example('elements:elements_ratios HAS ONLY "Cu":>0.5,!="Cu":<0.5')
@example('NOT last_modified = "2026-11-27T12:00:01Z"')
async def test_sql_finds_what_the_standard_means(
    session: AsyncSession, documents: list[dict[str, Any]], text: str
) -> None:
    tree = parse(text)
    expected = {one["id"] for one in documents if Oracle(one).matches(tree)}
    assert await sql_matches(session, text) == expected


REFUSED = {
    "nsites=": "too early",
    "nsites==3": "character 8",
    "crazyfield=2": "crazyfield",
    "_nanoos_crazyfield=2": "_nanoos_crazyfield",
    "crazy.field=2": "crazy.field",
    'last_modified>"yesterday"': "RFC 3339",
    'last_modified>"2026-13-01T00:00:00Z"': "RFC 3339",
    'last_modified>"9999-12-31T23:59:59Z"': "RFC 3339",
    'elements:elements_ratios HAS "Cu":1:2': "2 lists",
    "(" * (MAX_DEPTH + 1) + "nsites=1" + ")" * (MAX_DEPTH + 1): "brackets",
    "NOT (" * 2000 + "nsites=1" + ")" * 2000: "longer",
    f'chemical_formula_reduced="{"C" * MAX_LENGTH}"': "longer",
    'chemical_formula_reduced="\0"': "NUL",
    "nsites=1) OR (nsites=2": "character 9",
    "1=1; DROP TABLE structures": "character 4",
}
NOT_OFFERED = {
    'nsites="3"': "types",
    "chemical_formula_reduced=3": "types",
    "nsites=TRUE": "types",
    "_nanoos_is_ordered=1": "types",
    "_nanoos_is_ordered<TRUE": "Booleans",
    'elements="Cu"': "list",
    "elements HAS 3": "types",
    'elements_ratios HAS "Cu"': "types",
    "nsites HAS 3": "no list",
    "nsites LENGTH 3": "no list",
    'species HAS "Cu"': "others",
    'species.name HAS "Cu"': "part",
    "elements HAS nsites": "properties",
    "nsites CONTAINS 3": "strings",
    'nsites CONTAINS "3"': "strings",
    "chemical_formula_reduced STARTS WITH chemical_formula_hill": "string",
    "nsites = chemical_formula_hill": "type",
    '"a" = "b"': "constant",
}


@pytest.mark.parametrize("text", REFUSED)
def test_a_wrong_filter_is_refused(text: str) -> None:
    with pytest.raises(QueryNotUnderstood, match=REFUSED[text]):
        Filter(text, STRUCTURES)


@pytest.mark.parametrize("text", NOT_OFFERED)
def test_what_is_not_offered_is_said(text: str) -> None:
    with pytest.raises(QueryNotSupported, match=NOT_OFFERED[text]):
        Filter(text, STRUCTURES)


@given(
    st.text(max_size=60)
    | st.lists(
        st.sampled_from(["(", ")", "NOT ", "nsites", "=", "1", '"', "\\", " AND ", "HAS ", ":"])
    ).map("".join)
)
def test_any_text_is_a_filter_or_refused(text: str) -> None:
    with suppress(QueryNotUnderstood, QueryNotSupported):
        Filter(text, STRUCTURES)


def test_the_deepest_filter_is_read() -> None:
    text = "NOT (" * MAX_DEPTH + "nsites=1" + ")" * MAX_DEPTH
    assert "number_of_sites" in str(Filter(text, STRUCTURES).condition)


async def test_many_comparisons_in_a_row(
    session: AsyncSession, documents: list[dict[str, Any]]
) -> None:
    text = " OR ".join(f"nsites={number}" for number in range(500))
    assert len(await sql_matches(session, text)) == len(documents)


@given(TEXTS)
def test_constants_are_bound(text: str) -> None:
    """What a string says is no part of the SQL."""
    marked = f"Bobby{text}Tables"
    condition = Filter(f"chemical_formula_reduced CONTAINS {quoted(marked)}", STRUCTURES).condition
    compiled = condition.compile()
    assert "Bobby" not in str(compiled)
    assert any("Bobby" in str(value) for value in compiled.params.values())


async def test_references_are_found_by_what_they_say(session: AsyncSession) -> None:
    filling = Filling(session, await person(session, "rita"))
    book = await filling.cite(
        title="On copper", authors=["R. Ita", "H. Ugo"], year=1999, page_first="3", page_last="9"
    )
    other = await filling.cite(title="On gold", journal="Acta")
    for structure, cited in ((metal("Cu"), book), (metal("Au"), other)):
        await filling.add(structure, citation_id=cited.id)
    scope.read_as_anyone(session)
    entries = references.entries("nanoos")
    expected = {
        'authors.name HAS "H. Ugo"': {book.id},
        "authors LENGTH 2": {book.id},
        'pages="3--9"': {book.id},
        'year="1999" AND doi IS UNKNOWN': {book.id},
        'bib_type="article"': {other.id},
        'NOT journal="Acta"': set(),
        "edition IS UNKNOWN": {book.id, other.id},
    }
    for text, ids in expected.items():
        assert set(await all_ids(session, text, entries)) == ids, text
