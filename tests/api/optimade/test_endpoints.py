"""Every endpoint, read by the standard's own models."""

from __future__ import annotations

import base64
import json
from typing import Any

import httpx
import pytest
from optimade.models import (
    EntryInfoResponse,
    ErrorResponse,
    InfoResponse,
    LinksResponse,
    ReferenceResource,
    ReferenceResponseMany,
    ReferenceResponseOne,
    StructureResource,
    StructureResponseMany,
    StructureResponseOne,
)
from records import zoo

from api.app import create_app
from api.db import database_url
from api.services import published
from api.settings import settings
from servers import free_port

VERSIONS = ["", "v1/", "v1.2/", "v1.2.0/"]


async def asked(http: httpx.AsyncClient, path: str, status: int = 200, **query: Any) -> Any:
    """Return the document of an answer."""
    answer = await http.get(path, params=query)
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/vnd.api+json"
    return answer.json()


async def names(http: httpx.AsyncClient, filter_: str) -> list[str]:
    """Return the names of the structures that match."""
    found = await asked(http, "v1/structures", filter=filter_, page_limit=100)
    return sorted(one["attributes"]["_nanoos_name"] for one in found["data"])


@pytest.mark.parametrize("version", VERSIONS)
async def test_the_standards_models_read_every_answer(
    http: httpx.AsyncClient, version: str
) -> None:
    InfoResponse(**await asked(http, f"{version}info"))
    LinksResponse(**await asked(http, f"{version}links"))
    for type_ in ("structures", "references"):
        EntryInfoResponse(**await asked(http, f"{version}info/{type_}"))
    many = StructureResponseMany(**await asked(http, f"{version}structures"))
    assert {one.attributes._nanoos_name for one in many.data} == set(zoo())  # type: ignore[union-attr]
    for one in many.data:
        assert isinstance(one, StructureResource)
        single = await asked(http, f"{version}structures/{one.id}")
        assert isinstance(StructureResponseOne(**single).data, StructureResource)
    cited = ReferenceResponseMany(**await asked(http, f"{version}references"))
    (book,) = cited.data
    assert isinstance(book, ReferenceResource)
    assert book.attributes.pages == "3"
    single = await asked(http, f"{version}references/{book.id}")
    assert isinstance(ReferenceResponseOne(**single).data, ReferenceResource)


async def test_versions_are_listed_without_a_version_alone(http: httpx.AsyncClient) -> None:
    answer = await http.get("versions")
    assert answer.text == "version\n1\n"
    assert answer.headers["content-type"].startswith("text/csv; header=present")
    await asked(http, "v1/versions", 404)
    for other in ("v0/info", "v2", "v1.3/structures", "v123123/info"):
        ErrorResponse(**await asked(http, other, 553))
    await asked(http, "structures", 553, api_hint="v2.0")
    await asked(http, "v1/structures", api_hint="v2.0")
    await asked(http, "structures", api_hint="v1.9")


async def test_what_is_private_is_seen_nowhere(http: httpx.AsyncClient) -> None:
    """Nothing of two private structures, and of what only one of them cites."""
    pages = ["info", "links", "structures", "references", "info/structures", "info/references"]
    for page in pages:
        text = json.dumps(await asked(http, f"v1/{page}"))
        assert "secret" not in text
        assert "nobody" not in text
    everything = await asked(http, "v1/structures")
    assert everything["meta"]["data_available"] == everything["meta"]["data_returned"] == len(zoo())
    for wanted in (
        'elements HAS "Ag"',
        "nsites=27",
        '_nanoos_name CONTAINS "secret"',
        'NOT elements HAS "Xe" AND nsites>26',
        'elements:elements_ratios HAS "Ag":1',
    ):
        found = await asked(http, "v1/structures", filter=wanted)
        assert found["data"] == []
        assert found["meta"]["data_returned"] == 0
    assert not (await asked(http, "v1/references", filter='title CONTAINS "nobody"'))["data"]


async def test_a_private_entry_is_not_there(
    http: httpx.AsyncClient, private_ids: list[tuple[Any, Any]]
) -> None:
    """A reference is there as long as a public structure cites it."""
    for id_, _cited in private_ids:
        assert (await asked(http, f"v1/structures/{id_}"))["data"] is None
        assert not (await asked(http, "v1/structures", filter=f'id="{id_}"'))["data"]
    cited = [await asked(http, f"v1/references/{cited}") for _id, cited in private_ids]
    assert sorted(one["data"] is None for one in cited) == [False, True]


