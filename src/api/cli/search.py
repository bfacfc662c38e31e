"""``nano-os structures search``: ask for structures, and look at what was found."""

from __future__ import annotations

import shlex
import sys
from typing import TYPE_CHECKING, Annotated, Any

import typer

from api.cli.database import in_transaction
from api.cli.filters import with_filters
from api.cli.output import Json, err, out, print_json, show_table

if TYPE_CHECKING:
    from api.schemas.search import Page, Query, Sort, StructureRow

SHOWN = {
    "id": "id",
    "reduced_formula": "formula",
    "name": "name",
    "space_group_symbol_at_0_1": "space group",
    "number_of_sites": "sites",
    "volume_a3": "V (Å³)",
    "density_g_per_cm3": "ρ (g/cm³)",
    "source": "source",
}
"""The columns that are shown where none are named, and their headings."""


@with_filters
def search(
    query: Query,
    sort: Annotated[
        str | None, typer.Option(metavar="COLUMN[:desc]", help="See docs/search.md.")
    ] = None,
    columns: Annotated[
        str | None, typer.Option(metavar="NAME,…", help="What to show of each.")
    ] = None,
    limit: Annotated[int, typer.Option(min=1, max=10_000, help="How many on a page.")] = 50,
    after: Annotated[
        str | None, typer.Option(metavar="CURSOR", help="Begin behind that place.")
    ] = None,
    count: Annotated[bool, typer.Option("--count", help="Only say how many there are.")] = False,
    json: Json = False,
) -> None:
    """Search the structures; all the options given must hold.

    Lists are written with commas, ranges as 3.1:3.4, :4 or 5:. Without options,
    everything is listed.
    """
    from api.cli.reanalysing import hint
    from api.services import search as searches

    order = None if sort is None else read_sort(sort)
    names = _columns(columns)
    if count:
        number, is_exact = in_transaction(lambda session, _: searches.count(session, query))
        if json:
            print_json({"count": number, "count_is_exact": is_exact})
        else:
            out.print(counted(number, is_exact=is_exact))
        return
    page = in_transaction(
        lambda session, _: searches.find(session, query, sort=order, after=after, limit=limit)
    )
    if json:
        print_json(_document(page, names if columns else None))
    else:
        _show(page, names)
        hint()


def read_sort(text: str) -> Sort:
    """Return what ``--sort`` says; raises WrongUsage."""
    from api.errors import WrongUsage
    from api.schemas.search import Sort

    try:
        return Sort.read(text)
    except ValueError as error:
        raise WrongUsage(
            f"--sort {text}: {error}. For example: --sort density_g_per_cm3:desc"
        ) from None


def _columns(text: str | None) -> list[str]:
    from api.errors import WrongUsage
    from api.schemas.search import StructureRow

    if text is None:
        return list(SHOWN)
    names = [name.strip() for name in text.split(",") if name.strip()]
    known = StructureRow.model_fields
    if unknown := [name for name in names if name not in known]:
        raise WrongUsage(f"--columns: there is no {unknown[0]}; there are {', '.join(known)}.")
    return names


def counted(number: int, *, is_exact: bool) -> str:
    """Say how many structures there are: ``1,234 structures``, ``about 1.2 million structures``."""
    if is_exact:
        return f"{number:,} structure{'' if number == 1 else 's'}"
    if number >= 1_000_000:
        return f"about {number / 1e6:g} million structures"
    return f"about {number:,} structures"


def _document(page: Page, names: list[str] | None) -> dict[str, Any]:
    include = set(names) if names else None
    return {
        "count": page.count,
        "count_is_exact": page.is_exact,
        "after": page.after,
        "structures": [row.model_dump(mode="json", include=include) for row in page.rows],
    }


def _show(page: Page, names: list[str]) -> None:
    if page.rows:
        show_table(
            None,
            [SHOWN.get(name, name) for name in names],
            [[_cell(row, name) for name in names] for row in page.rows],
        )
    err.print(f"[green]{counted(page.count, is_exact=page.is_exact)}[/]", end="")
    err.print(f", {len(page.rows)} shown" if page.after else "")
    if page.after:
        err.print(f"More: {next_page(page.after)}", markup=False)


def _cell(row: StructureRow, name: str) -> Any:
    value = getattr(row, name)
    if isinstance(value, float):
        return round(value, 3)
    return ", ".join(value) if isinstance(value, list) else value


def next_page(cursor: str) -> str:
    """Return the command as it was typed, with the place where the next page begins."""
    typed = sys.argv[1:]
    kept = [
        word
        for place, word in enumerate(typed)
        if not word.startswith("--after") and (place == 0 or typed[place - 1] != "--after")
    ]
    return shlex.join(["nano-os", *kept, "--after", cursor])
