"""What a search in a notebook takes: the fields of a query, as editors can complete them."""

from __future__ import annotations

import difflib
from collections.abc import Mapping, Sequence
from datetime import datetime
from typing import Any, Literal, TypedDict
from uuid import UUID

from pydantic import ValidationError

from api.errors import WrongUsage
from api.schemas.refusal import refusal
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
    method: Texts
    mix: bool
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
            close = _meant(name)
            hint = f" Did you mean {close}?" if close else ""
            known = ", ".join(Query.model_fields)
            raise WrongUsage(f"There is no filter {name}.{hint} There are: {known}.")
    try:
        return Query.model_validate(dict(filters))
    except ValidationError as error:
        first = error.errors()[0]
        name = str(first["loc"][0])
        given = filters[name]
        raise WrongUsage(refusal(f"{name}={given!r}", str(given), first)) from None


def _meant(name: str) -> str | None:
    """Return the filter that a name is near to, or that the command's option of it asks for."""
    if name in OPTIONS:
        return OPTIONS[name]
    begins = [field for field in Query.model_fields if field.startswith(f"{name}_")]
    close = difflib.get_close_matches(name, [*Query.model_fields, *OPTIONS], 1)
    found = next(iter(begins + close), None)
    return None if found is None else OPTIONS.get(found, found)


OPTIONS: Mapping[str, str] = {
    "any_of": "elements_any",
    "only": "elements_only",
    "none_of": "elements_none",
    "system": "chemical_system",
    "subsystems_of": "chemical_subsystems_of",
    "formula": "reduced_formula",
    "anonymous": "anonymous_formula",
    "n_elements": "number_of_elements",
    "n_sites": "number_of_sites",
    "symprec": "symprec_a",
    "density": "density_g_per_cm3",
    "volume": "volume_a3",
    "a": "cell_a_a",
    "b": "cell_b_a",
    "c": "cell_c_a",
    "alpha": "cell_alpha_deg",
    "beta": "cell_beta_deg",
    "gamma": "cell_gamma_deg",
    "periodic": "number_of_periodic_dimensions",
    "text": "words",
    "tag": "tags",
    "with_licence": "licence",
    "created": "created_at",
    "updated": "updated_at",
    "id": "id_prefix",
}
"""Filters that the options of ``nano-os structures search`` call otherwise."""


def sort_of(text: str | None) -> Sort | None:
    """Return what ``density_g_per_cm3:desc`` says, None for nothing. Raises WrongUsage."""
    try:
        return Sort.read(text) if text else None
    except ValueError as error:
        raise WrongUsage(f"sort={text!r}: {error}.") from None
