"""What PostgreSQL does when it runs the cases of the corpus on a filled database.

A case is **bad** if one of these was seen:

- it failed;
- it read or wrote at least half of a table, or rewrote one, while it held a lock that
  keeps others from reading or writing (or the locks of a twentieth of a table's rows);
- rows, or values of a column, were gone afterwards.

It **breaks** if none was, but ``probe``, a query of code that runs at that moment, no
longer works. Else it is **good**. Tables that the case makes itself do not count: nobody
else can see them.

Run: python tests/pgsteady/lint/observe.py [cases|held_out]

writes ``corpus/cases.json`` and ``corpus/held_out.json``, from PostgreSQL 16 and 18.
"""

from __future__ import annotations

import json
import shutil
import sys
import threading
import tomllib
from collections.abc import Iterable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import count
from pathlib import Path
from typing import Any

import psycopg2
import psycopg2.errors

from pgsteady.server import BUNDLED_MAJORS, Cluster, bundled

CORPUS = Path(__file__).parent / "corpus"
TEMPLATE = "filled"
SCANNED, LOCKED_ROWS = 0.5, 0.05
MOST_PAGES = 10
"""A table of fewer pages is read whole by the catalog's own look-ups; it counts from here on."""

# What others wait for (table of conflicts in PostgreSQL's chapter "Explicit Locking").
BLOCKS = {
    "ShareLock": "writes",
    "ShareRowExclusiveLock": "writes",
    "ExclusiveLock": "writes",
    "AccessExclusiveLock": "reads and writes",
}
SETTINGS = {
    "fsync": "off",
    "full_page_writes": "off",
    "synchronous_commit": "off",
    "autovacuum": "off",
    "shared_buffers": "256MB",
    "timezone": "UTC",
    "max_parallel_workers": "0",  # blocks read by a helper would be counted as its own
}

OWN_BLOCKS, ALL_BLOCKS = "pg_stat_get_xact_blocks_fetched", "pg_stat_get_blocks_fetched"

Evidence = dict[str, Any]


@dataclass(frozen=True)
class Case:
    """One entry of ``cases.toml``."""

    name: str
    sql: str
    after: str | None = None
    earlier: str | None = None
    autocommit: bool = False
    since: int = BUNDLED_MAJORS[0]
    probe: str | None = None


def cases(file: str = "cases") -> list[Case]:
    return [Case(**entry) for entry in tomllib.loads((CORPUS / f"{file}.toml").read_text())["case"]]


def labels(file: str = "cases") -> dict[str, dict[str, Any]]:
    found: dict[str, dict[str, Any]] = json.loads((CORPUS / f"{file}.json").read_text())
    return found


def label(evidence: Evidence) -> str:
    if evidence.keys() & {"fails", "lost", "held_through"}:
        return "bad"
    return "breaks" if "broke" in evidence else "good"


# Tables that were there before the case, with what it may lose. A materialized view can be
# calculated again; nobody writes to it.
TABLES = """
SELECT c.oid, c.oid::regclass::text, c.relkind::text, c.relfilenode, greatest(c.relpages, 1),
    array(SELECT a.attname::text FROM pg_attribute a
          WHERE a.attrelid = c.oid AND a.attnum > 0 AND NOT a.attisdropped ORDER BY a.attnum),
    pg_stat_get_tuples_inserted(c.oid) + pg_stat_get_tuples_updated(c.oid)
        + pg_stat_get_tuples_deleted(c.oid)
FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
WHERE c.relkind IN ('r', 'p', 'm') AND n.nspname !~ '^pg_' AND n.nspname <> 'information_schema'
"""


