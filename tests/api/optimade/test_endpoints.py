"""Every endpoint, read by the standard's own models."""

from __future__ import annotations

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


async def test_a_private_entry_is_not_there(http: httpx.AsyncClient, sessions: Any) -> None:
    from sqlalchemy import text

    async with sessions() as session:
        ids = (
            await session.execute(
                text("SELECT id, citation_id FROM structures WHERE name LIKE 'secret%'")
            )
        ).all()
    for id_, _cited in ids:
        assert (await asked(http, f"v1/structures/{id_}"))["data"] is None
        assert not (await asked(http, "v1/structures", filter=f'id="{id_}"'))["data"]
    kept = [await asked(http, f"v1/references/{cited}") for _id, cited in ids]
    assert sorted(one["data"] is None for one in kept) == [False, True]


@pytest.mark.parametrize("id_", ["no-uuid", "a/b", "'; DROP TABLE structures; --", "%00"])
async def test_an_entry_that_is_not_there_is_null(http: httpx.AsyncClient, id_: str) -> None:
    assert (await asked(http, f"v1/structures/{id_}"))["data"] is None
