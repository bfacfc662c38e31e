"""``nano-os results best`` and ``eos``, and what all commands have that compare energies."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated
from uuid import UUID

import typer

from api.cli.database import in_transaction
from api.cli.output import Json, err, number, print_json, show_table

if TYPE_CHECKING:
    from api.schemas.energies import Compared, VolumeSeries

MethodOption = Annotated[
    str | None,
    typer.Option("--method", metavar="ID", help="With what is comparable to this method only."),
]
Mix = Annotated[
    bool, typer.Option("--mix", help="Take methods together that cannot be compared, and say so.")
]


def best(
    system: Annotated[
        str | None, typer.Argument(metavar="[CHEMSYS]", help="Within it: Al-Cu, and Al and Cu.")
    ] = None,
    method: MethodOption = None,
    mix: Mix = False,
    json: Json = False,
) -> None:
    """Show the best-known structure of each material: that of the lowest converged energy.

    A material is a formula in one space group. Energies are those of methods
    that may be compared.
    """
    from api.schemas.search import Query
    from api.services import energies

    query = Query.model_validate({"chemical_subsystems_of": elements_of(system)} if system else {})
    found = in_transaction(
        lambda session, _: energies.best_known(session, query, method=method, mix=mix)
    )
    if json:
        print_json(found.model_dump(mode="json"))
        return
    show_table(
        method_names(found) or None,
        ["formula", "space group", "eV/atom", "Å³/atom", "results", "name", "id"],
        [
            (
                one.reduced_formula,
                one.space_group_symbol,
                f"{one.energy_ev_per_atom:.4f}",
                one.volume_a3_per_atom and f"{one.volume_a3_per_atom:.3f}",
                one.results,
                one.name,
                one.structure_id,
            )
            for one in found.materials
        ],
    )
    show_compared(found)
    for refused in found.refused:
        material = f"{refused.reduced_formula} {refused.space_group_symbol or ''}".rstrip()
        err.print(
            f"{material}: results that cannot be compared; choose with --method", markup=False
        )
        for choice in refused.choices:
            err.print(f"  {choice}", markup=False)


def eos(
    structure: Annotated[
        UUID | None,
        typer.Argument(metavar="[STRUCTURE]", help="Of this one, at whatever volume; or of all."),
    ] = None,
    method: MethodOption = None,
    plot: Annotated[
        Path | None, typer.Option(metavar="FILE.svg", help="Draw the one series found there.")
    ] = None,
    json: Json = False,
) -> None:
    """Fit equations of state to results of one structure at several volumes.

    A series are converged results of one protostructure at five volumes or
    more, by methods that may be compared, such as those of imported runs.
    """
    from api.services import volume_series

    found = in_transaction(
        lambda session, _: volume_series.fitted(session, structure, method=method)
    )
    if plot is not None:
        _draw(found, plot)
    if json:
        print_json({"series": [one.model_dump(mode="json") for one in found]})
        return
    show_table(
        None,
        [
            "protostructure",
            "method",
            "volumes",
            "V0 (Å³/atom)",
            "B0 (GPa)",
            "B0'",
            "off (meV/atom)",
        ],
        [_series_row(one) for one in found],
    )
    for one in found:
        if one.refusal:
            err.print(f"{one.protostructure}: {one.refusal}", markup=False)
    if not found:
        err.print("There is no structure with results at five volumes or more by one method.")


def _series_row(one: VolumeSeries) -> list[object]:
    names = " / ".join(dict.fromkeys(method.name for method in one.methods))
    row: list[object] = [one.protostructure, names, len(one.volumes_a3_per_atom)]
    if one.fit is None:
        return [*row, None, None, None, None]
    return [
        *row,
        f"{one.fit.volume_a3_per_atom:.3f}",
        f"{one.fit.bulk_modulus_gpa:.1f}",
        f"{one.fit.bulk_modulus_derivative:.2f}",
        f"{1000 * one.fit.residual_ev_per_atom:.2f}",
    ]


def _draw(found: list[VolumeSeries], file: Path) -> None:
    """Draw the only series that has a fit; raises WrongUsage where there is not one."""
    from api.errors import WrongUsage
    from nanoos.draw import equation_of_state_svg
    from nanoos.writers.files import write_text

    fits = [one for one in found if one.fit is not None]
    if len(fits) != 1 or (fit := fits[0].fit) is None:
        raise WrongUsage(
            f"--plot draws one series; {len(fits)} are fitted. Choose by structure or --method."
        )
    data = {
        "n_atoms": 1,
        "volume": {"values": fits[0].volumes_a3_per_atom},
        "energy": {"values": fits[0].energies_ev_per_atom},
        "fit": {
            "energy_ev": fit.energy_ev_per_atom,
            "volume_a3": fit.volume_a3_per_atom,
            "bulk_modulus_gpa": fit.bulk_modulus_gpa,
            "bulk_modulus_derivative": fit.bulk_modulus_derivative,
        },
    }
    title = f"{fits[0].reduced_formula}: {fits[0].methods[0].name}"
    write_text(file, equation_of_state_svg(data, title))
    err.print(f"The picture is {file}.", markup=False)


def elements_of(system: str) -> tuple[str, ...]:
    """Return the elements of a chemical system; raises WrongUsage."""
    from api.errors import WrongUsage
    from api.schemas import notation

    try:
        elements = notation.elements(system)
    except ValueError as error:
        end = "" if str(error).endswith("?") else "."
        raise WrongUsage(f"{error}{end} Write a chemical system as Al-Cu.") from error
    if not elements:
        raise WrongUsage("Write a chemical system as Al-Cu.")
    return elements


def show_compared(found: Compared) -> None:
    """Say what was taken together and what was left out."""
    for reason in found.mixed:
        err.print(f"Mixed, so the numbers mean little: {reason}.", style="yellow", markup=False)
    if found.n_unconverged:
        err.print(f"{number(found.n_unconverged, 'result')} not converged: left out.")
    if found.n_of_other_methods:
        err.print(f"{number(found.n_of_other_methods, 'result')} of other methods: left out.")


def method_names(found: Compared) -> str:
    """Return the methods in a few words, each once."""
    return " / ".join(dict.fromkeys(one.name for one in found.methods))
