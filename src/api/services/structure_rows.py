"""Structures as rows on their way into the database; made where they are read, in any process.

Nothing here imports SQLAlchemy: the processes that read files start the faster.
"""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Literal, NamedTuple
from uuid import UUID

from uuid_utils.compat import uuid7

from api.services import copy_format
from nanoos.canonical import canonical_json
from nanoos.errors import NanoError, StructureError
from nanoos.parsers import Parsed, Rejected, Source, read_source
from nanoos.steps import pause
from nanoos.structures import ANALYSIS_VERSION, Analysis, Species, Structure, analyse, formula

READ = "api.services.structure_rows:read"
DERIVE_AGAIN = "api.services.structure_rows:derive_again"
"""The work that a pool of processes does."""


@dataclass(frozen=True, slots=True)
class Candidate:
    """A structure on its way in: what it is, what follows from it, where it came from."""

    structure: Structure
    analysis: Analysis
    name: str | None = None
    source_text: str | None = None
    source_format: str | None = None
    source_name: str | None = None
    source_sha256: str | None = None
    extra: dict[str, Any] | None = None
    origin: Literal["upload", "relaxed", "snapshot"] = "upload"
    parent_id: UUID | None = None


class Row(NamedTuple):
    """A structure ready for COPY, and where in its file it stands.

    ``fields`` are the values of `COLUMNS` in PostgreSQL's binary format, ``material`` is a number
    that all structures of a material have. ``length`` is that of its part of the file in
    characters, 0 where it is not text.
    """

    id: bytes
    fingerprint: str
    fields: bytes
    material: int
    format: str | None = None
    place: int = 1
    is_last: bool = False
    sha256: str | None = None
    is_licensed: bool = False
    length: int = 0


class Refusal(NamedTuple):
    """A structure of a file that cannot be stored, and why; ``place`` if it is one of several."""

    message: str
    line: int | None = None
    place: int | None = None


class Again(NamedTuple):
    """A stored structure that is to be analysed again."""

    id: UUID
    structure: Structure


class Derived(NamedTuple):
    """What is derived of a stored structure: id, and `DERIVED_COLUMNS` in binary format."""

    id: bytes
    fields: bytes


def derive_again(stored: Again) -> Iterator[Derived]:
    """Yield what is derived of one stored structure. Raises SymmetryError."""
    values = _derived(stored.structure, analyse(stored.structure)) | {"id": stored.id}
    yield Derived(stored.id.bytes, copy_format.fields(DERIVED_COLUMNS, values))


class Reading(NamedTuple):
    """A source that is to be read, its format where the content is not to tell, its number."""

    source: Source
    format: str | None = None
    number: int = 0


def read(reading: Reading) -> Iterator[Row | Refusal]:
    """Do the work `READ`; see `read_rows`."""
    return read_rows(reading.source, reading.format)


def read_rows(source: Source, format_: str | None = None) -> Iterator[Row | Refusal]:
    """Yield a row for each structure of a source, as the content tells or as a format.

    Raises ParseError when the source, or what is left of it, cannot be read.
    """
    held: Row | Refusal | None = None  # until it is known whether it is the last
    n_read = 0
    try:
        for one in read_source(source, format_):
            if held is not None:
                yield held
            n_read += 1
            held = _row_of(one, source)
    except NanoError:
        if held is not None:
            yield held
        raise
    if isinstance(held, Row):
        yield held._replace(is_last=True)
    elif held is not None:
        yield held if n_read > 1 else held._replace(place=None)


def _row_of(one: Parsed | Rejected, source: Source) -> Row | Refusal:
    if isinstance(one, Rejected):
        return Refusal(str(one.error), getattr(one.error, "line", None), one.place)
    try:
        pause()
        candidate = Candidate(
            structure=one.structure,
            analysis=analyse(one.structure),
            name=one.name,
            source_text=one.source_text or None,
            source_format=one.source_format,
            source_name=source.filename,
            source_sha256=one.source_sha256,
            extra=one.extra,
        )
        pause()
        return row(candidate)._replace(place=one.place)
    except NanoError as error:
        return Refusal(str(error), None, one.place)


def row(candidate: Candidate) -> Row:
    """Return a candidate as a row. Raises StructureError for what cannot be stored."""
    try:
        values = _values(candidate)
        fields = copy_format.fields(COLUMNS, values)
    except (TypeError, ValueError) as error:
        raise StructureError(f"What the source says cannot be stored: {error}.") from error
    return Row(
        values["id"].bytes,
        candidate.analysis.fingerprint,
        fields,
        zlib.crc32((values["hill_formula"] or "").encode()),
        format=candidate.source_format,
        sha256=candidate.source_sha256,
        is_licensed=_said(candidate.extra or {}, "licence") is not None,
        length=len(candidate.source_text or ""),
    )


def with_parent(derived: Row, parent_id: UUID) -> Row:
    """Return a row with another parent: the one that is stored for the one it was made with."""
    place = list(COLUMNS).index("parent_id")
    fields = copy_format.replaced(derived.fields, place, copy_format.uuid(parent_id))
    return derived._replace(fields=fields)


