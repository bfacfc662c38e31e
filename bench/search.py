"""Figures: searches of a million structures, each kind of filter by itself.

A database of its own, on the embedded server with the settings everybody has, is filled with
synthetic structures as wide as real ones; half are the searcher's, half of all are public. For
each kind of filter, values are drawn from the structures themselves, so most find few and some
find many: each is asked for its first page, with its count, and for a page behind 50,000 rows
(the thousandth of 50 rows) or, where it finds fewer, behind half of what it finds. Timed is
what the caller waits for: the service with its session, statements and documents.

Beside it, in the same run and on the same rows: the list as it was before, objects with their
materials ordered by formula, its page found by OFFSET, and its count by count(*).

What it does not show: a server with a disk slower than its memory, and several callers at once.

Run: python bench/search.py [ROWS]
"""

# ruff: noqa: ARG005 - what is drawn from a structure may not depend on it
from __future__ import annotations

import asyncio
import os
import random
import shutil
import sys
import tempfile
import time
from collections.abc import Awaitable, Callable
from contextlib import closing
from pathlib import Path
from statistics import quantiles
from typing import Any

import alembic.command
import psycopg2
from alembic.config import Config
from sqlalchemy import func, select
from sqlalchemy.ext.asyncio import AsyncSession
from sqlalchemy.orm import contains_eager

ROOT = Path(__file__).parents[1]
sys.path.insert(0, str(ROOT / "tests"))

from api import embedded  # noqa: E402
from api.db import connect, database_url  # noqa: E402
from api.models import Material, Structure, User  # noqa: E402
from api.schemas.search import Page, Query, Sort  # noqa: E402
from api.services import scope, search  # noqa: E402
from api.services.cursor import Cursor  # noqa: E402
from api.services.order import in_order  # noqa: E402
from population import VIEWER, populate  # noqa: E402

ROWS, PAGE, DEEP, DRAWN = 1_000_000, 50, 50_000, 40

Draw = Callable[[Structure, random.Random], dict[str, Any]]


def around(name: str, share: float) -> Draw:
    """A range about the value, of a tenth to ``share`` of it."""

    def draw(row: Structure, chance: random.Random) -> dict[str, Any]:
        value = getattr(row, name) or 90.0
        width = value * share * chance.uniform(0.1, 1)
        return {name: (value - width, value + width)}

    return draw


KINDS: dict[str, Draw] = {
    "everything": lambda row, chance: {},
    "elements": lambda row, chance: {"elements": row.elements[:2]},
    "any of": lambda row, chance: {"elements_any": row.elements},
    "only": lambda row, chance: {"elements_only": [*row.elements, "O", "Si", "H"]},
    "none of": lambda row, chance: {"elements_none": row.elements},
    "chemical system": lambda row, chance: {"chemical_system": row.chemical_system},
    "its subsystems": lambda row, chance: {"chemical_subsystems_of": row.elements},
    "formula": lambda row, chance: {"reduced_formula": row.reduced_formula},
    "formula, any element": lambda row, chance: {
        "reduced_formula": row.reduced_formula.replace(chance.choice(row.elements), "*")
    },
    "anonymous formula": lambda row, chance: {"anonymous_formula": row.anonymous_formula},
    "protostructure": lambda row, chance: {
        "protostructure": row.protostructure[: chance.randint(6, 40)].rstrip("*") + "*"
    },
    "number of elements": lambda row, chance: {"number_of_elements": row.number_of_elements},
    "number of sites": lambda row, chance: {"number_of_sites": row.number_of_sites},
    "space group": lambda row, chance: {"space_group": row.space_group_number_at_0_1},
    "space group, strict": lambda row, chance: {
        "space_group": row.space_group_number_at_0_01,
        "symprec_a": 0.01,
    },
    "crystal system": lambda row, chance: {
        "crystal_system": chance.choice(["cubic", "hexagonal", "monoclinic", "triclinic"])
    },
    "density": around("density_g_per_cm3", 0.2),
    "volume": around("volume_a3", 0.2),
    "a": around("cell_a_a", 0.1),
    "c": around("cell_c_a", 0.1),
    "beta": around("cell_beta_deg", 0.05),
    "periodicity": lambda row, chance: {"number_of_periodic_dimensions": chance.randint(0, 3)},
    "disorder": lambda row, chance: {"is_ordered": chance.random() < 0.5},
    "results": lambda row, chance: {
        "quantities": {"bulk_modulus_gpa": (low := chance.uniform(0, 450), low + 20)}
    },
    "words": lambda row, chance: {
        "words": chance.choice([row.name or "rare", f"word{int(20_000 * chance.random() ** 3)}"])
    },
    "tags": lambda row, chance: {"tags": row.tags or ["set3"]},
    "owner": lambda row, chance: {"owner": chance.choice([VIEWER, "stranger"])},
    "visibility": lambda row, chance: {"visibility": row.visibility},
    "source": lambda row, chance: {"source": row.source or "rare"},
    "external id": lambda row, chance: {"external_id": row.external_id},
    "licence": lambda row, chance: {"licence": row.licence or "CC-BY-4.0"},
    "fingerprint": lambda row, chance: {"fingerprint": row.fingerprint},
    "id": lambda row, chance: {"id_prefix": str(row.id)[: chance.randint(8, 36)]},
    "created": lambda row, chance: {"created_at": (row.created_at, None)},
}
SORTS = (Sort(), Sort("density_g_per_cm3", descending=True), Sort("reduced_formula"))