@pytest.mark.parametrize("id_", ["no-uuid", "a/b", "'; DROP TABLE structures; --", "%00"])
async def test_an_entry_that_is_not_there_is_null(http: httpx.AsyncClient, id_: str) -> None:
    assert (await asked(http, f"v1/structures/{id_}"))["data"] is None


async def all_pages(http: httpx.AsyncClient, **query: Any) -> list[list[Any]]:
    """Follow links.next to the end; each page's entries."""
    document = await asked(http, "v1/structures", **query)
    pages = [document["data"]]
    while document["meta"]["more_data_available"]:
        assert document["meta"]["data_returned"] == len(zoo())
        answer = await http.get(document["links"]["next"])
        document = answer.json()
        pages.append(document["data"])
        assert len(pages) <= len(zoo()) + 1
    assert document["links"]["next"] is None
    return pages


SORTS = [
    "",
    "id",
    "-id",
    "nsites",
    "-nsites,chemical_formula_reduced",
    "_nanoos_volume",
    "-_nanoos_volume,-_nanoos_name",
    "-_nanoos_is_ordered,last_modified",
    "chemical_formula_hill",
    "_nanoos_space_group_symbol_at_0_1",
]


@pytest.mark.parametrize("sort", SORTS)
@pytest.mark.parametrize("size", [1, 4])
async def test_pages_hold_every_entry_once_in_order(
    http: httpx.AsyncClient, sort: str, size: int
) -> None:
    (whole,) = await all_pages(http, sort=sort, page_limit=100)
    pages = await all_pages(http, sort=sort, page_limit=size)
    assert all(len(page) == size for page in pages[:-1])
    assert [one["id"] for page in pages for one in page] == [one["id"] for one in whole]
    assert len({one["id"] for one in whole}) == len(zoo())
    for name in reversed(sort.split(",") if sort else ["id"]):
        values = [({"id": one["id"]} | one["attributes"])[name.strip("-")] for one in whole]
        if name == (sort.split(",") or [""])[0]:
            known = [value for value in values if value is not None]
            assert values == known + [None] * (len(values) - len(known))
            assert known == sorted(known, reverse=name.startswith("-"))


async def test_pages_by_number_and_offset(http: httpx.AsyncClient) -> None:
    (whole,) = await all_pages(http, page_limit=100)
    ids = [one["id"] for one in whole]

    async def page(**query: Any) -> list[str]:
        found = await asked(http, "v1/structures", page_limit=4, **query)
        assert found["meta"]["data_returned"] == len(ids)
        return [one["id"] for one in found["data"]]

    assert await page(page_number=2) == ids[4:8]
    slash = await asked(http, "v1/structures/", page_limit=4, page_number=2)
    assert [one["id"] for one in slash["data"]] == ids[4:8]
    assert await page(page_offset=3) == ids[3:7]
    assert await page(page_offset=1000) == []
    after = await asked(http, "v1/structures", page_limit=4, page_number=2)
    following = (await http.get(after["links"]["next"])).json()
    assert [one["id"] for one in following["data"]] == ids[8:]


async def test_links_lead_back_to_the_same_query(http: httpx.AsyncClient) -> None:
    query = {"filter": "nelements=1", "response_fields": "nsites", "page_limit": 1}
    first = await asked(http, "v1.2/structures", **query)
    url = httpx.URL(first["links"]["next"])
    assert str(url).startswith("http://test/optimade/v1.2/structures?")
    assert url.params["filter"] == "nelements=1"
    second = (await http.get(url)).json()
    assert second["data"][0]["attributes"].keys() == {"nsites"}
    assert second["data"][0]["id"] != first["data"][0]["id"]
    assert second["meta"]["query"]["representation"].startswith("/structures?")
    assert "filter=nelements" in second["meta"]["query"]["representation"]


WRONG = {
    "filter=nsites=": 400,
    "filter=crazy=1": 400,
    f"filter=nsites={'9' * 5000}": 400,
    f"filter=-{'9' * 5000}<nsites": 400,
    f"filter=elements LENGTH {'9' * 5000}": 400,
    'filter=nsites="1"': 501,
    "sort=crazy": 400,
    "sort=elements": 400,
    "sort=_other_property": 400,
    "sort=a;b": 400,
    "response_fields=crazy": 400,
    "response_fields=A": 400,
    "response_format=xml": 400,
    "include=calculations": 400,
    "page_limit=0": 400,
    "page_limit=x": 400,
    "page_limit=501": 403,
    "page_offset=-1": 400,
    "page_offset=99999999999999999999999": 400,
    "page_number=0": 400,
    "page_number=2&page_offset=3": 400,
    "page_cursor=xxx": 400,
    "page_cursor=WyIiLCBbbnVsbF1d": 400,
    "page_cursor=WyJuc2l0ZXMiLCBbMSwgMl1d": 400,
    "page_above=3": 501,
    "crazy=1": 400,
    "_nanoos_crazy=1": 400,
    "api_hint=two": 400,
}


