"""What writers are given: a structure, what its source said, and what is known of it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

from nanoos.structures import Structure


class Field(NamedTuple):
    """One field of a record as a document: its name (with the unit), its kind and what it is."""

    name: str
    kind: str
    description: str


_CELL = "of the conventional cell at 0.1 Å"
FIELDS = (
    Field("id", "text", "Identifier in the database that it comes from"),
    Field("name", "text", "As its source calls it"),
    Field("reduced_formula", "text", "By OPTIMADE: alphabetical, smallest integers"),
    Field("anonymous_formula", "text", "By OPTIMADE: letters for elements, largest number first"),
    Field("hill_formula", "text", "By Hill: carbon, hydrogen, then alphabetical"),
    Field("chemical_system", "text", "Elements in alphabetical order, joined by hyphens"),
    Field("elements", "texts", "In alphabetical order"),
    Field("elements_ratios", "numbers", "Share of each element among the atoms"),
    Field("number_of_elements", "integer", "How many elements"),
    Field("number_of_sites", "integer", "How many sites the cell has"),
    Field("number_of_periodic_dimensions", "integer", "In how many directions it repeats"),
    Field("is_ordered", "boolean", "Every site holds one element, fully"),
    Field("volume_a3", "number", "Volume of the cell, in Å³"),
    Field("density_g_per_cm3", "number", "Mass density, in g/cm³"),
    Field("space_group_number_at_0_01", "integer", "International number, tolerance 0.01 Å"),
    Field("space_group_symbol_at_0_01", "text", "Hermann–Mauguin symbol, tolerance 0.01 Å"),
    Field("space_group_number_at_0_1", "integer", "International number, tolerance 0.1 Å"),
    Field("space_group_symbol_at_0_1", "text", "Hermann–Mauguin symbol, tolerance 0.1 Å"),
    Field("symmetry_engine", "text", "Program and version that found the space groups"),
    Field("cell_a_a", "number", f"Length a {_CELL}, in Å"),
    Field("cell_b_a", "number", f"Length b {_CELL}, in Å"),
    Field("cell_c_a", "number", f"Length c {_CELL}, in Å"),
    Field("cell_alpha_deg", "number", f"Angle α {_CELL}, in degrees"),
    Field("cell_beta_deg", "number", f"Angle β {_CELL}, in degrees"),
    Field("cell_gamma_deg", "number", f"Angle γ {_CELL}, in degrees"),
    Field("protostructure", "text", "Prototype label with Wyckoff letters, and elements"),
    Field("lattice_a", "vectors", "Three lattice vectors, in Å; null without a cell"),
    Field("positions_a", "vectors", "Cartesian position of each site, in Å"),
    Field("species", "species", "By OPTIMADE: kinds of site, with occupancies"),
    Field("species_at_sites", "texts", "Name of the species of each site"),
    Field("dimension_types", "integers", "1 where the lattice vector repeats, else 0"),
    Field("fingerprint", "text", "SHA-256 of the exact content"),
    Field("fingerprint_version", "integer", "Of the rules of the fingerprint"),
    Field("origin", "text", "upload, relaxed or snapshot"),
    Field("parent_id", "text", "What it was relaxed from, or is a snapshot of"),
    Field("source", "text", "Collection it comes from"),
    Field("external_id", "text", "Its identifier there"),
    Field("source_name", "text", "The file's name"),
    Field("source_format", "text", "The file's format"),
    Field("source_sha256", "text", "SHA-256 of the file"),
    Field("licence", "text", "SPDX identifier, or the licence's name"),
    Field("citation", "object", "The publication: authors, title, journal, year …"),
    Field("tags", "texts", "What people filed it under"),
    Field("visibility", "text", "private or public"),
    Field("created_at", "time", "When it was stored, in UTC"),
    Field("updated_at", "time", "When it last changed, in UTC"),
    Field("extra", "object", "Whatever else its source said"),
)
"""The fields of a record as a document, in order; JSON Lines and Parquet have all of them."""


RESULT_FIELDS = (
    Field("id", "text", "Identifier of the result in the database that it comes from"),
    Field("job_id", "text", "That of its job"),
    Field("workflow", "text", "What was done"),
    Field("engine", "text", "What calculated it; of an imported run, the reader of its files"),
    Field("origin", "text", "submitted or imported"),
    Field("project", "text", "What it was for"),
    Field("status", "text", "How the job ended: succeeded, failed, cancelled"),
    Field("error_type", "text", "Kind of the error, where there was one"),
    Field("error", "text", "The error, in words"),
    Field("parameters", "object", "What was asked for; of an imported run, its task and input"),
    Field("engine_parameters", "object", "Those of the engine"),
    Field("input_structure", "object", "What it was calculated from, where that is another one"),
    Field("is_converged", "boolean", "Whether it converged"),
    Field("method", "object", "What decides its numbers"),
    Field("method_sha256", "text", "Of the method as canonical JSON"),
    Field("forces_ev_per_a", "vectors", "Force on each site, in eV/Å"),
    Field("stress_gpa", "vectors", "Stress, in GPa, positive under tension"),
    Field("magnetic_moments_mu_b", "object", "Local moments, in Bohr magnetons"),
    Field("convergence", "object", "How it converged"),
    Field("data", "object", "Further quantities: values, and unit"),
    Field("provenance", "object", "Versions, host, files, times"),
    Field("artifacts", "object", "Files beside it, by their hash"),
    Field("wall_time_s", "number", "Time in the engine, in s"),
    Field("n_cores", "integer", "Cores it ran on"),
    Field("started_at", "time", "When it began, in UTC"),
    Field("finished_at", "time", "When it ended, in UTC"),
    Field("source_name", "text", "Of an imported run: its folder or file"),
    Field("source_sha256", "text", "Of an imported run: over the contents of its outputs"),
    Field("source_place", "integer", "Which of the runs in them it is, from 1"),
    Field("source_is_last", "boolean", "No other run follows it there"),
    Field("created_at", "time", "When it was stored, in UTC"),
)
"""What a record says of a result; whatever else it has is a quantity, a number."""


@dataclass(frozen=True, slots=True)
class Record:
    """A structure on its way out.

    ``extra`` is that of `nanoos.parsers.Parsed`; ``known`` holds values of `FIELDS` by name,
    those that are known: a structure from a file has none. ``result`` is what was calculated for
    it, by the names of `RESULT_FIELDS` and quantities with their unit in the name; its arrays are
    in the order and direction of the structure.
    """

    structure: Structure
    extra: Mapping[str, Any] = field(default_factory=dict)
    known: Mapping[str, Any] = field(default_factory=dict)
    result: Mapping[str, Any] | None = None

    @property
    def citation(self) -> Mapping[str, Any]:
        """The publication that it comes from; empty where none is stated."""
        found = self.extra.get("citation")
        return found if isinstance(found, Mapping) else {}

    @property
    def licence(self) -> str | None:
        """The licence, as its owner or its source stated it."""
        found = self.known.get("licence") or self.extra.get("licence")
        return str(found) if found else None


_FROM_STRUCTURE: Mapping[str, Callable[[Structure], Any]] = {
    "elements": lambda s: list(s.elements),
    "number_of_elements": lambda s: len(s.elements),
    "number_of_sites": lambda s: s.n_sites,
    "number_of_periodic_dimensions": lambda s: s.n_periodic,
    "is_ordered": lambda s: s.is_ordered,
    "volume_a3": lambda s: s.volume_a3,
    "density_g_per_cm3": lambda s: s.density_g_per_cm3,
    "lattice_a": lambda s: None if s.lattice_a is None else s.lattice_a.tolist(),
    "positions_a": lambda s: s.positions_a.tolist(),
    "species": lambda s: [
        {
            "name": one.name,
            "chemical_symbols": list(one.chemical_symbols),
            "concentration": list(one.concentration),
        }
        for one in s.species
    ],
    "species_at_sites": lambda s: list(s.species_at_sites),
    "dimension_types": lambda s: [int(direction) for direction in s.periodic],
}


def document(record: Record) -> dict[str, Any]:
    """Return the record with the names of `FIELDS`; None where nothing is known.

    Times stay times; everything else is what JSON can hold.
    """
    values = dict(record.known)
    for name, derive in _FROM_STRUCTURE.items():
        if values.get(name) is None:
            values[name] = derive(record.structure)
    extra = {key: value for key, value in record.extra.items() if key != "citation"}
    values |= {"citation": dict(record.citation), "licence": record.licence, "extra": extra}
    found = {name: values.get(name) for name, _kind, _description in FIELDS}
    return found if record.result is None else found | {"result": dict(record.result)}
