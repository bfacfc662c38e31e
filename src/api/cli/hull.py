"""``nano-os hull``: what is stable in a chemical system."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from api.cli.database import in_transaction
from api.cli.energies import MethodOption, Mix, elements_of, method_names, show_compared
from api.cli.output import Json, err, out, print_json, show_table

if TYPE_CHECKING:
    from api.schemas.energies import ConvexHull, HullEntry
    from api.services.hulls import Found


def hull(
    system: Annotated[str, typer.Argument(metavar="CHEMSYS", help="Elements, such as Al-Cu.")],
    method: MethodOption = None,
    mix: Mix = False,
    above: Annotated[
        float | None,
        typer.Option(min=0, metavar="EV", help="List entries up to so far above the hull only."),
    ] = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw two or three elements there.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what is stable in a chemical system, and how far the rest is above the convex hull.

    Taken are the converged results in view by methods whose energies may be
    compared, of each crystal structure the lowest. An energy of each element by
    itself is needed; where one is missing, the command that computes it is
    shown, and the exit code is 1.
    """
    from api.services import hulls

    elements = elements_of(system)
    found = in_transaction(lambda session, _: hulls.hull(session, elements, method=method, mix=mix))
    document = found.document
    if plot is not None and found.hull is not None:
        _draw(found, plot)
    if above is not None:
        document.entries = [
            one for one in document.entries if (one.energy_above_hull_ev_per_atom or 0) <= above
        ]
    if json:
        print_json(document.model_dump(mode="json"))
    else:
        _show(document)
    if document.missing:
        raise typer.Exit(1)


def _draw(found: Found, file: Path) -> None:
    from nanoos.draw import hull_svg
    from nanoos.writers.files import write_text

    document = found.document
    assert found.hull is not None  # noqa: S101 - asked before
    formulas = [entry.reduced_formula for entry in document.entries]
    title = f"{document.chemical_system}: {method_names(document)}"
    write_text(file, hull_svg(found.hull, formulas, title))
    err.print(f"The picture is {file}.", markup=False)


def _show(document: ConvexHull) -> None:
    show_table(
        f"{document.chemical_system}: {method_names(document) or 'no result'}",
        [
            "formula",
            "space group",
            "eV/atom",
            "formation (eV/atom)",
            "above hull (meV/atom)",
            "decomposes into",
            "id",
        ],
        [_row(entry) for entry in sorted(document.entries, key=_stable_first)],
    )
    for one in document.missing:
        err.print(f"There is no energy of {one.element} by itself.", style="red", markup=False)
        if one.command:
            out.print(one.command, markup=False)
    for advice in dict.fromkeys(one.advice for one in document.missing):
        err.print(advice, markup=False)
    if not document.missing:
        stable = sum(bool(entry.is_stable) for entry in document.entries)
        err.print(f"[green]{stable} stable[/], {len(document.entries) - stable} unstable")
    show_compared(document)


def _stable_first(entry: HullEntry) -> tuple[float, str]:
    return entry.energy_above_hull_ev_per_atom or 0, entry.reduced_formula


def _row(entry: HullEntry) -> list[object]:
    formation, above = entry.formation_energy_ev_per_atom, entry.energy_above_hull_ev_per_atom
    products = " + ".join(f"{one.share:.3g} {one.reduced_formula}" for one in entry.decomposition)
    return [
        entry.reduced_formula,
        entry.space_group_symbol,
        f"{entry.energy_ev_per_atom:.4f}",
        None if formation is None else f"{formation:.4f}",
        "stable" if entry.is_stable else above and f"{1000 * above:.1f}",
        None if entry.is_stable else products,
        entry.structure_id,
    ]
