"""The options that say which structures: those of a `Query`, for every command that takes one."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import wraps
from typing import TYPE_CHECKING, Annotated, Any, NamedTuple, TypeVar, get_type_hints

import typer

if TYPE_CHECKING:
    from api.schemas.search import Query

Command = TypeVar("Command", bound=Callable[..., Any])


class Filter(NamedTuple):
    """A field of the query, its option, how a value is written, and what it means."""

    field: str
    option: str
    value: str
    help: str


COMPOSITION = "Composition"
SYMMETRY = "Symmetry and shape"
RECORD = "Where from, whose, and what is known"

FILTERS: dict[str, tuple[Filter, ...]] = {
    COMPOSITION: (
        Filter("elements", "--elements", "O,Si", "Has all of these."),
        Filter("elements_any", "--any-of", "Fe,Co,Ni", "Has at least one of these elements."),
        Filter("elements_only", "--only", "O,Si,Al", "Has no elements but these."),
        Filter("elements_none", "--none-of", "H,C", "Has none of these elements."),
        Filter("chemical_system", "--system", "Si-O", "Just these elements; * is any one."),
        Filter("chemical_subsystems_of", "--subsystems-of", "Si-O", "This system and its parts."),
        Filter("reduced_formula", "--formula", "SiO2", "*TiO3: any element; Fe?O4: any amount."),
        Filter("anonymous_formula", "--anonymous", "AB2", "AB*: begins with AB."),
        Filter("number_of_elements", "--n-elements", "2:3", "How many elements."),
        Filter("number_of_sites", "--n-sites", ":20", "How many sites in the cell."),
    ),
    SYMMETRY: (
        Filter("space_group", "--space-group", "Fm-3m", "Numbers, 195:230, or symbols."),
        Filter("crystal_system", "--crystal-system", "cubic", "Triclinic … cubic."),
        Filter("symprec_a", "--symprec", "0.01", "Tolerance of both: 0.1 Å if not given."),
        Filter("protostructure", "--protostructure", "A2B_tP6*", "Label, or its beginning."),
        Filter("density_g_per_cm3", "--density", "3.1:3.4", "In g/cm³."),
        Filter("volume_a3", "--volume", "100:", "Of the cell, in Å³."),
        Filter("cell_a_a", "--a", "5.4:5.5", "Conventional cell, in Å."),
        Filter("cell_b_a", "--b", "5.4:5.5", "Conventional cell, in Å."),
        Filter("cell_c_a", "--c", "5.4:5.5", "Conventional cell, in Å."),
        Filter("cell_alpha_deg", "--alpha", "90", "Conventional cell, in degrees."),
        Filter("cell_beta_deg", "--beta", "90:100", "Conventional cell, in degrees."),
        Filter("cell_gamma_deg", "--gamma", "120", "Conventional cell, in degrees."),
        Filter(
            "number_of_periodic_dimensions", "--periodic", "2", "Or molecule, wire, slab, crystal."
        ),
    ),
    RECORD: (
        Filter("words", "--text", "WORDS", "In name, file, collection, publication; quar*."),
        Filter("contains", "--contains", "TEXT", "Within name, file or formula; reads all rows."),
        Filter("method", "--method", "ID", "A result, that of --result, is of this method."),
        Filter("tags", "--tag", "TAG", "Has this tag; may be repeated."),
        Filter("source", "--source", "AMCSD", "Collection it came from."),
        Filter("external_id", "--external-id", "ID", "Identifier in its collection."),
        Filter("licence", "--with-licence", "CC0-1.0", "Its licence."),
        Filter("owner", "--owner", "NAME", "User name of its owner."),
        Filter("visibility", "--visibility", "public", "Or private."),
        Filter("created_at", "--created", "2026-01-01:", "When it came in, UTC."),
        Filter("updated_at", "--updated", ":2026-06-30", "When it last changed, UTC."),
        Filter("fingerprint", "--fingerprint", "SHA256", "Exactly this content."),
        Filter("id_prefix", "--id", "0199a3", "Beginning of the id."),
    ),
}
"""Every option of one value, by the panel of --help that it stands in."""

Ordered = Annotated[
    bool | None,
    typer.Option(
        "--ordered/--disordered",
        help="Every site holds one element, fully; or not.",
        rich_help_panel=SYMMETRY,
        show_default=False,
    ),
]
Mix = Annotated[
    bool | None,
    typer.Option(
        "--mix",
        help="Energies in --result may be of methods that cannot be compared.",
        rich_help_panel=RECORD,
        show_default=False,
    ),
]
Quantities = Annotated[
    list[str] | None,
    typer.Option(
        "--result",
        metavar="NAME=RANGE",
        help="A result has it so: bulk_modulus_gpa=100:200.",
        rich_help_panel=RECORD,
    ),
]


def with_filters(command: Command) -> Command:
    """Give ``command``, which takes a `Query` as its argument ``query``, the options of one.

    Use it below ``@app.command()``. A value that cannot be read is WrongUsage with its option.
    """

    @wraps(command)
    def with_query(**arguments: Any) -> Any:
        given = {name: arguments.pop(name) for name in _parameters()}
        return command(query=read_query(given), **arguments)

    hints = get_type_hints(command, localns={"Query": object}, include_extras=True)
    own = [
        parameter.replace(kind=inspect.Parameter.KEYWORD_ONLY, annotation=hints[name])
        for name, parameter in inspect.signature(command).parameters.items()
        if name != "query"
    ]
    with_query.__signature__ = inspect.Signature([*own, *_parameters().values()])  # type: ignore[attr-defined]
    with_query.__annotations__ = {p.name: p.annotation for p in [*own, *_parameters().values()]}
    return with_query  # type: ignore[return-value]


def _parameters() -> dict[str, inspect.Parameter]:
    types: dict[str, Any] = {}
    for panel, filters in FILTERS.items():
        for field, option, value, help_ in filters:
            option_ = typer.Option(option, metavar=value, help=help_, rich_help_panel=panel)
            several = field in {"tags", "external_id", "licence", "source"}
            types[field] = Annotated[list[str] | None if several else str | None, option_]
    types |= {"is_ordered": Ordered, "quantities": Quantities, "mix": Mix}
    return {
        name: inspect.Parameter(
            name, inspect.Parameter.KEYWORD_ONLY, default=None, annotation=annotation
        )
        for name, annotation in types.items()
    }


def read_query(given: dict[str, Any]) -> Query:
    """Return the query that these options say; None is not given. Raises WrongUsage."""
    from pydantic import ValidationError

    from api.errors import WrongUsage
    from api.schemas.refusal import refusal
    from api.schemas.search import Query

    said = {name: value for name, value in given.items() if value is not None}
    if "quantities" in said:
        said["quantities"] = dict(_quantity(text) for text in said["quantities"])
    try:
        return Query(**said)
    except ValidationError as error:
        first = error.errors()[0]
        field = str(first["loc"][0])
        filter_ = _FILTERS.get(field)
        option = filter_.option if filter_ else "--result"
        example = filter_.value if filter_ else "bulk_modulus_gpa=100:200"
        written = _written(given[field])
        cause = refusal(f"{option} {written}", written, first)
        raise WrongUsage(f"{cause} For example: {option} {example}") from None


_FILTERS = {filter_.field: filter_ for filters in FILTERS.values() for filter_ in filters}


def _written(value: Any) -> str:
    return ",".join(map(str, value)) if isinstance(value, list) else str(value)


def _quantity(text: str) -> tuple[str, str]:
    """Split NAME=RANGE."""
    from api.errors import WrongUsage

    name, separator, range_ = text.partition("=")
    if not (name and separator and range_):
        raise WrongUsage(f"--result {text}: write NAME=RANGE, such as bulk_modulus_gpa=100:200.")
    return name.strip(), range_
