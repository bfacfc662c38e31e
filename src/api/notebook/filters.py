"""What a search in a notebook takes: the fields of a query, as editors can complete them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict
from uuid import UUID

from pydantic import ValidationError

from api.errors import WrongUsage
from api.schemas.search import Query, Sort

Texts = str | Sequence[str]
Integers = int | str | tuple[int | None, int | None]
Numbers = float | str | tuple[float | None, float | None]
Times = str | tuple[datetime | None, datetime | None]


class Filters(TypedDict, total=False):
    """Conditions that must all hold; `api.schemas.search.Query` says what each means."""

    ids: Sequence[UUID | str]
    id_prefix: str
    elements: Texts
    elements_any: Texts
    elements_only: Texts
    elements_none: Texts
    chemical_system: str
    chemical_subsystems_of: Texts
    reduced_formula: Texts
    anonymous_formula: Texts
    protostructure: Texts
    number_of_elements: Integers
    number_of_sites: Integers
    number_of_periodic_dimensions: int | Texts | Sequence[int]
    is_ordered: bool
    space_group: int | Texts | Sequence[int]
    crystal_system: Texts
    symprec_a: float
    density_g_per_cm3: Numbers
    volume_a3: Numbers
    cell_a_a: Numbers
    cell_b_a: Numbers
    cell_c_a: Numbers
    cell_alpha_deg: Numbers
    cell_beta_deg: Numbers
    cell_gamma_deg: Numbers
    quantities: Mapping[str, Numbers]
    words: str
    contains: str
    tags: Texts
    owner: str
    visibility: Literal["private", "public"]
    source: Texts
    external_id: Texts
    licence: Texts
    fingerprint: Texts
    created_at: Times
    updated_at: Times


def query_of(filters: Mapping[str, Any]) -> Query:
    """Return the query. Raises WrongUsage, which names the filter that cannot be read."""
    for name in filters:
        if name not in Query.model_fields:
            close = difflib.get_close_matches(name, Query.model_fields, 1)
            hint = f" Did you mean {close[0]}?" if close else ""
            known = ", ".join(Query.model_fields)
            raise WrongUsage(f"There is no filter {name}.{hint} There are: {known}.")
    try:
        return Query.model_validate(dict(filters))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        cause = first["msg"].removeprefix("Value error, ")
        raise WrongUsage(f"{name}={filters[name]!r}: {cause}.") from None


def sort_of(text: str | None) -> Sort:
    """Return what ``density_g_per_cm3:desc`` says. Raises WrongUsage."""
    try:
        return Sort.read(text) if text else Sort()
    except ValueError as error:
        raise WrongUsage(f"sort={text!r}: {error}.") from None
