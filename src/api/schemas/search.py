"""What may be asked of the structures, and what comes back."""

from __future__ import annotations

import re
from collections.abc import Sequence
from datetime import datetime
from typing import Annotated, Any, Literal, NamedTuple
from uuid import UUID

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from api.schemas import notation
from api.schemas.notation import CRYSTAL_SYSTEMS, Range

SORTABLE = (
    "id",
    "reduced_formula",
    "anonymous_formula",
    "chemical_system",
    "protostructure",
    "number_of_elements",
    "number_of_sites",
    "space_group_number_at_0_1",
    "space_group_number_at_0_01",
    "density_g_per_cm3",
    "volume_a3",
    "cell_a_a",
    "cell_b_a",
    "cell_c_a",
    "cell_alpha_deg",
    "cell_beta_deg",
    "cell_gamma_deg",
    "source",
    "created_at",
    "updated_at",
)
"""Columns that structures can be sorted by; each has an index."""

DIMENSIONS = {"molecule": 0, "wire": 1, "slab": 2, "crystal": 3}
"""What repeats in so many directions."""


def _listed(given: Any) -> Any:
    """Return text as a list, split at commas; nothing in it is empty."""
    if isinstance(given, str):
        return notation.listed(given)
    if isinstance(given, list | tuple | set | frozenset) and "" in given:
        raise ValueError("'' is no text to look for")
    return tuple(given) if isinstance(given, list | set | frozenset) else given


def _formulas(given: Any) -> tuple[str, ...]:
    wanted = [(text, notation.read_formula(text)) for text in _texts(given)]
    return tuple(formula.reduced if formula.is_exact else text for text, formula in wanted)


def _anonymous_formulas(given: Any) -> tuple[str, ...]:
    return tuple(notation.anonymous_formula(text) for text in _texts(given))


def _protostructures(given: Any) -> tuple[str, ...]:
    if isinstance(given, str):
        given = re.split(r",(?![^(]*\))", given)  # (Fe,Mg) is one site
    return tuple(notation.protostructure(text) for text in _texts(given))


def _texts(given: Any) -> list[str]:
    return [str(one).strip() for one in _listed(given)]


def _dimensions(given: Any) -> tuple[int, ...]:
    listed = _listed(given) if isinstance(given, str | list | tuple) else (given,)
    numbers = [DIMENSIONS.get(str(one).lower().removesuffix("s"), one) for one in listed]
    if not all(str(number) in {"0", "1", "2", "3"} for number in numbers):
        raise ValueError(f"{given!r}: write 0 to 3, or {', '.join(DIMENSIONS)}")
    return tuple(sorted({int(number) for number in numbers}))


def _crystal_systems(given: Any) -> tuple[str, ...]:
    names = tuple(str(one).lower() for one in _listed(given))
    if unknown := [name for name in names if name not in CRYSTAL_SYSTEMS]:
        raise ValueError(f"{unknown[0]!r} is none of {', '.join(CRYSTAL_SYSTEMS)}")
    return names


def _methods(given: Any) -> tuple[str, ...]:
    hashes = tuple(text.lower() for text in _texts(given))
    if wrong := [text for text in hashes if not re.fullmatch(r"[0-9a-f]{1,64}", text)]:
        raise ValueError(f"{wrong[0]!r} is no hash of a method, nor the beginning of one")
    return hashes


def _symprec(given: float) -> float:
    if given not in {0.1, 0.01}:
        raise ValueError("space groups are known within 0.1 and 0.01 Å")
    return given


Texts = Annotated[tuple[str, ...], BeforeValidator(_listed)]
Elements = Annotated[tuple[str, ...], BeforeValidator(notation.elements)]
System = Annotated[str, BeforeValidator(lambda text: notation.chemical_system(str(text)))]


