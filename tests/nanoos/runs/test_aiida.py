"""AiiDA archives: one that AiiDA wrote (tests/fixtures/runs/make_aiida.py), and broken ones."""

import io
import json
import pickle
import sqlite3
import zipfile
from pathlib import Path

import pytest

from nanoos import plugins
from nanoos.errors import ParseError
from nanoos.parsers import Source
from nanoos.runs import Run, RunFolder, Step
from nanoos.runs.aiida import PROGRAMS, AiidaArchive

ARCHIVE = Path(__file__).parents[2] / "fixtures" / "runs" / "aiida" / "runs.aiida"


def of_bytes(data):
    return RunFolder("old", {"runs.aiida": Source("runs.aiida", data=data)})


def changed(**members):
    """Return the archive with other contents; None leaves a member out."""
    target = io.BytesIO()
    with zipfile.ZipFile(ARCHIVE) as given, zipfile.ZipFile(target, "w") as archive:
        for name in given.namelist():
            key = name.replace(".", "_")
            content = members.get(key, given.read(name))
            if content is not None:
                archive.writestr(name, content)
    return target.getvalue()


def with_sql(script, tmp_path):
    path = tmp_path / "db.sqlite3"
    with zipfile.ZipFile(ARCHIVE) as archive:
        path.write_bytes(archive.read("db.sqlite3"))
    database = sqlite3.connect(path)
    database.executescript(script)
    database.close()
    return changed(db_sqlite3=path.read_bytes())


@pytest.fixture(scope="module")
def runs():
    folder = RunFolder("old", {"runs.aiida": Source("runs.aiida", ARCHIVE)})
    return pickle.loads(pickle.dumps(AiidaArchive().runs(folder)))


def read(run):
    *steps, last = AiidaArchive().read(run)
    assert all(isinstance(step, Step) for step in steps)
    assert isinstance(last, Run)
    return steps, last


def test_calculations_that_a_reader_knows_are_runs(runs):
    assert len(runs) == 2
    steps, run = read(runs[0])
    assert (run.task, run.end, len(steps)) == ("relax", "finished", 4)
    names = [name.rpartition("/")[2] for name in run.files]
    assert names == ["aiida.out", "aiida.in", "data-file-schema.xml", "aiida.json"]
    _, run = read(runs[1])
    assert run.problems == ("electronic_steps_exhausted",)


def test_every_program_has_a_reader():
    assert set(PROGRAMS.values()) <= set(plugins.load("nanoos.runs"))


def test_provenance_is_kept(runs):
    _, run = read(runs[1])
    node = run.extra["aiida"]
    assert run.name == f"old/runs.aiida/{node['uuid']}"
    assert run.host == node["computer"] == "cluster"
    assert (node["process_label"], node["exit_status"]) == ("PwCalculation", 410)
    with zipfile.ZipFile(ARCHIVE) as archive:
        stored = {name.removeprefix("repo/") for name in archive.namelist()}
    assert next(iter(run.files.values())) in stored  # AiiDA knows the file by the same hash


def test_archive_that_lies_in_a_temporary_file_may_go(tmp_path):
    path = tmp_path / "copy"
    path.write_bytes(ARCHIVE.read_bytes())
    source = Source("runs.aiida", path, temporary=True)
    runs = AiidaArchive().runs(RunFolder("old", {"runs.aiida": source}))
    source.discard()
    assert [len(read(run)[0]) for run in runs] == [4, 1]


def test_what_is_no_archive_of_aiida_2_is_refused():
    old = io.BytesIO()
    with zipfile.ZipFile(old, "w") as archive:
        archive.writestr("metadata.json", json.dumps({"export_version": "0.12"}))
        archive.writestr("data.json", "{}")
    missing = changed(db_sqlite3=None)
    for data in (old.getvalue(), missing, b"SIMPLE text"):
        with pytest.raises(ParseError, match="verdi archive migrate"):
            AiidaArchive().runs(of_bytes(data))


def test_cut_or_damaged_anywhere_it_is_told():
    data = ARCHIVE.read_bytes()
    for place in range(0, len(data), 1009):
        broken = data[:place] + bytes(64) + data[place + 64 :]
        for content in (data[:place], broken):
            try:
                for run in AiidaArchive().runs(of_bytes(content)):
                    list(AiidaArchive().read(run))
            except ParseError:
                continue


def test_calculation_without_output_is_told(tmp_path):
    data = with_sql("UPDATE db_dbnode SET repository_metadata = '{}'", tmp_path)
    (run, _) = AiidaArchive().runs(of_bytes(data))
    with pytest.raises(ParseError, match=r"quantumespresso\.pw has no output"):
        list(AiidaArchive().read(run))


@pytest.mark.parametrize(
    "script",
    [
        "ALTER TABLE db_dbnode RENAME TO x; CREATE VIEW db_dbnode AS SELECT * FROM x",
        "DROP TABLE db_dblink",
        'UPDATE db_dbnode SET repository_metadata = \'{"o": {"a": {"k": "../../x"}}}\'',
        "UPDATE db_dbnode SET attributes = '[' WHERE id = 1",
        "UPDATE db_dbnode SET attributes = '[]', uuid = CAST(id AS BLOB)",
    ],
)
def test_hostile_database_does_nothing(script, tmp_path):
    try:
        for run in AiidaArchive().runs(of_bytes(with_sql(script, tmp_path))):
            list(AiidaArchive().read(run))
    except ParseError:
        pass
