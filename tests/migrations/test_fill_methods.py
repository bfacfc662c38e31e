"""Revisions 007 to 010 on the results of the releases before, which go on writing meanwhile."""

from __future__ import annotations

import io
import json
from collections.abc import Callable
from contextlib import closing
from dataclasses import replace
from pathlib import Path
from typing import Any

import alembic.command
import psycopg2
import pytest
from alembic.config import Config

from nanoos.canonical import sha256 as hash_of
from nanoos.engines.emt import Emt
from nanoos.methods import document, of_document, sha256
from pgsteady import backup
from pgsteady.url import parse

CONFIG = Config(Path(__file__).parents[2] / "alembic.ini", stdout=io.StringIO())
BEFORE = "006_validate_what_structures_are_searched_by"
RELEASE = Path(__file__).parent / "releases" / f"{BEFORE}.dump"
JOB = """
    INSERT INTO simulation_jobs (owner_id, structure_id, origin, parameters_sha256, status,
                                 finished_at)
    SELECT owner_id, structure_id, 'imported', repeat('0', 64), 'succeeded', now()
    FROM simulation_jobs LIMIT 1 RETURNING id
"""
RESULT = """
    INSERT INTO simulation_results (simulation_job_id, method, method_sha256, provenance)
    VALUES (%s, %s, %s, '{}') RETURNING method_sha256
"""
EMT = replace(Emt().method(), code_version="3.22.1")
AS_BEFORE = {
    "code": "ASE EMT",
    "code_version": "3.22.1",
    "potential": f"{EMT.functional}: K. W. Jacobsen, P. Stoltze, J. K. Nørskov",
    "asap_cutoff": False,
}


def test_old_and_new_results_share_a_method(
    fresh_database: Callable[..., str], monkeypatch: pytest.MonkeyPatch
) -> None:
    url = fresh_database()
    monkeypatch.setenv("DATABASE_URL", url)

    def sql(statement: str, *values: Any) -> list[tuple[Any, ...]]:
        with closing(psycopg2.connect(url)) as connection, connection:
            cursor = connection.cursor()
            cursor.execute(statement, values)
            return cursor.fetchall()

    def write(said: dict[str, Any] | None, its_hash: str) -> str:
        ((job,),) = sql(JOB)
        ((stored,),) = sql(RESULT, job, json.dumps(said) if said else None, its_hash)
        return str(stored)

    backup.load(parse(url, "the test"), RELEASE)
    before = dict(sql("SELECT id, method_sha256 FROM simulation_results"))
    write(AS_BEFORE, hash_of(AS_BEFORE))
    write({"mood": None, "é": 'a \\ "b"', "code": "other"}, "1" * 64)
    alembic.command.upgrade(CONFIG, "007_methods")
    assert write(AS_BEFORE, hash_of(AS_BEFORE)) == sha256(EMT)  # of a release before
    assert write(None, sha256(EMT)) == sha256(EMT)  # of this one
    alembic.command.upgrade(CONFIG, "head")
    assert write(AS_BEFORE, hash_of(AS_BEFORE)) == sha256(EMT)
    with pytest.raises(psycopg2.IntegrityError):
        write(None, "2" * 64)

    methods = dict(sql("SELECT sha256, document FROM methods"))
    assert {sha256(of_document(said)) for said in methods.values()} == methods.keys()
    assert methods[sha256(EMT)] == document(EMT)
    used = sql("SELECT method_sha256, count(*) FROM simulation_results GROUP BY 1")
    assert dict(used).keys() == methods.keys()
    assert dict(used)[sha256(EMT)] == 4
    assert [said["functional"] for said in methods.values() if said["code"] == "ASE EMT"] == [
        EMT.functional
    ] * (len(methods) - 1)

    alembic.command.downgrade(CONFIG, BEFORE)
    after = dict(sql("SELECT id, method_sha256 FROM simulation_results"))
    assert before.items() <= after.items()
    assert hash_of(AS_BEFORE) in after.values()
    assert sha256(EMT) in after.values()  # this release's documents are those of its methods
