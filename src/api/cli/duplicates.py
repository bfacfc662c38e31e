"""``nano-os structures duplicates`` and ``sources``: what is there more than once, and where."""

from __future__ import annotations

from typing import TYPE_CHECKING, Annotated, Any
from uuid import UUID

import typer

from api.cli.database import in_transaction, transaction, with_database
from api.cli.filters import with_filters
from api.cli.output import Json, err, out, print_json, progress, show_table

if TYPE_CHECKING:
    from rich.progress import Progress, TaskID

    from api.db import Sessions
    from api.schemas.duplicates import Group, Groups, Member, NearDuplicates, Pair
    from api.schemas.search import Query
    from api.services.comparing import Bucket
    from api.services.duplicates import Page
    from api.services.near_duplicates import Size
    from nanoos.processes import Pool

TIERS = ("file", "exact", "protostructure", "near")
HEADINGS = {"reduced_formula": "formula", "source_name": "file"}
PATIENCE_S = 3600.0
"""For how long the structures of one formula may be compared without a pair being found."""


@with_filters
def duplicates(
    query: Query,
    tier: Annotated[
        str | None,
        typer.Option(
            metavar="|".join(TIERS), help="In which sense; without it, how many there are."
        ),
    ] = None,
    limit: Annotated[
        int | None, typer.Option(min=1, max=10_000, help="Groups on a page: 20 if not given.")
    ] = None,
    page: Annotated[
        int | None, typer.Option(min=1, help="Which page: the first if not given.")
    ] = None,
    members: Annotated[
        int | None, typer.Option(min=1, help="Members shown of each group: 10 if not given.")
    ] = None,
    link: Annotated[
        bool, typer.Option("--link", help="Store the pairs of tier near as similarities.")
    ] = False,
    workers: Annotated[
        int | None, typer.Option(min=1, help="Processes that compare; without it, one a core.")
    ] = None,
    json: Json = False,
) -> None:
    """Show what is there more than once, the largest groups first; nothing is merged.

    file: one content under several names. exact: one structure at several places
    of files, or both private and public. protostructure: the same arrangement of
    the same elements. near: all sites within 0.3 Å, at a strain of 3 % at most;
    this is computed, formula by formula. Filters choose what is looked at.
    """
    from api.errors import WrongUsage
    from api.schemas.duplicates import Tier
    from api.services.duplicates import Page, groups
    from nanoos.processes import cores

    if tier not in {None, *TIERS}:
        raise WrongUsage(f"--tier {tier}: there are {', '.join(TIERS)}.")
    if link and tier != Tier.NEAR:
        raise WrongUsage("--link: only the pairs of --tier near can be linked.")
    if workers and tier != Tier.NEAR:
        raise WrongUsage("--workers: only --tier near is computed.")
    paging = {"--limit": limit, "--page": page, "--members": members}
    if tier is None and (given := [option for option, n in paging.items() if n is not None]):
        raise WrongUsage(f"{given[0]}: say of which --tier: {', '.join(TIERS)}.")
    default = Page()
    wanted = Page(limit or default.groups, page or default.number, members or default.members)
    if tier is None:
        _summarise(query, json=json)
    elif tier == Tier.NEAR:
        found = find_near(query, wanted, link=link, workers=workers or cores())
        _show_near(found, wanted, json=json)
    else:
        known = Tier(tier)
        found_ = in_transaction(lambda session, _: groups(session, query, known, wanted))
        _show(found_, wanted, json=json)


def _summarise(query: Query, *, json: bool) -> None:
    from api.schemas.duplicates import Tier, TierCount
    from api.services.duplicates import Page, groups

    tiers = (Tier.FILE, Tier.EXACT, Tier.PROTOSTRUCTURE)
    one = Page(groups=1, members=1)
    found = [
        in_transaction(lambda session, _, tier=tier: groups(session, query, tier, one))  # type: ignore[misc]
        for tier in tiers
    ]
    counts = [
        TierCount(
            tier=each.tier, count=each.count, largest=each.groups[0].size if each.count else 0
        )
        for each in found
    ]
    if json:
        print_json({"tiers": [one.model_dump(mode="json") for one in counts]})
        return
    rows = [(one.tier, one.count, one.largest) for one in counts]
    show_table(None, ["tier", "groups", "largest"], rows)
    err.print("Show them with --tier; --tier near is computed when it is asked for.")


def _show(found: Groups, page: Page, *, json: bool) -> None:
    if json:
        print_json(found.model_dump(mode="json", exclude_none=True))
        return
    for group in found.groups:
        _show_group(group)
    shown = len(found.groups)
    err.print(f"[green]{found.count} group{'' if found.count == 1 else 's'}[/], {shown} shown")
    if shown and (page.number - 1) * page.groups + shown < found.count:
        err.print(f"More: --page {page.number + 1}")