class Observer:
    """One server with the filled template."""

    def __init__(self, cluster: Cluster) -> None:
        self._cluster = cluster
        self._numbers = count()
        self._creating = threading.Lock()
        with cluster.session() as cursor:
            cursor.execute(f"CREATE DATABASE {TEMPLATE}")
        with cluster.session(TEMPLATE) as cursor:
            cursor.execute("CREATE EXTENSION vector")
            cursor.execute((CORPUS / "schema.sql").read_text())
            cursor.execute((CORPUS / "fill.sql").read_text())
            cursor.execute("VACUUM ANALYZE")
            self._contents = contents(cursor, tables(cursor).values())

    def observe(self, case: Case) -> Evidence:
        """Run the case on a copy of the template and return what was seen."""
        name = f"case_{next(self._numbers)}"
        with self._cluster.session() as cursor, self._creating:
            cursor.execute(f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}")
        try:
            with self._cluster.session(name) as watcher, self._cluster.session(name) as cursor:
                return self._on(case, cursor, watcher)
        finally:
            with self._cluster.session() as cursor:
                cursor.execute(f"DROP DATABASE {name} WITH (FORCE)")

    def _on(self, case: Case, cursor: Any, watcher: Any) -> Evidence:
        for statement in split(case.earlier or ""):
            cursor.execute(statement)
        if "INSERT" in (case.earlier or ""):
            cursor.execute("ANALYZE")  # a table's size is known by that
        before = tables(watcher)
        run = _alone if case.autocommit else _in_a_transaction
        evidence: Evidence = {}
        try:
            evidence |= run(cursor, watcher, split(case.sql), before)
        except psycopg2.Error as error:
            return {"fails": f"{error.pgcode} {str(error).splitlines()[0]}"}
        flush(cursor)
        now = tables(watcher)
        same = {t.name for oid, t in before.items() if now.get(oid) == t}
        held = {key: was for key, was in self._contents.items() if key[0] not in same}
        if lost := losses(held, contents(watcher, [t for t in now.values() if t.name not in same])):
            evidence["lost"] = lost
        if case.probe and not works(watcher, case.probe):
            evidence["broke"] = case.probe
        return evidence


def _in_a_transaction(cursor: Any, watcher: Any, sql: list[str], before: Tables) -> Evidence:
    held: dict[str, dict[str, str]] = {}
    files = {oid: table.file for oid, table in before.items()}
    cursor.execute("BEGIN")
    # The counters of "xact" include what earlier transactions have not reported yet.
    seen = blocks_fetched(cursor, before, OWN_BLOCKS)
    for statement in sql:
        cursor.execute(statement)
        if heavy := heavy_use(cursor, before, seen, files):
            blocked = blocked_tables(watcher, cursor.connection.get_backend_pid(), before)
            if blocked:
                held = {"locks": blocked, "during": heavy}
    cursor.execute("COMMIT")
    return {"held_through": held} if held else {}


def _alone(cursor: Any, watcher: Any, sql: list[str], before: Tables) -> Evidence:
    """Look at the locks again and again while each statement runs by itself."""
    pid = cursor.connection.get_backend_pid()
    blocked: dict[str, str] = {}
    done = threading.Event()

    def watch() -> None:
        while not done.is_set():
            blocked.update(blocked_tables(watcher, pid, before))

    flush(cursor)
    seen = blocks_fetched(watcher, before, ALL_BLOCKS)
    files = {oid: table.file for oid, table in before.items()}
    thread = threading.Thread(target=watch)
    thread.start()
    try:
        for statement in sql:
            cursor.execute(statement)
    finally:
        done.set()
        thread.join()
    flush(cursor)
    heavy = heavy_use(watcher, before, seen, files, ALL_BLOCKS)
    return {"held_through": {"locks": blocked, "during": heavy}} if blocked and heavy else {}


def flush(cursor: Any) -> None:
    """Have the session report what it counted."""
    cursor.execute("SELECT pg_stat_force_next_flush()")
    cursor.execute("SELECT 1")


@dataclass(frozen=True)
class TableState:
    name: str
    kind: str
    file: int
    pages: int = field(compare=False)
    columns: list[str]
    rows_changed: int


Tables = dict[int, TableState]


def tables(cursor: Any) -> Tables:
    cursor.execute("SELECT pg_stat_clear_snapshot()")
    cursor.execute(TABLES)
    return {oid: TableState(*rest) for oid, *rest in cursor.fetchall()}


def blocks_fetched(cursor: Any, before: Tables, function: str) -> dict[int, int]:
    cursor.execute("SELECT pg_stat_clear_snapshot()")
    cursor.execute(f"SELECT oid, {function}(oid) FROM unnest(%s::oid[]) AS oid", (list(before),))
    return dict(cursor.fetchall())


def heavy_use(
    cursor: Any,
    before: Tables,
    seen: dict[int, int],
    files: dict[int, int],
    function: str = OWN_BLOCKS,
) -> dict[str, str]:
    """Return the tables read or rewritten since the last call; ``seen`` and ``files`` move on."""
    now = tables(cursor)
    heavy = {}
    for oid, blocks in blocks_fetched(cursor, before, function).items():
        table = before[oid]
        if table.pages >= MOST_PAGES and blocks - seen[oid] >= SCANNED * table.pages:
            heavy[table.name] = "scan"
        seen[oid] = max(blocks, seen[oid])
        if oid in now and now[oid].file != files[oid] and table.pages > 1:
            heavy[table.name] = "rewrite"
            files[oid] = now[oid].file
    return heavy


