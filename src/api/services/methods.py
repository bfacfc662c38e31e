"""Methods: stored once, shown, and asked whether energies of several may be combined.

Every query that compares or combines energies of different results asks `comparable` first.
"""

from __future__ import annotations

import re
from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict
from typing import Any, NamedTuple

from sqlalchemy import ColumnElement, Text, any_, func, literal, select
from sqlalchemy.dialects.postgresql import ARRAY, insert
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import MixedMethods, NotFound, WrongUsage
from api.models import Method as Row
from api.models import SimulationJob, SimulationResult, Structure
from api.schemas.method import MethodComparison, MethodDetail, MethodDifference, MethodSummary
from nanoos.canonical import sha256
from nanoos.methods import (
    Method,
    comparable_groups,
    differences,
    document,
    level,
    of_document,
)

SHORT = 12
"""Characters of a hash by which people call a method."""
SAID = 3
"""Groups of methods of which it is said why they do not go with the first."""
CHOICES = 5
"""Methods that a refusal offers at most."""


async def store_(session: AsyncSession, methods: Iterable[Method]) -> list[str]:
    """Store the methods that are not there yet; return the hash of each, in the order given.

    Others may store the same ones at the same time; all of a transaction's are best stored by
    one call. Raises MethodError for what no document can hold.
    """
    hashes, documents = [], {}
    for method in methods:
        found = document(method)
        hashes.append(sha256(found))
        documents[hashes[-1]] = found
    known = await session.scalars(select(Row.sha256).where(is_one_of(Row.sha256, documents)))
    missing = documents.keys() - set(known)
    rows = [{"sha256": hash_, "document": documents[hash_]} for hash_ in sorted(missing)]
    if rows:  # in one order, so that two who store the same do not wait for each other in a ring
        await session.execute(insert(Row).on_conflict_do_nothing(), rows)
    return hashes


async def of(session: AsyncSession, hashes: Iterable[str]) -> dict[str, Method]:
    """Return the methods of these hashes. Raises NotFound where there is none of a hash."""
    wanted = set(hashes)
    rows = await session.scalars(select(Row).where(is_one_of(Row.sha256, wanted)))
    found = {row.sha256: of_document(row.document) for row in rows}
    if missing := wanted - found.keys():
        raise NotFound(f"No method {min(missing)}.")
    return found


class Together(NamedTuple):
    """Methods whose energies are wanted together.

    ``groups`` are hashes: within each of them energies may be combined, and a method that goes
    with several groups is in each. One group is what one hopes for. ``mixed`` says in words what
    keeps the groups apart.
    """

    methods: Mapping[str, Method]
    groups: Sequence[Sequence[str]]
    mixed: Sequence[str]


async def comparable(
    session: AsyncSession,
    hashes: Mapping[str, int] | Sequence[str],
    *,
    first: str | None = None,
    mix: bool = False,
) -> Together:
    """Return the groups of methods within which energies may be compared and combined.

    ``hashes`` are those of the results, however often each, or how often; those of the most
    results come first, but before them ``first``, where it is given, even if no result has it.
    Raises MixedMethods, with the choices, if there is more than one group and ``mix`` does not
    allow it.
    """
    counts = Counter(hashes)
    order = sorted(counts, key=lambda hash_: (-counts[hash_], hash_))
    if first is not None:
        order = [first, *(hash_ for hash_ in order if hash_ != first)]
    known = await of(session, order)
    groups = grouped(known, order)
    mixed = _what_is_mixed(known, groups)
    if mixed and not mix:
        raise MixedMethods(
            f"These results are of {len(groups)} methods whose energies cannot be combined "
            f"({mixed[0]}). Choose one with --method, or allow it with --mix:\n"
            + "\n".join(f"  {choice}" for choice in choices(known, groups, counts))
        )
    return Together(known, groups, mixed)


def grouped(known: Mapping[str, Method], order: Sequence[str]) -> list[list[str]]:
    """Return these methods in groups within which energies may be combined, in this order."""
    places = comparable_groups([known[hash_] for hash_ in order])
    return [[order[place] for place in group] for group in places]


def choices(
    known: Mapping[str, Method], groups: Sequence[Sequence[str]], counts: Mapping[str, int]
) -> list[str]:
    """Return a line for each group that ``--method`` may choose, with the number of results."""
    lines = [
        f"{group[0][:SHORT]} {name(known[group[0]])}, results: {sum(counts[h] for h in group)}"
        for group in groups[:CHOICES]
    ]
    more = len(groups) - len(lines)
    return [*lines, f"and {more} more: see nano-os methods list"] if more > 0 else lines


def _what_is_mixed(known: Mapping[str, Method], groups: Sequence[Sequence[str]]) -> list[str]:
    """Return what keeps groups apart from the first, of `SAID` of them in words."""
    said = []
    for group in groups[1 : SAID + 1]:
        other = next(hash_ for hash_ in group if hash_ not in groups[0])
        one, broken = next(
            (one, broken)
            for one in groups[0]
            if (broken := [d for d in differences(known[one], known[other]) if d.breaks != "exact"])
        )
        said.append(f"{one[:SHORT]} and {other[:SHORT]}: {', '.join(map(str, broken))}")
    more = len(groups) - 1 - len(said)
    return [*said, f"and {more} more"] if more > 0 else said


