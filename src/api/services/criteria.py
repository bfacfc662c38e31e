"""A query's conditions in SQL, each in the form that an index of `structures` serves."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from itertools import combinations
from typing import Any, NamedTuple
from uuid import UUID

from sqlalchemy import (
    ColumnElement,
    Text,
    any_,
    cast,
    false,
    func,
    literal,
    literal_column,
    or_,
    select,
)
from sqlalchemy.dialects.postgresql import ARRAY
from sqlalchemy.ext.asyncio import AsyncSession

from api.models import SimulationJob, SimulationResult, Structure, User
from api.models.simulation_result import ENERGIES
from api.schemas.notation import CRYSTAL_SYSTEMS, Formula, Range, read_formula
from api.schemas.search import Query
from api.services import methods, words
from api.services.ranges import within
from api.services.result_criteria import FINAL, of_a_result

Condition = ColumnElement[bool]

FEW_CITATIONS = 2000
"""Publications that are named one by one."""
RARE = 1000
"""Publications whose structures are hardly more than are fetched all."""
MOST_LISTED = 12
"""Elements whose 2^n - 1 subsystems are looked up one by one; of more, all that have one are."""

RANGES = (
    "number_of_elements",
    "number_of_sites",
    "density_g_per_cm3",
    "volume_a3",
    "cell_a_a",
    "cell_b_a",
    "cell_c_a",
    "cell_alpha_deg",
    "cell_beta_deg",
    "cell_gamma_deg",
    "created_at",
    "updated_at",
)
"""Ranges of the query that are those of a column."""


class Known(NamedTuple):
    """What was looked up for a query, so that the planner knows how much there is of it.

    ``owner`` is the id of the user (None: there is none), ``cited`` the publications that
    have a word, where they are few.
    """

    owner: UUID | None
    cited: dict[str, words.Publications]

    @property
    def is_rare(self) -> bool:
        """Whether one of the words is that of some publications, but few."""
        return any(0 < found.number <= RARE for found in self.cited.values())

    def serves(self, query: Query) -> bool:
        """Say whether an index serves the query: none does if it has frequent words alone."""
        return bool(self.cited) or set(query.given()) != {"words"}


def is_counted_by_index(query: Query) -> bool:
    """Say whether one index alone tells how many are found, and no row is read for it."""
    match list(set(query.given()) - {"symprec_a"}):
        case ["chemical_system"]:
            return "*" not in str(query.chemical_system)
        case ["elements_only" | "chemical_subsystems_of" as name]:
            return len(getattr(query, name)) <= MOST_LISTED
        case ["reduced_formula"]:
            return not any(re.search(r"[*?]", text) for text in query.reduced_formula)
        case ["number_of_periodic_dimensions"]:
            return 3 not in query.number_of_periodic_dimensions
        case [name]:
            return name in _INDEXED
    return False


_INDEXED = {
    *RANGES,
    "anonymous_formula",
    "protostructure",
    "space_group",
    "crystal_system",
    "source",
    "licence",
}
"""Conditions on a column that the index of has who may read the row."""


async def look_up(session: AsyncSession, query: Query) -> Known:
    """Look up the owner, and the publications of each word.

    Raises MixedMethods where energies are asked for, and those of what else is asked for are of
    methods that cannot be compared.
    """
    owner = None
    if query.owner is not None:
        owner = await session.scalar(select(User.id).where(_same_name(query.owner)))
    cited = {}
    for word in words.split(query.words):
        found = await words.look_up(session, word, FEW_CITATIONS + 1)
        if found.number <= FEW_CITATIONS:
            cited[word] = found
    known = Known(owner, cited)
    if ENERGIES & set(query.quantities) and not (query.method or query.mix):
        await methods.comparable(session, await _methods_of(session, query, known))
    return known


async def _methods_of(session: AsyncSession, query: Query, known: Known) -> dict[str, int]:
    """Return the methods of results that meet all but the energies, and of how many each is."""
    others = {name: of for name, of in query.quantities.items() if name not in ENERGIES}
    of_result = query.model_copy(update={"quantities": others})
    of_structure = query.model_copy(update={"quantities": {}, "method": ()})
    rows = await session.execute(
        select(SimulationResult.method_sha256, func.count())
        .select_from(SimulationJob)
        .join(SimulationResult, SimulationResult.simulation_job_id == SimulationJob.id)
        .join(Structure, Structure.id == FINAL)
        .where(
            SimulationResult.is_converged,
            SimulationResult.energy_ev.is_not(None)
            | SimulationResult.energy_ev_per_atom.is_not(None),
            *of_a_result(of_result),
            *condition(of_structure, known=known),
        )
        .group_by(SimulationResult.method_sha256)
    )
    return {row[0]: row[1] for row in rows}


def condition(
    query: Query,
    of: type[Structure] = Structure,
    known: Known | None = None,
    *,
    is_met: bool = False,
) -> list[Condition]:
    """Return what must hold of a row of `structures`, or of its alias ``of``.

    If it ``is_met`` on the way, along an order or in a sample, and not found by an index of this
    query, what is dear to tell is told in another form.
    """
    return [
        *_identities(query, of),
        *_compositions(query, of),
        *_formulas(query, of),
        *_symmetries(query, of),
        *_shapes(query, of),
        *_results(query, of),
        *_words(query, of, known, is_met=is_met),
        *_records(query, of, known),
    ]


def _identities(query: Query, of: type[Structure]) -> Iterator[Condition]:
    if query.ids:
        yield _one_of(of.id, query.ids)
    if query.id_prefix is not None:
        digits = query.id_prefix.replace("-", "").lower()
        yield of.id.between(UUID(digits.ljust(32, "0")), UUID(digits.ljust(32, "f")))
    if query.fingerprint:
        # The unique key begins with the scope: all of them are named, so that it serves.
        scopes = select(cast(User.id, Text)).union_all(select(literal_column("'public'::text")))
        yield of.scope_key == any_(func.array(scopes.scalar_subquery()))
        yield _one_of(of.fingerprint, query.fingerprint)


def _compositions(query: Query, of: type[Structure]) -> Iterator[Condition]:
    if query.elements:
        yield _has(of, query.elements)
    if query.elements_any:
        yield of.elements.op("&&", is_comparison=True)(_texts(query.elements_any))
    if query.elements_none:
        yield ~of.elements.op("&&", is_comparison=True)(_texts(query.elements_none))
    for allowed in (query.elements_only, query.chemical_subsystems_of):
        if allowed:
            yield only(of, allowed)
    if query.chemical_system is not None:
        parts = query.chemical_system.split("-")
        known = [part for part in parts if part != "*"]
        if len(known) == len(parts):
            yield of.chemical_system == query.chemical_system
        else:
            yield of.number_of_elements == len(parts)
            if known:
                yield _has(of, known)


def _has(of: type[Structure], elements: Sequence[str]) -> Condition:
    return of.elements.op("@>", is_comparison=True)(_texts(elements))


def only(of: type[Structure], elements: Sequence[str]) -> Condition:
    """Return that all elements are among these; unknown where the elements are."""
    if len(elements) > MOST_LISTED or any("-" in element for element in elements):
        return of.elements.op("<@", is_comparison=True)(_texts(elements))
    sizes = range(1, len(elements) + 1)
    systems = ["-".join(some) for size in sizes for some in combinations(sorted(elements), size)]
    return _one_of(of.chemical_system, systems)


def _formulas(query: Query, of: type[Structure]) -> Iterator[Condition]:
    if query.reduced_formula:
        wanted = [read_formula(text) for text in query.reduced_formula]
        exact = [text for formula in wanted for text in formula.spelled]
        patterns = [_matches(of, formula) for formula in wanted if not formula.spelled]
        yield or_(*([_one_of(of.reduced_formula, exact)] if exact else []), *patterns)
    if query.anonymous_formula:
        yield _beginnings(of.anonymous_formula, query.anonymous_formula)
    if query.protostructure:
        # A label without elements is followed by them.
        texts = [text if re.search(r"[:*]", text) else f"{text}:*" for text in query.protostructure]
        yield _beginnings(of.protostructure, texts)


def _matches(of: type[Structure], formula: Formula) -> Condition:
    """Return that a reduced formula follows the pattern.

    With several unnamed elements, the anonymous formula fixes all amounts; that the named ones
    have theirs is looked up in the formula. With unknown amounts, the chemical system is known.
    """
    written = {e: "" if n == 1 else r"\d*" if n is None else n for e, n in formula.amounts.items()}
    if None in formula.amounts.values():
        parts = "".join(f"{element}{n}" for element, n in sorted(written.items()))
        return (of.chemical_system == "-".join(sorted(written))) & of.reduced_formula.regexp_match(
            f"^{parts}$"
        )
    found = of.anonymous_formula == formula.anonymous
    if written:
        found &= _has(of, list(written))
    for element, n in written.items():
        found &= of.reduced_formula.regexp_match(f"{element}{n}(?![0-9a-z])")
    return found


def _symmetries(query: Query, of: type[Structure]) -> Iterator[Condition]:
    column = (
        of.space_group_number_at_0_1 if query.symprec_a == 0.1 else of.space_group_number_at_0_01
    )
    if query.space_group:
        yield _one_of(column, query.space_group)
    if query.crystal_system:
        yield or_(*(column.between(*CRYSTAL_SYSTEMS[name]) for name in query.crystal_system))


def _shapes(query: Query, of: type[Structure]) -> Iterator[Condition]:
    for name in RANGES:
        wanted: Range[Any] | None = getattr(query, name)
        if wanted is not None:
            yield from within(getattr(of, name), wanted)
    if query.number_of_periodic_dimensions:
        yield _one_of(of.number_of_periodic_dimensions, query.number_of_periodic_dimensions)
    if query.is_ordered is not None:
        ordered: Any = of.is_ordered
        yield ordered if query.is_ordered else ~ordered


def _results(query: Query, of: type[Structure]) -> Iterator[Condition]:
    """Yield that one result has all quantities in their ranges, and is of one of the methods.

    It must have converged, and belongs to the structure that its run ended with.
    """
    if wanted := list(of_a_result(query)):
        found = (
            select(FINAL)
            .select_from(SimulationJob)
            .join(SimulationResult, SimulationResult.simulation_job_id == SimulationJob.id)
            .where(SimulationResult.is_converged, *wanted)
        )
        yield of.id.in_(found)


def _words(
    query: Query, of: type[Structure], known: Known | None, *, is_met: bool
) -> Iterator[Condition]:
    """Yield, for each word, that the structure's text has it or that of its publication.

    Few publications are named, so that an index serves; of many, the structure's own is
    looked at, for there is soon one that has the word.
    """
    for word in words.split(query.words):
        cited: Condition
        if known is None:
            cited = of.citation_id == any_(func.array(words.publications(word).scalar_subquery()))
        elif word in known.cited:
            cited = of.citation_id == any_(known.cited[word].ids)
        else:
            cited = words.its_publication_has(word, of)
        yield or_(words.a_structure_has(word, of, is_met=is_met), cited)
    if query.contains is not None:
        pattern = f"%{_escaped(query.contains)}%"
        columns = (of.name, of.source_name, of.external_id, of.reduced_formula)
        yield or_(*(column.ilike(pattern) for column in columns))


def _records(query: Query, of: type[Structure], known: Known | None) -> Iterator[Condition]:
    if query.tags:
        yield of.tags.op("@>", is_comparison=True)(_texts(query.tags))
    if query.owner is not None and known is not None:
        yield false() if known.owner is None else of.owner_id == known.owner
    elif query.owner is not None:
        yield of.owner_id == select(User.id).where(_same_name(query.owner)).scalar_subquery()
    if query.visibility is not None:
        yield of.visibility == query.visibility
    for name in ("source", "external_id", "licence"):
        if values := getattr(query, name):
            yield _one_of(getattr(of, name), values)


def _same_name(name: str) -> Condition:
    """Return that a user is called so, in whatever case."""
    return func.lower(User.username) == name.lower()


def _one_of(column: Any, values: Iterable[Any]) -> Condition:
    first, *others = values
    if not others:
        return column == first  # type: ignore[no-any-return]
    listed = literal([first, *others], ARRAY(column.type))
    return column == any_(listed)  # type: ignore[no-any-return]


def _texts(values: Iterable[str]) -> ColumnElement[Any]:
    return literal(list(values), ARRAY(Text))


def _beginnings(column: Any, texts: Iterable[str]) -> Condition:
    """Return that the value is one of ``texts``, or begins with one that ends in ``*``."""
    texts = list(texts)
    exact = [text for text in texts if not text.endswith("*")]
    starts = [
        column.like(_escaped(text.removesuffix("*")) + "%") for text in texts if text.endswith("*")
    ]
    return or_(*([_one_of(column, exact)] if exact else []), *starts)


def _escaped(text: str) -> str:
    """Return ``text`` as a pattern of LIKE that stands for itself."""
    return re.sub(r"([\\%_])", r"\\\1", text)
