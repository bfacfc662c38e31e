"""The report of a run: one HTML file that needs nothing beside it.

Tables, energy–volume curves, phonons, pictures of structures, and where each
number comes from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from markupsafe import Markup

from api.artifacts import Artifacts
from api.db import code_version
from api.schemas.simulation import ResultDetail
from api.schemas.structure import Neighbour, StructureDetail
from api.services.structures import to_atoms
from api.web.pages import environment
from api.web.pictures import picture
from nanoos.draw import structure_svg
from nanoos.reference import SOURCE, Comparison


@dataclass(frozen=True)
class Compared:
    """One metal's equation of state beside the all-electron reference."""

    element: str
    result: ResultDetail
    comparison: Comparison


@dataclass(frozen=True)
class Neighbourhood:
    """A structure and what is near it."""

    structure: StructureDetail
    neighbours: Sequence[Neighbour]


def render(
    structures: Sequence[StructureDetail],
    compared: Sequence[Compared],
    phonons: Sequence[ResultDetail],
    neighbourhoods: Sequence[Neighbourhood],
    artifacts: Artifacts,
) -> str:
    """Return the report as HTML; every text from a file or the database is escaped."""
    pages = environment()
    pages.filters["citation"] = citation
    by_id = {structure.id: structure for structure in structures}
    return pages.get_template("report.html.j2").render(
        structures=structures,
        compared=compared,
        phonons=phonons,
        neighbourhoods=neighbourhoods,
        by_id=by_id,
        pictures={id_: _drawn(structure) for id_, structure in by_id.items()},
        curves={
            result.id: Markup(picture(result, artifacts))  # noqa: S704 - drawn here, from numbers
            for result in (*(row.result for row in compared), *phonons)
        },
        reference_source=SOURCE,
        version=code_version(),
        now=datetime.now(UTC),
    )


def _drawn(structure: StructureDetail) -> Markup:
    return Markup(structure_svg(to_atoms(structure)))  # noqa: S704 - drawn here, from numbers


def citation(extra: dict[str, Any]) -> str:
    """Return authors, year, journal and database code of a structure's source in one line."""
    cited = extra.get("citation", {})
    authors = cited.get("authors", [])
    names = ", ".join(authors[:3]) + (" et al." if len(authors) > 3 else "")
    journal = " ".join(
        str(cited[key]) for key in ("journal", "volume", "page_first") if cited.get(key)
    )
    year = f"({cited['year']})" if cited.get("year") else ""
    code = " ".join(str(extra[key]) for key in ("database", "database_code") if extra.get(key))
    place = ", ".join(filter(None, [names, journal]))
    return " ".join(filter(None, [place, year, f"[{code}]" if code else ""]))