def _values(candidate: Candidate) -> dict[str, Any]:
    structure, analysis = candidate.structure, candidate.analysis
    extra = candidate.extra or {}
    return {
        "id": uuid7(),
        **_derived(structure, analysis),
        "material_name": _said(extra, "mineral"),
        "source": _said(extra, "database"),
        "external_id": _said(extra, "database_code"),
        "licence": _said(extra, "licence"),
        "name": candidate.name,
        "lattice_a": structure.lattice_a,
        "positions_a": structure.positions_a,
        "species": f"[{','.join(map(_species, structure.species))}]",
        "species_at_sites": structure.species_at_sites,
        "dimension_types": [int(direction) for direction in structure.periodic],
        "origin": candidate.origin,
        "parent_id": candidate.parent_id,
        "source_text": candidate.source_text,
        "source_format": candidate.source_format,
        "source_name": candidate.source_name,
        "source_sha256": candidate.source_sha256,
        "extra": canonical_json(extra),
    }


def _said(extra: dict[str, Any], key: str) -> str | None:
    """Return what a source said as text, None where that is nothing, or no single value."""
    value = extra.get(key)
    if value is None or isinstance(value, dict | list):
        return None
    return str(value).strip() or None  # readers make numbers of codes such as 9000046


def _derived(structure: Structure, analysis: Analysis) -> dict[str, Any]:
    """Return what an analysis says, by column, and the id that its material has if it is new."""
    strict, loose = analysis.space_group_strict, analysis.space_group_loose
    cell = analysis.conventional_cell or (None,) * len(CELL)
    return {
        "material_id": uuid7(),
        "hill_formula": analysis.hill_formula or _hill_of_proportions(structure),
        "number_of_sites": analysis.n_sites,
        "elements": analysis.elements,
        "elements_ratios": analysis.elements_ratios,
        "number_of_elements": len(analysis.elements),
        "chemical_system": analysis.chemical_system,
        "reduced_formula": analysis.reduced_formula,
        "anonymous_formula": analysis.anonymous_formula,
        "number_of_periodic_dimensions": analysis.n_periodic,
        "is_ordered": analysis.is_ordered,
        "volume_a3": analysis.volume_a3,
        "density_g_per_cm3": analysis.density_g_per_cm3,
        "space_group_number_at_0_01": strict and strict.number,
        "space_group_symbol_at_0_01": strict and strict.symbol,
        "space_group_number_at_0_1": loose and loose.number,
        "space_group_symbol_at_0_1": loose and loose.symbol,
        **dict(zip(CELL, cell, strict=True)),
        "protostructure": analysis.protostructure,
        "symmetry_engine": loose and f"{loose.engine} {loose.engine_version}",
        "fingerprint": analysis.fingerprint,
        "fingerprint_version": analysis.fingerprint_version,
        "analysis_version": ANALYSIS_VERSION,
    }


def _species(species: Species) -> str:
    return _species_json(
        species.name, tuple(species.chemical_symbols), tuple(species.concentration)
    )


@lru_cache(4096)  # most are elements
def _species_json(name: str, symbols: tuple[str, ...], concentration: tuple[float, ...]) -> str:
    shares = [float(share) for share in concentration]
    return canonical_json(
        {"name": name, "chemical_symbols": list(symbols), "concentration": shares}
    )


def _hill_of_proportions(structure: Structure) -> str | None:
    """Return the Hill formula of the approximate formula unit that occupancies amount to."""
    unit = formula.proportions(structure.composition)
    return formula.hill(dict(unit), molecule=False)


CELL = ("cell_a_a", "cell_b_a", "cell_c_a", "cell_alpha_deg", "cell_beta_deg", "cell_gamma_deg")
DERIVED = {
    "number_of_sites": "int",
    "elements": "text[]",
    "elements_ratios": "float8[]",
    "number_of_elements": "smallint",
    "chemical_system": "text",
    "reduced_formula": "text",
    "anonymous_formula": "text",
    "number_of_periodic_dimensions": "smallint",
    "is_ordered": "boolean",
    "volume_a3": "float8",
    "density_g_per_cm3": "float8",
    "space_group_number_at_0_01": "smallint",
    "space_group_symbol_at_0_01": "text",
    "space_group_number_at_0_1": "smallint",
    "space_group_symbol_at_0_1": "text",
    **dict.fromkeys(CELL, "float8"),
    "protostructure": "text",
    "symmetry_engine": "text",
    "fingerprint": "text",
    "fingerprint_version": "smallint",
    "analysis_version": "smallint",
}
"""Columns of ``structures`` that follow from the atoms, with their types."""
DERIVED_COLUMNS = {"id": "uuid", "material_id": "uuid", "hill_formula": "text"} | DERIVED
"""The columns of `Derived.fields`, in order."""
STRUCTURE_COLUMNS = {
    "id": "uuid",
    "name": "text",
    "lattice_a": "float8[]",
    "positions_a": "float8[]",
    "species": "jsonb",
    "species_at_sites": "text[]",
    "dimension_types": "smallint[]",
    **DERIVED,
    "origin": "text",
    "parent_id": "uuid",
    "source_text": "text",
    "source_format": "text",
    "source_name": "text",
    "source_sha256": "text",
    "source": "text",
    "external_id": "text",
    "licence": "text",
    "extra": "jsonb",
}
"""Columns of ``structures`` that a row brings."""
COLUMNS = STRUCTURE_COLUMNS | {
    "material_id": "uuid",
    "hill_formula": "text",
    "material_name": "text",
}
"""All that a row brings, with its type, in the order of `Row.fields`."""