def _has_result() -> ColumnElement[bool]:
    """Return that a method has a result in view; what others calculate with is theirs to tell."""
    used = select(SimulationResult.id).join(SimulationResult.simulation_job)
    return used.where(SimulationResult.method_sha256 == Row.sha256).exists()


async def list_(session: AsyncSession) -> list[MethodSummary]:
    """Return the methods of results in view, group by group, those of the most results first."""
    mine = select(Row).where(_has_result()).order_by(Row.created_at, Row.sha256)
    rows = list(await session.scalars(mine))
    summaries = await _summaries(session, rows)
    summaries.sort(key=lambda summary: -summary.results)
    known = {row.sha256: of_document(row.document) for row in rows}
    groups = grouped(known, [one.sha256 for one in summaries])
    for one in summaries:
        one.groups = [place for place, group in enumerate(groups, 1) if one.sha256 in group]
    return sorted(summaries, key=lambda summary: summary.groups)


async def _summaries(session: AsyncSession, rows: Sequence[Row]) -> list[MethodSummary]:
    """Return methods with the number of their results in view, and the elements of these."""
    each = SimulationResult.method_sha256
    in_view = (
        select(each, func.count().label("results"), Structure.chemical_system)
        .join(SimulationResult.simulation_job)
        .outerjoin(SimulationJob.structure)
        .where(is_one_of(each, [row.sha256 for row in rows]))
        .group_by(each, Structure.chemical_system)
    )
    results: dict[str, int] = defaultdict(int)
    elements: dict[str, set[str]] = defaultdict(set)
    for hash_, number, system in await session.execute(in_view):
        results[hash_] += number
        elements[hash_].update((system or "").split("-"))
    return [
        MethodSummary(
            sha256=row.sha256,
            name=name(of_document(row.document)),
            code=row.document["code"],
            functional=row.document.get("functional"),
            k_spacing_per_a=row.document.get("k_spacing_per_a"),
            results=results[row.sha256],
            elements=sorted(elements[row.sha256] - {""}),
            created_at=row.created_at,
        )
        for row in rows
    ]


def name(method: Method) -> str:
    """Return a method in a few words: ``VASP PBE+U D3(BJ), 520 eV``."""
    physics = (method.functional or "functional not said") + ("+U" if method.hubbard_ev else "")
    words = [method.code, physics, method.dispersion, "with spin-orbit" * bool(method.spin_orbit)]
    cutoff = f", {method.cutoff_ev:g} eV" if method.cutoff_ev else ""
    return " ".join(filter(None, words)) + cutoff


async def show(session: AsyncSession, id_: str) -> MethodDetail:
    """Return one method, by its hash or the beginning of it; raises NotFound or WrongUsage."""
    row = await find(session, id_)
    (summary,) = await _summaries(session, [row])
    return MethodDetail.model_validate(summary.model_dump() | {"document": row.document})


async def diff(session: AsyncSession, one: str, other: str) -> MethodComparison:
    """Return what two methods share and how they differ; hashes as for `show`."""
    a, b = await find(session, one), await find(session, other)
    methods = of_document(a.document), of_document(b.document)
    return MethodComparison(
        one=a.sha256,
        other=b.sha256,
        level=level(*methods),
        differences=[MethodDifference(**asdict(each)) for each in differences(*methods)],
    )


def begins(beginning: str) -> ColumnElement[bool]:
    """Return that a result is of a method whose hash begins so (lower case); an index serves it."""
    return _begins(SimulationResult.method_sha256, beginning)


def _begins(column: Any, beginning: str) -> ColumnElement[bool]:
    found: ColumnElement[bool] = column.between(beginning, beginning + "g")  # after every digit
    return found


def is_one_of(column: Any, hashes: Iterable[str]) -> ColumnElement[bool]:
    """Return that it is one of any number of hashes, which are one parameter."""
    found: ColumnElement[bool] = column == any_(literal(list(hashes), ARRAY(Text)))
    return found


async def find(session: AsyncSession, id_: str) -> Row:
    """Return the one method of results in view whose hash begins so.

    Raises NotFound, or WrongUsage for several.
    """
    beginning = id_.lower()
    if not re.fullmatch(r"[0-9a-f]{1,64}", beginning):
        raise WrongUsage(f"{id_!r} is no hash of a method, nor the beginning of one.")
    named = select(Row).where(_begins(Row.sha256, beginning), _has_result())
    found = list(await session.scalars(named.limit(2)))
    if not found:
        raise NotFound(f"No result of yours is of a method {id_}: see nano-os methods list.")
    if len(found) > 1:
        raise WrongUsage(f"Several methods begin with {id_}: give more of the hash.")
    return found[0]