@pytest.mark.parametrize(
    ("entries", "query"),
    [("structures", query) for query in WRONG]
    + [("references", query) for query in WRONG if "nsites" not in query],
)
async def test_a_wrong_query_is_an_error_in_the_standards_form(
    http: httpx.AsyncClient, entries: str, query: str
) -> None:
    answer = await http.get(f"v1/{entries}?{query}")
    assert answer.status_code == WRONG[query], answer.text
    ErrorResponse(**answer.json())
    assert "Traceback" not in answer.text


FORGED = [
    ("nsites", 2**40),
    ("nsites", True),
    ("chemical_formula_reduced", "a\0"),
    ("chemical_formula_reduced", "\ud800"),
    ("last_modified", "0001-01-01T00:00:00+23:59"),
    ("last_modified", "9999-12-31T23:59:59-23:59"),
    ("last_modified", "2026-01-01T00:00:00"),
]


@pytest.mark.parametrize(("sort", "value"), FORGED)
async def test_a_cursor_that_was_not_given_is_refused(
    http: httpx.AsyncClient, sort: str, value: Any
) -> None:
    written = json.dumps([sort, [value, "01900000-0000-7000-8000-000000000000"]])
    cursor = base64.urlsafe_b64encode(written.encode()).decode().rstrip("=")
    answer = await asked(http, "v1/structures", 400, sort=sort, page_cursor=cursor)
    assert "page_cursor" in answer["errors"][0]["detail"]


async def test_what_belongs_to_others_is_unknown_and_said(http: httpx.AsyncClient) -> None:
    found = await asked(
        http,
        "v1/structures",
        filter="_other_x=1 OR _exmpl_x=1 OR _mp_x=1 OR nsites=1",
        response_fields="nsites,_other_y",
        _other_z="1",
    )
    details = [one["detail"] for one in found["meta"]["warnings"]]
    assert "_mp_x" not in str(details)
    for name in ("_other_x", "_exmpl_x", "_other_y", "_other_z"):
        assert any(name in one for one in details)
    assert len(details) == 4
    assert all(one["type"] == "warning" for one in found["meta"]["warnings"])
    assert found["data"]
    assert all(one["attributes"] == {"nsites": 1, "_other_y": None} for one in found["data"])
    single = await asked(http, f"v1/structures/{found['data'][0]['id']}", anything="ignored")
    assert single["data"]


async def test_references_come_along_unless_unwanted(http: httpx.AsyncClient) -> None:
    found = await asked(http, "v1/structures", filter='_nanoos_name CONTAINS "copper"')
    (book,) = found["included"]
    assert book["attributes"]["title"] == "On copper"
    assert book["attributes"]["authors"] == [{"name": "R. Ita"}, {"name": "H. Ugo"}]
    for one in found["data"]:
        related = one["relationships"]["references"]["data"]
        assert related == [{"type": "references", "id": book["id"]}]
    assert "included" not in await asked(http, "v1/structures", include="")
    assert await names(http, f'references.id HAS "{book["id"]}"') == [
        "copper",
        "copper, eight times",
    ]


async def test_what_is_disordered_is_said_as_the_standard_has_it(http: httpx.AsyncClient) -> None:
    assert await names(http, 'structure_features HAS "disorder"') == ["alloy", "partly empty"]
    found = await asked(http, "v1/structures", filter='_nanoos_name="partly empty"')
    (one,) = found["data"]
    (species,) = one["attributes"]["species"]
    assert species["chemical_symbols"] == ["Fe", "vacancy"]
    assert sum(species["concentration"]) == pytest.approx(1)
    assert one["attributes"]["chemical_formula_hill"] is None
    assert one["attributes"]["structure_features"] == ["disorder"]


