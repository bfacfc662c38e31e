"""What a request may say after the question mark, by OPTIMADE 1.2."""

from __future__ import annotations

import re
from collections.abc import Iterable, Sequence
from typing import Annotated

from pydantic import BaseModel, Field

from api.errors import (
    QueryNotSupported,
    QueryNotUnderstood,
    QueryTooLarge,
    VersionNotSupported,
)
from api.optimade.properties import Entries
from api.settings import settings

DEFAULT_PAGE = 20
MAJOR = "1"

_NAMES = r"^([a-z_][a-z_0-9]*(,[a-z_][a-z_0-9]*)*)?$"
_SORT = r"^(-?[a-z_][a-z_0-9]*(,-?[a-z_][a-z_0-9]*)*)?$"


class SingleQuery(BaseModel):
    """Of one entry."""

    response_format: Annotated[str, Field(description="json, the only one there is.")] = "json"
    email_address: Annotated[str | None, Field(description="Of who asks; it is not kept.")] = None
    response_fields: Annotated[
        str | None, Field(pattern=_NAMES, description="Names of properties, with commas between.")
    ] = None
    include: Annotated[str, Field(description="references, or nothing.")] = "references"
    api_hint: Annotated[
        str | None, Field(pattern=r"^v\d+(\.\d+)?$", description="A version, such as v1.2.")
    ] = None


class ListQuery(SingleQuery):
    """Of a list of entries."""

    filter: Annotated[str, Field(description="In OPTIMADE's filter language.")] = ""
    sort: Annotated[
        str, Field(pattern=_SORT, description="Names of properties; - before one turns it around.")
    ] = ""
    page_limit: Annotated[int, Field(ge=1, description="Entries of one page.")] = DEFAULT_PAGE
    page_offset: Annotated[
        int, Field(ge=0, lt=2**62, description="Entries to leave out before the page.")
    ] = 0
    page_number: Annotated[
        int | None, Field(ge=1, lt=2**31, description="Of the page, from 1.")
    ] = None
    page_cursor: Annotated[str | None, Field(description="From links.next.")] = None
    page_above: Annotated[str | None, Field(description="Not supported.")] = None
    page_below: Annotated[str | None, Field(description="Not supported.")] = None

    @property
    def offset(self) -> int:
        """Entries to leave out before the page."""
        if self.page_number is not None:
            return (self.page_number - 1) * self.page_limit
        return self.page_offset

    def check(self) -> None:
        """Raise where a page is asked for in a way, or of a size, that is not offered."""
        if self.page_limit > settings().optimade_page_limit:
            raise QueryTooLarge(
                f"A page has at most {settings().optimade_page_limit} entries; follow links.next."
            )
        if self.page_above is not None or self.page_below is not None:
            raise QueryNotSupported(
                "Pages are turned by links.next, page_offset or page_number, not by values."
            )
        ways = (self.page_offset > 0, self.page_number is not None, self.page_cursor is not None)
        if sum(ways) > 1:
            raise QueryNotUnderstood(
                "Of page_offset, page_number and page_cursor only one can be meant."
            )


def check_format(query: SingleQuery) -> None:
    """Raise where another format than JSON, or what is not related, is asked for."""
    if query.response_format != "json":
        raise QueryNotUnderstood(
            f"response_format {query.response_format!r} is not offered; json is."
        )
    if query.include not in {"", "references"}:
        raise QueryNotUnderstood(f"{query.include!r} cannot be included; references can.")


def check_hint(query: SingleQuery, version: str) -> None:
    """Raise VersionNotSupported where an address without a version is asked for another."""
    if query.api_hint and not version and not re.match(rf"v{MAJOR}(\.|$)", query.api_hint):
        raise VersionNotSupported(f"{query.api_hint} is not offered; v{MAJOR} is.")


def unknown_parameters(names: Iterable[str], entries: Entries) -> list[str]:
    """Return the parameters that are ignored; raises QueryNotUnderstood for what none may be."""
    unknown = [name for name in names if name not in ListQuery.model_fields]
    for name in unknown:
        if not re.match(r"_[a-z0-9]+_", name) or name.startswith(f"_{entries.prefix}_"):
            raise QueryNotUnderstood(f"There is no query parameter {name}.")
    return unknown


def fields(query: SingleQuery, entries: Entries) -> tuple[Sequence[str], list[str]]:
    """Return the names of the answer's properties, and which belong to other databases."""
    always = {"id", "type"}
    if not query.response_fields:
        return [name for name in entries.properties if name not in always], []
    names = [name for name in dict.fromkeys(query.response_fields.split(",")) if name not in always]
    return names, [name for name in names if entries.find(name) is None]