def p95(seconds: list[float]) -> float:
    """In ms."""
    return 1e3 * (quantiles(seconds, n=20)[-1] if len(seconds) > 1 else seconds[0])


def p50(seconds: list[float]) -> float:
    """In ms."""
    return 1e3 * sorted(seconds)[len(seconds) // 2]


async def timed(work: Callable[[], Awaitable[Any]]) -> tuple[float, Any]:
    """Return how long it took, in s, and what it returned."""
    start = time.perf_counter()
    answer = await work()
    return time.perf_counter() - start, answer


async def behind(session: AsyncSession, query: Query, sort: Sort, page: Page, rows: int) -> str:
    """Return the cursor behind so many rows."""
    keys = {"id": Structure.id, sort.column: getattr(Structure, sort.column)}
    found = await session.execute(
        select(*keys.values())
        .where(*search.condition(query))
        .order_by(*in_order(sort, Structure))
        .offset(rows - 1)
        .limit(1)
    )
    start = Cursor.start(query, sort, page.count, is_exact=page.is_exact)
    return str(start.behind(found.one()))


async def kind(session: AsyncSession, draw: Draw, drawn: list[Structure]) -> dict[str, Any]:
    """Return the times of first and deep pages, and how many structures were found."""
    chance = random.Random(0)
    first, deep, found = [], [], []
    for number, row in enumerate(drawn):
        query, sort = Query(**draw(row, chance)), SORTS[number % len(SORTS)]
        seconds, page = await timed(
            lambda q=query, s=sort: search.find(session, q, sort=s, limit=PAGE)
        )
        first.append(seconds)
        found.append(page.count)
        if page.after and len(deep) < DRAWN // 2:
            after = await behind(session, query, sort, page, min(DEEP, page.count // 2))
            seconds, _ = await timed(
                lambda q=query, s=sort, a=after: search.find(
                    session, q, sort=s, after=a, limit=PAGE
                )
            )
            deep.append(seconds)
    return {"first": first, "deep": deep, "found": sorted(found)}


async def peer(session: AsyncSession) -> dict[str, list[float]]:
    """Return the times of the list as it was: objects with materials, OFFSET, count(*)."""

    async def page(offset: int) -> None:
        await session.scalars(
            select(Structure)
            .join(Structure.material)
            .options(contains_eager(Structure.material))
            .order_by(Material.reduced_formula, Structure.id)
            .offset(offset)
            .limit(PAGE)
        )
        session.expunge_all()

    async def first() -> None:
        await session.scalar(select(func.count()).select_from(Structure))
        await page(0)

    return {
        "first": [(await timed(first))[0] for _ in range(3)],
        "deep": [(await timed(lambda: page(DEEP)))[0] for _ in range(3)],
    }


async def measure() -> None:
    """Print the table of all kinds, and the ratio to the peer."""
    async with connect() as sessions, sessions() as session:
        viewer = (await session.scalars(select(User).where(User.username == VIEWER))).one()
        scope.read_as(session, viewer)
        drawn = list(
            await session.scalars(
                select(Structure)
                .where(Structure.number_of_periodic_dimensions == 3)
                .order_by(func.md5(Structure.fingerprint))
                .limit(DRAWN)
            )
        )
        print(f"{'':22s} {'found (median, most)':>24s}   first p50   p95    deep p50   p95   ms")
        worst = {"first": 0.0, "deep": 0.0}
        everything: dict[str, list[float]] = {}
        for name, draw in KINDS.items():
            await kind(session, draw, drawn[:3])  # what is read for the first time comes from disk
            times = await kind(session, draw, drawn)
            counts = times["found"]
            line = f"{name:22s} {counts[len(counts) // 2]:>12,} {counts[-1]:>11,}"
            for which in ("first", "deep"):
                seconds = times[which]
                if seconds:
                    line += f"   {p50(seconds):8.1f} {p95(seconds):6.1f}"
                    worst[which] = max(worst[which], p95(seconds))
            print(line, flush=True)
            everything = everything or times
        print(f"worst p95: first page {worst['first']:.1f} ms, deep page {worst['deep']:.1f} ms")
        before = await peer(session)
        for which in ("first", "deep"):
            ours, theirs = p50(everything[which]), p50(before[which])
            print(
                f"{which} page of everything: ours {ours:.1f} ms, objects with OFFSET and count(*)"
                f" {theirs:.1f} ms: {theirs / ours:.0f} times"
            )


def main(rows: int) -> None:
    """Make the database, measure, remove it."""
    home = Path(tempfile.mkdtemp(prefix="nano-os-bench-"))
    home.chmod(0o711)
    os.environ["NANO_OS_HOME"] = str(home)
    os.environ.pop("DATABASE_URL", None)
    try:
        alembic.command.upgrade(Config(ROOT / "alembic.ini"), "head")
        start = time.perf_counter()
        with closing(psycopg2.connect(database_url().libpq())) as connection:
            connection.autocommit = True
            populate(connection.cursor(), rows, wide=True)
        print(f"{rows:,} structures made in {time.perf_counter() - start:.0f} s")
        asyncio.run(measure())
    finally:
        embedded.stop(home)
        shutil.rmtree(home, ignore_errors=True)


if __name__ == "__main__":
    main(int(sys.argv[1].replace("_", "")) if len(sys.argv) > 1 else ROWS)