async def test_a_molecule_has_no_lattice_and_no_space_group(http: httpx.AsyncClient) -> None:
    assert await names(http, "lattice_vectors IS UNKNOWN") == ["ethanol", "water"]
    found = await asked(http, "v1/structures", filter='chemical_formula_hill="C2H6O"')
    attributes = found["data"][0]["attributes"]
    assert attributes["dimension_types"] == [0, 0, 0]
    assert attributes["space_group_it_number"] is None
    assert await names(http, "nperiodic_dimensions>0 AND nperiodic_dimensions<3") == [
        "slab",
        "wire",
    ]


async def test_own_properties_are_described_with_units(http: httpx.AsyncClient) -> None:
    told = (await asked(http, "v1/info/structures"))["data"]["properties"]
    one = (await asked(http, "v1/structures", page_limit=1))["data"][0]
    assert {"id", "type", *one["attributes"]} == set(told)
    assert told["_nanoos_density"]["unit"] == "g/cm^3"
    assert told["lattice_vectors"]["unit"] == "Å"
    assert all(one["description"] for one in told.values())
    assert not told["elements"]["sortable"]


async def test_any_page_of_the_web_may_read(http: httpx.AsyncClient) -> None:
    answer = await http.get("v1/info", headers={"Origin": "https://example.org"})
    assert answer.headers["access-control-allow-origin"] == "*"
    wrong = await http.get("v1/structures?page_limit=x", headers={"Origin": "https://example.org"})
    assert wrong.headers["access-control-allow-origin"] == "*"
    large = await http.get("v1/structures", headers={"Accept-Encoding": "gzip"})
    assert large.headers["content-encoding"] == "gzip"
    ErrorResponse(**await asked(http, "v1/nowhere", 404))
    assert (await http.post("v1/structures")).status_code == 405


@pytest.mark.parametrize("sort", ["", "-nsites,chemical_formula_reduced", "_nanoos_volume"])
async def test_what_too_many_match_is_walked_and_not_counted(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch, sort: str
) -> None:
    """The entries and their order are those of the other way."""
    wanted = {"filter": "nsites>0 AND id IS KNOWN", "sort": sort, "page_limit": 3}
    ways = []
    for counted in (10_000, 2):
        monkeypatch.setattr(published, "COUNTED_EXACTLY", counted)
        document = await asked(http, "v1/structures", **wanted)
        ids = []
        while True:
            ids += [one["id"] for one in document["data"]]
            meta = document["meta"]
            assert meta.get("data_returned") == (len(zoo()) if counted > 2 else None)
            assert ("not counted" in str(meta.get("warnings"))) == (counted == 2)
            if not meta["more_data_available"]:
                break
            document = (await http.get(document["links"]["next"])).json()
        ways.append(ids)
    assert ways[0] == ways[1]
    assert len(set(ways[0])) == len(zoo())


async def test_a_query_that_takes_too_long_is_stopped(
    http: httpx.AsyncClient, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(settings(), "optimade_timeout_s", 0.001)
    slow = " OR ".join(f'elements HAS ONLY <"{number}"' for number in range(200))
    document = await asked(http, "v1/structures", 503, filter=slow)
    assert "Ask for less" in ErrorResponse(**document).errors[0].detail


async def test_a_database_that_is_gone_is_said_without_secrets(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setenv("DATABASE_URL", f"postgresql://me:hush@127.0.0.1:{free_port()}/gone")
    database_url.cache_clear()
    app = create_app()
    transport = httpx.ASGITransport(app, raise_app_exceptions=False)
    talking = httpx.AsyncClient(transport=transport, base_url="http://test/optimade/")
    async with app.router.lifespan_context(app), talking:
        answer = await talking.get("v1/structures")
    database_url.cache_clear()
    assert answer.status_code == 503
    ErrorResponse(**answer.json())
    assert "hush" not in answer.text


@pytest.mark.slow
@pytest.mark.parametrize("entries", ["structures", "references"])
async def test_what_is_said_to_be_sortable_is(http: httpx.AsyncClient, entries: str) -> None:
    told = (await asked(http, f"v1/info/{entries}"))["data"]["properties"]
    sortable = [name for name, one in told.items() if one["sortable"]]
    assert len(sortable) > 10
    for number, name in enumerate(sortable):
        wanted = ("", "id IS KNOWN")[number % 2]  # walked, and found
        query = {"sort": f"-{name}", "filter": wanted, "response_fields": name, "page_limit": 1}
        first = await asked(http, f"v1/{entries}", **query)
        if following := first["links"]["next"]:
            assert (await http.get(following)).status_code == 200, name
