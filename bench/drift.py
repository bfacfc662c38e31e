"""Claim: `check` finds every single change to a live schema; `alembic check` misses most.

Each change of tests/pgsteady/check/mutations.py is made to a filled database that has just
been upgraded: this project's, and a foreign one's with what ours lacks (enums, views,
functions, triggers, policies, partitions). Ours, and Alembic's comparison in its default and
in its best configuration (types, server defaults, all schemas, checks by name), look at the
same database in the same transaction. A change is found if the comparison says anything that
it did not say before it; what it says before is a false alarm.

What it does not show: the changes are ours, and Alembic was not made for most of what models
do not describe. The second table therefore counts only tables, columns, constraints and
indexes, and of those only changes to what models can say.

Run: python bench/drift.py [MAJOR]
"""

from __future__ import annotations

import logging
import os
import statistics
import sys
import tempfile
import time
import warnings
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alembic.command
from alembic.autogenerate import compare_metadata
from alembic.config import Config
from alembic.runtime.migration import MigrationContext

ROOT = Path(__file__).parents[1]
sys.path[:0] = [str(ROOT / "tests" / part) for part in ("", "pgsteady", "pgsteady/check")]

from foreign_project import ForeignProject  # noqa: E402
from live_schema import Live, live_schema  # noqa: E402
from mutations import FILL_PLATFORM, FILL_SHOP, PLATFORM, SHOP, Mutation  # noqa: E402

import servers  # noqa: E402
from pgsteady.drift import check  # noqa: E402
from pgsteady.project import Project  # noqa: E402
from pgsteady.scope import UNSPOKEN  # noqa: E402

DEFAULT: dict[str, Any] = {}
BEST: dict[str, Any] = {
    "compare_type": True,
    "compare_server_default": True,
    "include_schemas": True,
    "autogenerate_plugins": ["alembic.autogenerate.*", "alembic.ext.checkconstraint_byname"],
}
MODELLED = ("table", "column", "constraint", "index")
CHECKS = 11


def said_by_check(live: Live) -> set[str]:
    """What `check` says of the database as it is."""
    found = [*live.against_revisions(), *live.against_models()]
    return {f"{finding.code} {finding.object} {finding.live}" for finding in found}


def said_by_alembic(options: dict[str, Any]) -> Callable[[Live], set[str]]:
    """What Alembic's comparison says, with these arguments of `context.configure`."""

    def said(live: Live) -> set[str]:
        context = MigrationContext.configure(live.connection, opts=dict(options))
        return {repr(diff) for diff in compare_metadata(context, live.project.metadata[0])}

    return said


METHODS = {
    "check": said_by_check,
    "alembic check, default": said_by_alembic(DEFAULT),
    "alembic check, best": said_by_alembic(BEST),
}


def models_can_say(mutation: Mutation) -> bool:
    """Tell whether the change is to something that models describe."""
    kind = mutation.object.split()[0]
    fact = mutation.code.removeprefix(f"{kind}-").replace("-", " ")
    return kind in MODELLED and fact not in UNSPOKEN and mutation.object != "table child"


def find(live: Live, mutation: Mutation, said: Callable[[Live], set[str]], before: set[str]) -> str:
    """Return found, missed or crashed."""
    with live.changed(mutation.sql):
        try:
            return "found" if _addresses_apart(said(live)) != before else "missed"
        except Exception:  # noqa: BLE001 - whatever stops the peer is a result
            return "crashed"


def _addresses_apart(said: set[str]) -> set[str]:
    return {" ".join(w for w in text.split() if "0x" not in w) for text in said}


def lives(server: servers.ExternalServer, folder: Path) -> list[tuple[Live, dict[str, Mutation]]]:
    """Make both databases, upgraded and filled."""
    ours, theirs = (server.url(server.create()) for _ in range(2))
    os.environ["DATABASE_URL"] = ours
    alembic.command.upgrade(Config(ROOT / "alembic.ini"), "head")
    shop = ForeignProject("shop", folder, theirs)
    shop.run("alembic", "upgrade", "head")
    sys.path.insert(0, str(folder))
    return [
        (live_schema(server, ROOT / "alembic.ini", ours, FILL_PLATFORM), PLATFORM),
        (
            live_schema(server, shop.ini, theirs, FILL_SHOP),
            {f"shop: {name}": mutation for name, mutation in SHOP.items()},
        ),
    ]


def main(major: int) -> None:
    """Print who found how many, and how long `check` takes."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    server = servers._start(major)
    results: dict[str, dict[str, str]] = {name: {} for name in METHODS}
    alarms = dict.fromkeys(METHODS, 0)
    modelled: set[str] = set()
    try:
        with tempfile.TemporaryDirectory() as folder:
            for live, mutations in lives(server, Path(folder)):
                for method, said in METHODS.items():
                    with live.changed("SELECT 1"):
                        before = _addresses_apart(said(live))
                    alarms[method] += len(before)
                    for name, mutation in mutations.items():
                        results[method][name] = find(live, mutation, said, before)
                modelled |= {name for name, m in mutations.items() if models_can_say(m)}
            times = [timed(Project.load(ROOT / "alembic.ini")) for _ in range(CHECKS)]
    finally:
        server.cluster.stop()
    print(f"PostgreSQL {major}, {len(results['check'])} single changes")
    report(results, set(results["check"]), alarms)
    print(f"\nof these, {len(modelled)} to what models describe")
    report(results, modelled, alarms)
    print(f"\ncheck on our schema: median {statistics.median(times):.2f} s of {CHECKS}")


def report(results: dict[str, dict[str, str]], names: set[str], alarms: dict[str, int]) -> None:
    """Print a line for each method, and what ours found for each that it found."""
    ours = sum(results["check"][name] == "found" for name in names)
    for method, outcomes in results.items():
        count = {o: sum(outcomes[n] == o for n in names) for o in ("found", "missed", "crashed")}
        print(
            f"{method:24s} found {count['found']:3d}  missed {count['missed']:3d}  crashed "
            f"{count['crashed']:2d}  false alarms {alarms[method]:2d}  "
            f"check finds {ours / count['found']:.2f} times as many"
        )


def timed(project: Project) -> float:
    """Return how many seconds a whole check takes."""
    start = time.perf_counter()
    check(project)
    return time.perf_counter() - start


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else servers.NEWEST)
