"""Energies that are compared: best-known structures, hulls, and equations of state."""

from __future__ import annotations

from uuid import UUID

from pydantic import BaseModel


class MethodUsed(BaseModel):
    """A method whose energies were taken."""

    sha256: str
    name: str


class Compared(BaseModel):
    """Of which methods the energies are that were compared, and what was left out.

    ``mixed`` says what keeps methods apart that were taken together nevertheless.
    """

    methods: list[MethodUsed]
    mixed: list[str]
    n_unconverged: int
    n_of_other_methods: int


class BestKnown(BaseModel):
    """The structure of a material with the lowest energy, of so many results."""

    reduced_formula: str
    space_group_symbol: str | None
    name: str | None
    structure_id: UUID
    result_id: UUID
    energy_ev_per_atom: float
    volume_a3_per_atom: float | None
    method_sha256: str
    results: int


class RefusedMaterial(BaseModel):
    """A material with results that cannot be compared; ``choices`` says by which methods."""

    reduced_formula: str
    space_group_symbol: str | None
    choices: list[str]


class BestKnownStructures(Compared):
    """The best-known structure of each material."""

    materials: list[BestKnown]
    refused: list[RefusedMaterial] = []


class Product(BaseModel):
    """What something decomposes into, and the share of atoms that go there."""

    reduced_formula: str
    structure_id: UUID
    share: float


class HullEntry(BaseModel):
    """One compound; without references there is neither formation energy nor hull."""

    reduced_formula: str
    space_group_symbol: str | None
    name: str | None
    structure_id: UUID
    result_id: UUID
    energy_ev_per_atom: float
    formation_energy_ev_per_atom: float | None = None
    energy_above_hull_ev_per_atom: float | None = None
    is_stable: bool | None = None
    decomposition: list[Product] = []
    method_sha256: str


class MissingReference(BaseModel):
    """An element of which there is no energy: the command that computes it, or what is missing."""

    element: str
    command: str | None
    advice: str


class ConvexHull(Compared):
    """A chemical system: its compounds, and the elements whose energies are missing."""

    chemical_system: str
    entries: list[HullEntry]
    missing: list[MissingReference]


class FittedCurve(BaseModel):
    """A Birch–Murnaghan curve, per atom."""

    volume_a3_per_atom: float
    energy_ev_per_atom: float
    bulk_modulus_gpa: float
    bulk_modulus_derivative: float
    residual_ev_per_atom: float
    is_good: bool


class VolumeSeries(BaseModel):
    """Energies of one crystal structure at several volumes, and their equation of state.

    ``refusal`` says why there is none.
    """

    reduced_formula: str
    protostructure: str
    structure_ids: list[UUID]
    methods: list[MethodUsed]
    volumes_a3_per_atom: list[float]
    energies_ev_per_atom: list[float]
    fit: FittedCurve | None
    refusal: str | None
