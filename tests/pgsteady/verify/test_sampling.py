"""Samples: the same rows each time, every row counted, and what may be missed told."""

from __future__ import annotations

import pytest
from filled import Filled

from pgsteady.verify import Sample
from pgsteady.verify.sampling import confession, missed

EVERYTHING = 0
"""Tables of any size are sampled."""


@pytest.fixture
def sampled(museum: Filled) -> Filled:
    museum.sql("INSERT INTO bookings SELECT n, 'empty' FROM generate_series(1001, 5000) n")
    return museum


def test_unchanged_tables_are_equal(sampled: Filled) -> None:
    before = sampled.take(sample=Sample(10, EVERYTHING))
    assert before.tables["public.bookings"].one_in == 10
    assert before.tables["archive.log"].one_in == 1, "without a key, all is read"
    sampled.sql("VACUUM FULL bookings")
    assert sampled.against(before) == []


@pytest.mark.parametrize(
    ("sql", "code"),
    [
        ("DELETE FROM bookings WHERE id = 3000", "lost-rows"),
        ("UPDATE bookings SET id = 9999 WHERE id = 3000", "replaced-rows"),
        ("UPDATE bookings SET during = NULL WHERE id = 3000", "changed-values"),
        ("UPDATE bookings SET during = '(,)' WHERE id BETWEEN 2000 AND 2300", "changed-values"),
    ],
)
def test_what_no_sample_misses(sampled: Filled, sql: str, code: str) -> None:
    """Rows, keys and NULLs are counted in full; 301 changed rows escape one time in 10¹⁴."""
    before = sampled.take(sample=Sample(10, EVERYTHING))
    sampled.sql("ALTER TABLE bookings DROP CONSTRAINT bookings_apart")
    sampled.sql(sql)
    assert code in {finding.code for finding in sampled.against(before)}


def test_share_of_single_changes_that_are_found_is_as_stated(sampled: Filled) -> None:
    """Of 4,000 changed rows, each by itself, one in ten is in the sample (± five sigma)."""
    sampled.sql("ALTER TABLE bookings DROP CONSTRAINT bookings_apart")
    sampled.sql(
        "CREATE VIEW chosen AS SELECT count(*) AS number FROM bookings WHERE id > 1000 "
        'AND hashtextextended(ROW(id)::text COLLATE "C", 0) % 10 = 0; '
        "GRANT SELECT ON chosen TO orion"
    )
    with sampled.snapshot() as connection:
        found = connection.exec_driver_sql("SELECT number FROM chosen").scalar()
    assert abs(found - 4000 / 10) < 5 * (4000 * 0.1 * 0.9) ** 0.5


def test_what_may_be_missed() -> None:
    assert missed(10, 1) == pytest.approx(0.9)
    assert missed(2, 10) == pytest.approx(1 / 1024)


def test_it_is_said_for_people(sampled: Filled) -> None:
    content = sampled.take(sample=Sample(2, EVERYTHING)).tables["public.orders"]
    assert confession("orders", content) == (
        "orders: every key was read, and the values of one row in 2. If one row in 1,000 (1 of "
        "1,200) had other values, that is missed with a probability of 50%; a single such row "
        "with a probability of 50%."
    )
