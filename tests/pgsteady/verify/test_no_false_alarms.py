"""What leaves the content as it is finds nothing: other places, other orders, other servers."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from filled import Filled, Template, run
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from sqlalchemy import Connection
from strange import OF_18, STRANGE

from pgsteady.backup.files import dump, load
from pgsteady.url import parse
from pgsteady.verify import Evidence
from pgsteady.verify.digest import Source, aside, digest

REORDER = """
CREATE TABLE reordered AS TABLE {0}; TRUNCATE {0};
INSERT INTO {0} {1} SELECT * FROM reordered ORDER BY random(); DROP TABLE reordered;
"""

HARMLESS = {
    "nothing": "",
    "vacuum full": "VACUUM FULL",
    "cluster": "CLUSTER orders USING orders_pkey; CLUSTER people USING people_email",
    "reindex": "REINDEX DATABASE {database}",
    "no statistics": "DELETE FROM pg_statistic",
    "new statistics": "ANALYZE",
    "rows in another order": REORDER.format("orders", "")
    + REORDER.format("archive.log", "")
    + REORDER.format("events", "")
    + REORDER.format("bookings", ""),
    "other settings": "ALTER DATABASE {database} SET timezone = 'Asia/Tokyo'; "
    "ALTER DATABASE {database} SET datestyle = 'German'; "
    "ALTER DATABASE {database} SET extra_float_digits = 0; "
    "ALTER DATABASE {database} SET bytea_output = 'escape'; "
    "ALTER DATABASE {database} SET intervalstyle = 'iso_8601'; "
    "ALTER DATABASE {database} SET search_path = archive, public",
    "another partition": "ALTER TABLE events DETACH PARTITION events_2025; "
    "CREATE TABLE events_old PARTITION OF events FOR VALUES FROM ('2025-01-01') TO ('2026-01-01'); "
    "ALTER TABLE events_old OWNER TO orion; INSERT INTO events SELECT * FROM events_2025; "
    "DROP TABLE events_2025",
    "refresh": "REFRESH MATERIALIZED VIEW totals",
    "sequence went on": "SELECT nextval('invoices')",
    "label and column added": "ALTER TYPE mood ADD VALUE 'angry' BEFORE 'calm'; "
    "ALTER TABLE archive.log ADD id bigserial",
}


@pytest.mark.parametrize("kind", HARMLESS)
def test_harmless(
    kind: str, museums: Callable[[int], Template], clone: Callable[[Template], Filled]
) -> None:
    template = museums(18)
    filled = clone(template)
    for statement in HARMLESS[kind].format(database=filled.name).split("; "):
        if statement.strip():
            filled.sql(statement)
    assert filled.examine() == []
    assert filled.against(template.evidence) == []


def test_equal_content_is_equal_on_every_major_version(
    museums: Callable[[int], Template],
) -> None:
    of_16, of_18 = museums(16).evidence, museums(18).evidence
    assert replace(of_16, plans={}) == replace(of_18, plans={})


@pytest.mark.parametrize(("from_", "to"), [(16, 16), (16, 18), (18, 18)])
def test_restored_dump(
    from_: int,
    to: int,
    museums: Callable[[int], Template],
    fresh_database: Callable[..., str],
    tmp_path: Path,
) -> None:
    template = museums(from_)
    restored = fresh_database(to)
    dump(parse(template.filled.url, "the test"), tmp_path / "museum.dump")
    run(restored, "DROP SCHEMA IF EXISTS archive")
    load(parse(restored, "the test"), tmp_path / "museum.dump")
    assert template.filled.examine(restored) == []
    assert template.filled.against(template.evidence, restored) == []


def test_this_project_holds(platforms: Callable[[int], Template]) -> None:
    template = platforms(18)
    assert template.filled.examine() == []
    assert template.evidence.rows["public.structures"] > 10


def test_evidence_is_kept_as_a_document(museums: Callable[[int], Template]) -> None:
    evidence = museums(18).evidence
    assert Evidence.from_json(evidence.as_json()) == evidence


TEXTS = st.none() | st.text(st.characters(exclude_characters="\0", codec="utf-8"), max_size=9)
ROWS = st.lists(TEXTS, min_size=1, max_size=8)


@pytest.fixture
def reading(museum: Filled) -> Iterator[Connection]:
    with museum.snapshot() as connection, aside(connection):
        yield connection


def _doubled(text: str) -> str:
    return text.replace("'", "''")


def _digest(connection: Connection, rows: list[tuple[int, str | None]], *, keyed: bool) -> object:
    """Digest rows of a number and a text."""
    quoted = [
        f"({key}, NULL::text)" if text is None else f"({key}, '{_doubled(text)}'::text)"
        for key, text in rows
    ]
    sql = f"(VALUES {', '.join(quoted)}) AS rows (id, content)"
    source = Source(sql, ("content",), ("id",) if keyed else ("content",), keyed)
    return digest(connection, source)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=ROWS, keyed=st.booleans(), data=st.data())
def test_digest_has_no_order(
    texts: list[str | None], keyed: bool, data: st.DataObject, reading: Connection
) -> None:
    rows = list(enumerate(texts))
    shuffled = data.draw(st.permutations(rows))
    assert _digest(reading, rows, keyed=keyed) == _digest(reading, shuffled, keyed=keyed)


@settings(max_examples=60, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(texts=ROWS, other=TEXTS, keyed=st.booleans(), data=st.data())
def test_digest_shows_another_value(
    texts: list[str | None],
    other: str | None,
    keyed: bool,
    data: st.DataObject,
    reading: Connection,
) -> None:
    rows = list(enumerate(texts))
    place = data.draw(st.sampled_from(range(len(rows))))
    changed = [*rows[:place], (place, other), *rows[place + 1 :]]
    same = _digest(reading, rows, keyed=keyed) == _digest(reading, changed, keyed=keyed)
    assert same == (other == texts[place])


@pytest.mark.parametrize("major", [16, 18])
def test_everything_that_a_schema_may_have(
    major: int, museums: Callable[[int], Template], clone: Callable[[Template], Filled]
) -> None:
    filled = clone(museums(major))
    run(filled.url, STRANGE + (OF_18 if major >= 18 else ""))
    assert filled.examine() == []
    before = filled.take()
    wide = before.tables["O'Hara %s :x.wide"]
    assert (wide.rows, len(wide.columns), wide.columns["c1600"].filled) == (3, 1600, 3)
    filled.sql("VACUUM FULL")
    assert filled.against(before) == []
