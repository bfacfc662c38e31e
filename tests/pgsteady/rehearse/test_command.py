"""The command as it is typed: its reports, its exit codes, and what it leaves when it ends."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator
from html.parser import HTMLParser
from pathlib import Path
from xml.etree import ElementTree

import psutil
import pytest
from foreign_project import ForeignProject
from jobs import ADD, DROP

from toy import Project as Toy

NASTY = "op.execute(\"COMMENT ON TABLE jobs IS '<script>alert(1)</script> | `x` & co'\")"
PATIENCE_S = 30


def typed(project: Toy, *options: str) -> list[str]:
    return [sys.executable, "-m", "pgsteady", "-c", str(project.ini), "rehearse", *options]


def ended(project: Toy, *options: str, **environment: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        typed(project, *options), capture_output=True, text=True, check=False, cwd=project.folder,
        env=os.environ | environment,
    )  # fmt: skip


def run(project: Toy, *options: str, exits: int = 0) -> str:
    done = ended(project, *options)
    assert done.returncode == exits, done.stdout + done.stderr
    return done.stdout


def wait_for(condition: Callable[[], bool]) -> None:
    deadline = time.monotonic() + PATIENCE_S
    while not condition():
        assert time.monotonic() < deadline
        time.sleep(0.05)


@pytest.mark.slow
def test_go(filled: Toy) -> None:
    filled.revision("b", ADD, DROP, down="a")
    said = run(filled)
    assert "ACCESS EXCLUSIVE on public.jobs" in said
    assert "nobody can read or write" in said
    assert "alembic downgrade a" in said
    assert re.search(r"^Go: a -> b", said, re.MULTILINE)


def test_no_go(filled: Toy) -> None:
    filled.revision("b", 'op.execute("SELECT 1 / 0")', down="a")
    said = run(filled, exits=1)
    assert "division by zero" in said
    assert re.search(r"^No-go: a -> b", said, re.MULTILINE)


def test_nothing_pending(filled: Toy) -> None:
    assert "Nothing is pending: a." in run(filled)


@pytest.mark.slow
def test_as_json(filled: Toy) -> None:
    filled.revision("b", ADD, DROP, down="a")
    document = json.loads(run(filled, "b", "--json"))
    assert document["go"] is True
    (step,) = document["upgrade"]["steps"]
    (statement,) = step["statements"]
    assert statement["sql"] == "ALTER TABLE jobs ADD done boolean"
    assert statement["locks"][0]["mode"] == "ACCESS EXCLUSIVE"
    assert statement["live_ms"] >= statement["ms"]


@pytest.mark.slow
def test_wrong_usage(filled: Toy) -> None:
    run(filled, "nowhere", exits=2)
    run(filled, "--backup", "x", "--physical", exits=2)


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--html", "--markdown"])
@pytest.mark.parametrize("file", ["nowhere/report", "."])
def test_a_report_that_cannot_be_written_is_refused_before_the_start(
    filled: Toy, option: str, file: str
) -> None:
    filled.revision("b", ADD, DROP, down="a")
    done = ended(filled, option, file)
    assert done.returncode == 2, done.stdout + done.stderr
    assert "Traceback" not in done.stderr
    assert "folder" in done.stderr
    assert not (filled.folder / "backups").exists()


@pytest.mark.slow
def test_a_full_disk_takes_the_file_and_not_the_report(filled: Toy) -> None:
    filled.revision("b", ADD, DROP, down="a")
    done = ended(filled, "--html", "/dev/full")
    assert done.returncode == 3, done.stdout + done.stderr
    assert "Go: a -> b" in done.stdout
    assert done.stderr.splitlines()[-1] == (
        "Error: /dev/full cannot be written: No space left on device."
    )
    assert "Traceback" not in done.stderr


@pytest.mark.slow
@pytest.mark.parametrize("option", ["--longest-block", "--statement-timeout"])
@pytest.mark.parametrize("limit", ["0", "-5", "nan", "soon", "0.0001", "99999999999"])
def test_a_limit_that_is_none(filled: Toy, option: str, limit: str) -> None:
    done = ended(filled, option, limit)
    assert done.returncode == 2, done.stdout + done.stderr
    assert option in done.stderr


@pytest.mark.slow
def test_many_findings_of_one_kind_are_said_once(filled: Toy) -> None:
    made = 'for n in range(1, 31): op.execute(f"CREATE TABLE t{n} (id integer)")'
    filled.revision("b", made, "pass", down="a")
    said = run(filled, "--html", "r.html", "--markdown", "r.md", exits=1)
    (line,) = [line for line in said.splitlines() if "[downgrade-differs]" in line]
    assert "table t1, table t2, table t3 and 27 more: after the downgrade" in line
    assert "it is there, and was not before" in line
    html, markdown = ((filled.folder / name).read_text() for name in ("r.html", "r.md"))
    for report in (said, html, markdown):
        assert report.count("Mend downgrade") == 1
        assert report.count("table t3 and 27 more") == 1
        assert 0 < report.index("CREATE TABLE t30") < report.index("What lint says")
    document = json.loads(run(filled, "--json", exits=1))
    assert len([f for f in document["findings"] if f["code"] == "downgrade-differs"]) == 30


@pytest.mark.slow
def test_what_stops_the_upgrade_is_said_last(filled: Toy) -> None:
    filled.revision("b", 'op.execute("CREATE INDEX by_cost ON jobs (cost)")',
                    'op.execute("DROP INDEX by_cost")', down="a")  # fmt: skip
    (stops,) = run(filled, "--html", "r.html", "--markdown", "r.md").splitlines()[-1:]
    assert stops.startswith("Lint will stop the upgrade, unless it is accepted: --accept-lint ")
    assert stops in (filled.folder / "r.html").read_text()
    assert "Lint will stop the upgrade" in (filled.folder / "r.md").read_text()


@pytest.mark.slow
def test_the_target_has_one_pair_of_brackets(filled: Toy) -> None:
    assert "[[" not in run(filled, "--help")


def test_a_terminal_that_cannot_show_everything(filled: Toy) -> None:
    upgrade = "op.execute(\"COMMENT ON TABLE jobs IS 'a → b 中'\")"
    filled.revision("b", upgrade, 'op.execute("COMMENT ON TABLE jobs IS NULL")', down="a")
    done = ended(filled, PYTHONIOENCODING="latin-1")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Go: a -> b" in done.stdout
    assert "'a ? b ?'" in done.stdout
    document = json.loads(ended(filled, "--json", PYTHONIOENCODING="latin-1").stdout)
    assert "a → b 中" in document["upgrade"]["steps"][0]["statements"][0]["sql"]


def test_a_terminal_of_ascii(filled: Toy) -> None:
    filled.revision("b", ADD, DROP, down="a")
    done = ended(filled, LC_ALL="C", PYTHONUTF8="0", PYTHONCOERCECLOCALE="0")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "Go: a -> b" in done.stdout


class Page(HTMLParser):
    """What a browser would load or run, and the text that it shows."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.loads = "", set()
        self.feed(text)

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        if tag in {"script", "link", "img", "iframe", "object"}:
            self.loads.add(tag)
        self.loads |= {name for name, _ in attrs if name in {"src", "href", "onclick", "onload"}}

    def handle_data(self, data: str) -> None:
        self.text += data