def _show_group(group: Group) -> None:
    out.print(f"[bold]{group.size} ×[/] ", end="")
    out.print(group.key, markup=False)
    columns = _columns(group.members)
    show_table(
        None,
        [HEADINGS.get(column, column) for column in columns],
        [[getattr(member, column) for column in columns] for member in group.members],
    )
    if group.size > len(group.members):
        err.print(f"and {group.size - len(group.members)} more; --members shows more of each")


def _columns(members: list[Member]) -> list[str]:
    """Return what is known of any of them."""
    names: dict[str, Any] = type(members[0]).model_fields
    return [name for name in names if any(getattr(one, name) is not None for one in members)]


def find_near(query: Query, page: Page, *, link: bool, workers: int) -> NearDuplicates:
    """Compare the structures that the query finds in ``workers`` processes, with a progress bar.

    With ``link`` the pairs are stored, those of each formula as soon as they are known.
    """
    from api.schemas.duplicates import NearDuplicates, Tier
    from api.services import near_duplicates

    found = NearDuplicates(tier=Tier.NEAR, count=0, groups=[])

    async def work(sessions: Sessions) -> None:
        await _Comparison(sessions, query, found, link=link).run(workers)
        groups = near_duplicates.grouped(found.pairs)
        begin = (page.number - 1) * page.groups
        found.count = len(groups)
        async with transaction(sessions) as (session, _):
            found.groups = await near_duplicates.described(
                session, groups[begin : begin + page.groups], page.members
            )

    with_database(work)
    return found


class _Comparison:
    def __init__(
        self, sessions: Sessions, query: Query, found: NearDuplicates, *, link: bool
    ) -> None:
        self._sessions = sessions
        self._query = query
        self._found = found
        self._links = link

    async def run(self, workers: int) -> None:
        from api.services.comparing import COMPARE
        from api.services.near_duplicates import sizes
        from nanoos.processes import Limits, Pool, at_once

        async with transaction(self._sessions) as (session, _):
            formulas = await sizes(session, self._query)
        self._found.compared = sum(size.structures for size in formulas)
        with progress() as bar:
            task = bar.add_task("Comparing", total=self._found.compared)
            limits = Limits(silence_s=PATIENCE_S)
            async with Pool["Bucket"](COMPARE, workers, limits) as pool:
                await at_once(self._feed(pool, formulas), self._collect(pool, bar, task))

    async def _feed(self, pool: Pool[Bucket], formulas: list[Size]) -> None:
        from api.services.near_duplicates import MOST, bucket

        for formula, n_structures in formulas:
            if n_structures > MOST:
                self._give_up(formula, n_structures, f"More than {MOST}: choose by filters.")
                continue
            async with transaction(self._sessions) as (session, _):
                some = await bucket(session, self._query, formula)
            weight = sum(structure.positions_a.nbytes for structure in some.structures)
            await pool.put(some, weight)
        await pool.finish()

    async def _collect(self, pool: Pool[Bucket], bar: Progress, task: TaskID) -> None:
        async for answer in pool.answers():
            bucket = answer.item
            if answer.results:
                await self._take(answer.results)
            if answer.failure is not None:
                self._give_up(bucket.reduced_formula, len(bucket.ids), answer.failure.message)
            if answer.is_end:
                bar.advance(task, len(bucket.ids))

    async def _take(self, pairs: list[Pair]) -> None:
        from api.services import near_duplicates

        self._found.pairs += pairs
        if self._links:
            async with transaction(self._sessions) as (session, _):
                self._found.linked += await near_duplicates.link(session, pairs)

    def _give_up(self, formula: str, n_structures: int, reason: str) -> None:
        from api.schemas.duplicates import NotCompared

        given_up = NotCompared(reduced_formula=formula, structures=n_structures, reason=reason)
        self._found.not_compared.append(given_up)


def _show_near(found: NearDuplicates, page: Page, *, json: bool) -> None:
    _show(found, page, json=json)
    if not json:
        err.print(
            f"{len(found.pairs)} pairs among {found.compared} structures that have others of "
            f"their formula{f', {found.linked} linked' if found.linked else ''}"
        )
        for one in found.not_compared:
            err.print(f"  {one.reduced_formula}, {one.structures} structures: {one.reason}",
                      markup=False)  # fmt: skip
    if found.not_compared:
        raise typer.Exit(1)


def sources(id_: Annotated[UUID, typer.Argument(metavar="ID")], json: Json = False) -> None:
    """Show every place in a file where a structure was found."""
    from api.services import duplicates as service
    from api.services import structures

    async def work(session: Any, _: Any) -> Any:
        await structures.get(session, [id_])
        return await service.sources(session, id_)

    rows = [row.model_dump(mode="json") for row in in_transaction(work)]
    if json:
        print_json({"sources": rows})
        return
    show_table(
        None, ["file", "place", "format", "sha256", "found"], [list(row.values()) for row in rows]
    )