def blocked_tables(watcher: Any, pid: int, before: Tables) -> dict[str, str]:
    """Return which of the tables others cannot use now because of ``pid``, and for what."""
    watcher.execute(
        "SELECT relation, mode FROM pg_locks WHERE pid = %s AND granted AND locktype = 'relation'"
        " AND relation = ANY(%s::oid[])",
        (pid, list(before)),
    )
    modes: dict[str, str] = {}
    writers = []
    for oid, mode in watcher.fetchall():
        table = before[oid]
        if mode in BLOCKS and (table.kind != "m" or mode == "AccessExclusiveLock"):
            modes[table.name] = max(modes.get(table.name, mode), mode, key=list(BLOCKS).index)
        elif mode in ("RowExclusiveLock", "RowShareLock") and table.kind == "r":
            writers.append(table)
    found = {name: f"{BLOCKS[mode]} ({mode})" for name, mode in modes.items()}
    for table in writers:
        if table.name not in found and (share := locked_rows(watcher, table.name)) >= LOCKED_ROWS:
            found[table.name] = f"writes to {share:.0%} of the rows"
    return found


def locked_rows(watcher: Any, table: str) -> float:
    """Return the share of the rows that somebody else holds locks of."""
    watcher.execute(
        f"SELECT (SELECT count(*) FROM (SELECT FROM {table} FOR NO KEY UPDATE SKIP LOCKED) AS free)"
        f" / greatest(count(*), 1)::float FROM {table}"
    )
    return 1 - float(watcher.fetchone()[0])


Contents = dict[tuple[str, str], tuple[int, int, str]]


def contents(cursor: Any, chosen: Iterable[TableState]) -> Contents:
    """Return number, distinct number and a hash of the values of each column, and the rows'."""
    found: Contents = {}
    for table in chosen:
        if table.kind != "r":
            continue
        parts = [
            f'count("{column}"), count(DISTINCT hashtextextended("{column}"::text, 0)), '
            f'coalesce(sum(hashtextextended("{column}"::text, 0)), 0)::text'
            for column in table.columns
        ]
        cursor.execute(f"SELECT {', '.join(['count(*)', *parts])} FROM {table.name}")
        rows, *numbers = cursor.fetchone()
        found[table.name, ""] = (rows, rows, "")
        for place, column in enumerate(table.columns):
            found[table.name, column] = tuple(numbers[3 * place : 3 * place + 3])
    return found


def losses(before: Contents, after: Contents) -> list[str]:
    """Return what is gone: it lies under no new name either, or has fewer distinct values."""
    lost = []
    renamed = [now for key, now in after.items() if key not in before]
    for (table, column), was in before.items():
        now = after.get((table, column), (0, 0, ""))
        if was not in renamed and (now[0] < was[0] or now[1] < was[1]):
            lost.append(f"{table}.{column}" if column else f"rows of {table}")
    return lost


def works(cursor: Any, probe: str) -> bool:
    try:
        cursor.execute(probe)
    except psycopg2.Error:
        return False
    return True


def split(sql: str) -> list[str]:
    """Return the statements; a ``;`` between dollar quotes ends none."""
    parts, quoted = [""], False
    for piece in sql.split("$$"):
        if quoted:
            parts[-1] += f"$${piece}$$"
        else:
            first, *rest = piece.split(";")
            parts[-1] += first
            parts += rest
        quoted = not quoted
    return [part.strip() for part in parts if part.strip()]


@contextmanager
def observer(major: int, folder: Path) -> Iterator[Observer]:
    """Start a server of ``major`` in ``folder`` for as long as the block lasts."""
    cluster = Cluster(folder / f"observed-{major}", bundled(major))
    cluster.create()
    cluster.start(SETTINGS)
    try:
        yield Observer(cluster)
    finally:
        cluster.stop()
        shutil.rmtree(cluster.folder)


def observe_all(every: list[Case], folder: Path) -> dict[str, dict[str, Any]]:
    """Return the label and the evidence of every case, from each major version."""
    found: dict[str, dict[str, Any]] = {case.name: {} for case in every}
    for major in BUNDLED_MAJORS:
        chosen = [case for case in every if case.since <= major]
        with observer(major, folder) as server, ThreadPoolExecutor(2) as pool:
            for case, seen in zip(chosen, pool.map(server.observe, chosen), strict=True):
                found[case.name][str(major)] = {"label": label(seen), **seen}
    return found


if __name__ == "__main__":
    sys.path.insert(0, str(Path(__file__).parents[2]))
    from servers import open_folder

    place = open_folder()
    try:
        for name in sys.argv[1:] or ["cases", "held_out"]:
            seen = observe_all(cases(name), place)
            (CORPUS / f"{name}.json").write_text(json.dumps(seen, indent=1) + "\n")
    finally:
        shutil.rmtree(place, ignore_errors=True)