class Query(BaseModel):
    """Conditions on structures, all of which must hold. One of nothing finds everything.

    Lists may be given as text with commas, ranges as text such as ``3.1:3.4``, ``:4``, ``5:``
    or as a pair. Formulas and chemical systems may be given in any order.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    ids: tuple[UUID, ...] = Field((), description="One of these")
    id_prefix: str | None = Field(
        None, description="Beginning of the id", pattern=r"^[0-9a-fA-F-]{1,36}$"
    )
    elements: Elements = Field((), description="Has all of these elements")
    elements_any: Elements = Field((), description="Has at least one of these elements")
    elements_only: Elements = Field((), description="Has no elements but these")
    elements_none: Elements = Field((), description="Has none of these elements")
    chemical_system: System | None = Field(
        None, description="Just these elements; * is any one: Si-O, *-Si-O"
    )
    chemical_subsystems_of: Elements = Field(
        (), description="This chemical system, or one of its subsystems"
    )
    reduced_formula: Annotated[tuple[str, ...], BeforeValidator(_formulas)] = Field(
        (), description="One of these; * is any element (*TiO3), ? any amount (Fe?O4)"
    )
    anonymous_formula: Annotated[tuple[str, ...], BeforeValidator(_anonymous_formulas)] = Field(
        (), description="One of these; AB* begins with AB"
    )
    protostructure: Annotated[tuple[str, ...], BeforeValidator(_protostructures)] = Field(
        (), description="One of these labels, with or without elements; A2B_tP6* begins so"
    )
    number_of_elements: Range[int] | None = Field(None, description="How many elements")
    number_of_sites: Range[int] | None = Field(None, description="How many sites in the cell")
    number_of_periodic_dimensions: Annotated[tuple[int, ...], BeforeValidator(_dimensions)] = Field(
        (), description="Directions it repeats in, or molecule, wire, slab, crystal"
    )
    is_ordered: bool | None = Field(None, description="Every site holds one element, fully")
    space_group: Annotated[tuple[int, ...], BeforeValidator(notation.space_groups)] = Field(
        (), description="One of these numbers or symbols, within symprec_a"
    )
    crystal_system: Annotated[tuple[str, ...], BeforeValidator(_crystal_systems)] = Field(
        (), description="One of these, within symprec_a"
    )
    symprec_a: Annotated[float, AfterValidator(_symprec)] = Field(
        0.1, description="Tolerance of the space group, 0.1 or 0.01 Å"
    )
    density_g_per_cm3: Range[float] | None = Field(None, description="Mass density, in g/cm³")
    volume_a3: Range[float] | None = Field(None, description="Volume of the cell, in Å³")
    cell_a_a: Range[float] | None = Field(None, description="a of the conventional cell, in Å")
    cell_b_a: Range[float] | None = Field(None, description="b of the conventional cell, in Å")
    cell_c_a: Range[float] | None = Field(None, description="c of the conventional cell, in Å")
    cell_alpha_deg: Range[float] | None = Field(None, description="Its alpha, in degrees")
    cell_beta_deg: Range[float] | None = Field(None, description="Its beta, in degrees")
    cell_gamma_deg: Range[float] | None = Field(None, description="Its gamma, in degrees")
    quantities: dict[str, Range[float]] = Field(
        {}, description="One of its results has these quantities in these ranges"
    )
    method: Annotated[tuple[str, ...], BeforeValidator(_methods)] = Field(
        (), description="One of its results, that one, is of one of these methods (hashes)"
    )
    mix: bool = Field(
        False, description="Energies in quantities may be of methods that cannot be compared"
    )
    words: str | None = Field(
        None, description="Words of name, file, collection, or of the publication", min_length=1
    )
    contains: str | None = Field(
        None, description="Text within name, file or formula; reads every row", min_length=1
    )
    tags: Texts = Field((), description="Has all of these tags")
    owner: str | None = Field(None, description="User name of its owner")
    visibility: Literal["private", "public"] | None = Field(None, description="Who may read it")
    source: Texts = Field((), description="One of these collections")
    external_id: Texts = Field((), description="One of these identifiers in its collection")
    licence: Texts = Field((), description="One of these licences")
    fingerprint: Texts = Field((), description="One of these fingerprints")
    created_at: Range[datetime] | None = Field(None, description="When it came in, UTC")
    updated_at: Range[datetime] | None = Field(None, description="When it last changed, UTC")

    def given(self) -> dict[str, Any]:
        """Return the conditions that say something, as a JSON document."""
        return self.model_dump(mode="json", exclude_defaults=True)


class Sort(NamedTuple):
    """A column of `SORTABLE`, and the direction; rows without a value come last in both."""

    column: str = "id"
    descending: bool = False

    @classmethod
    def read(cls, text: str) -> Sort:
        """Return what ``density_g_per_cm3:desc`` says; raises ValueError."""
        column, _, direction = text.strip().partition(":")
        if column not in SORTABLE:
            raise ValueError(f"{column!r} is no column to sort by; those are {', '.join(SORTABLE)}")
        if direction not in {"", "asc", "desc"}:
            raise ValueError(f"{direction!r} is neither asc nor desc")
        return cls(column, direction == "desc")

    def __str__(self) -> str:
        return f"{self.column}:{'desc' if self.descending else 'asc'}"


BY_ID = Sort()
"""In the order of their making."""


class StructureRow(BaseModel):
    """One structure among those found: what fits a line."""

    id: UUID
    name: str | None
    reduced_formula: str | None
    anonymous_formula: str | None
    chemical_system: str | None
    number_of_elements: int | None
    number_of_sites: int
    number_of_periodic_dimensions: int | None
    is_ordered: bool
    volume_a3: float | None
    density_g_per_cm3: float | None
    space_group_symbol_at_0_1: str | None
    space_group_number_at_0_1: int | None
    space_group_symbol_at_0_01: str | None
    space_group_number_at_0_01: int | None
    cell_a_a: float | None
    cell_b_a: float | None
    cell_c_a: float | None
    cell_alpha_deg: float | None
    cell_beta_deg: float | None
    cell_gamma_deg: float | None
    protostructure: str | None
    source: str | None
    external_id: str | None
    licence: str | None
    tags: list[str]
    origin: str
    visibility: str
    source_name: str | None
    created_at: datetime
    updated_at: datetime


class Page(BaseModel):
    """Some of the structures found."""

    rows: Sequence[StructureRow]
    after: str | None = Field(description="Cursor of the next page; None on the last one")
    count: int = Field(description="How many there are on all pages")
    is_exact: bool = Field(description="Counted; otherwise estimated")