def test_reports_in_files(filled: Toy) -> None:
    filled.revision("b", f"{NASTY}; {ADD}", f'{DROP}; op.execute("COMMENT ON TABLE jobs IS NULL")',
                    down="a")  # fmt: skip
    page, text = filled.folder / "r.html", filled.folder / "r.md"
    run(filled, "--html", str(page), "--markdown", str(text))
    html = page.read_text()
    shown = Page(html)
    assert "<script>alert(1)</script>" in shown.text
    assert not shown.loads
    picture = ElementTree.fromstring(re.findall(r"<svg.*?</svg>", html, re.DOTALL)[0])
    assert len(list(picture.iter("{http://www.w3.org/2000/svg}g"))) == 2
    markdown = text.read_text()
    (row,) = [line for line in markdown.splitlines() if "COMMENT ON" in line]
    assert len(re.findall(r"(?<!\\)\|", row)) == 7
    assert "`` COMMENT" in row or "``COMMENT" in row
    assert "## Go: a -\\> b" in markdown
    secret = os.environ["DATABASE_URL"].split("@")[0].rpartition(":")[2]
    assert secret not in html + markdown


@pytest.mark.slow
def test_anybodys_project(
    fresh_database: Callable[..., str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PGSTEADY_BACKUPS", str(tmp_path / "backups"))
    monkeypatch.delenv("DATABASE_URL", raising=False)
    lab = ForeignProject("lab", tmp_path / "lab", fresh_database())
    lab.run("alembic", "upgrade", "a1")
    document = json.loads(
        subprocess.run(
            [sys.executable, "-m", "pgsteady", "rehearse", "--json"],
            cwd=lab.folder, capture_output=True, text=True, check=False,
        ).stdout
    )  # fmt: skip
    assert [step["revision"] for step in document["upgrade"]["steps"]] == ["b2", "b1", "c1"]
    assert document["undone"], document["reasons"]
    assert not document["upgrade_again"]["steps"][-1]["failure"]


@pytest.fixture
def rehearsing(filled: Toy) -> Iterator[tuple[subprocess.Popen[bytes], Path]]:
    """The command in the middle of a revision, and the folder of its private server."""
    found = filled.folder / "found"
    tell = f"import os; open({str(found)!r}, 'w').write(os.environ['DATABASE_URL'])"
    filled.revision("b", f'{tell}; op.execute("SELECT pg_sleep(600)")', "pass", down="a")
    with (filled.folder / "said").open("wb") as said:
        process = subprocess.Popen(typed(filled), stdout=said, stderr=said, cwd=filled.folder)
    wait_for(lambda: found.exists() and "host=" in found.read_text())
    folder = Path(re.findall(r"host=([^&]+)", found.read_text())[0].replace("%2F", "/"))
    yield process, folder.parent
    process.kill()
    process.wait()


@pytest.mark.slow
@pytest.mark.parametrize("how", [signal.SIGKILL, signal.SIGINT, signal.SIGTERM])
def test_whatever_ends_it_nothing_is_left(
    rehearsing: tuple[subprocess.Popen[bytes], Path], how: signal.Signals
) -> None:
    process, folder = rehearsing
    assert folder.is_dir()
    (server,) = [p for p in psutil.process_iter() if str(folder) in _command(p, "-D")]
    process.send_signal(how)
    assert process.wait(PATIENCE_S) != 0
    wait_for(lambda: not folder.exists())
    assert not server.is_running() or server.status() == psutil.STATUS_ZOMBIE


def _command(process: psutil.Process, option: str) -> str:
    try:
        line = process.cmdline()
    except (psutil.NoSuchProcess, psutil.AccessDenied):
        return ""
    return line[line.index(option) + 1] if option in line else ""


@pytest.mark.slow
def test_its_server_is_killed(
    rehearsing: tuple[subprocess.Popen[bytes], Path], tmp_path: Path
) -> None:
    process, folder = rehearsing
    for server in [p for p in psutil.process_iter() if str(folder) in _command(p, "-D")]:
        server.kill()
    assert process.wait(PATIENCE_S) == 3
    said = (tmp_path / "said").read_text()
    assert "The connection to PostgreSQL" in said
    assert "Traceback" not in said
    wait_for(lambda: not folder.exists())
