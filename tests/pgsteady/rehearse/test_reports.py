"""The reports say what they are given, whatever that is, and it stays text."""

from __future__ import annotations

import re
from datetime import UTC, datetime
from html.parser import HTMLParser
from xml.etree import ElementTree

from hypothesis import given
from hypothesis import strategies as st

from pgsteady.finding import Finding, Severity
from pgsteady.rehearse import Rehearsal, wording
from pgsteady.rehearse.running import Run, Step
from pgsteady.rehearse.timeline import SHOWN, timeline
from pgsteady.rehearse.trace import Lock, Statement

SAID = st.text(
    st.one_of(st.sampled_from("<>&|`*_[]()#\\\"'\n$"), st.characters(exclude_categories=["C"])),
    min_size=1,
).filter(str.strip)
TAGS = {
    "html", "head", "meta", "title", "style", "body", "h1", "h2", "h3", "p", "code", "table", "tr",
    "td", "th", "b", "br", "span", "i", "pre", "ul", "li",
    "svg", "g", "line", "rect", "text",
}  # fmt: skip


def rehearsal(said: str) -> Rehearsal:
    """Return a rehearsal in which everything that comes from the project says ``said``."""
    lock = Lock(said, "ACCESS EXCLUSIVE", 12)
    statement = Statement(said, said, 0, 5, locks=[lock], rewritten=[said], error=said)
    step = Step(said, said, 0, 6, [statement], said)
    finding = Finding(
        severity=Severity.ERROR, code="code", object=said, message=said, cure=said, sql=said
    )
    return Rehearsal(
        database=said,
        from_revisions=(said,),
        to_revisions=(said,),
        change_sha256="0" * 64,
        began_at=datetime.now(UTC),
        copy=said,
        forth=Run(is_upgrade=True, steps=[step]),
        findings=[finding],
        lint=[finding],
        lost=[said],
        way_back=[said],
    )


class Page(HTMLParser):
    """A page's tags, and its text."""

    def __init__(self, text: str) -> None:
        super().__init__()
        self.text, self.tags = "", set[str]()
        self.feed(text)
        self.close()

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        assert not {name for name, _ in attrs} & {"src", "href", "onclick"}
        self.tags.add(tag)

    def handle_data(self, data: str) -> None:
        self.text += data


@given(SAID)
def test_a_page_shows_it_and_nothing_else(said: str) -> None:
    html = rehearsal(said).html()
    page = Page(html)
    assert said.strip() in page.text
    assert page.tags <= TAGS


@given(SAID)
def test_the_picture_is_a_picture(said: str) -> None:
    run = rehearsal(said).forth
    assert run is not None
    titles = ElementTree.fromstring(timeline(run)).iter("{http://www.w3.org/2000/svg}title")
    assert [title.text for title in titles] == [
        f"{wording.short(said)}; {wording.lock(run.steps[0].statements[0].locks[0])}"
    ]


def test_the_picture_is_of_what_takes_longest() -> None:
    short = [Statement(f"SELECT {n}", "", 100 + n, 1) for n in range(SHOWN)]
    step = Step("a", "", 0, 0, [Statement("SELECT pg_sleep(0.05)", "", 0, 50), *short])
    assert "pg_sleep" in timeline(Run(is_upgrade=True, steps=[step]))


def test_one_row_is_one() -> None:
    said = [wording.effects(Statement("", "", 0, rows=rows)) for rows in (1, 2000)]
    assert said == [["1 row"], ["2,000 rows"]]


@given(SAID)
def test_a_merge_request_keeps_its_table(said: str) -> None:
    lines = rehearsal(said).markdown().splitlines()
    start = next(n for n, line in enumerate(lines) if line.startswith("|---"))
    assert len(re.findall(r"(?<!\\)(?:\\\\)*\|", lines[start + 1])) == 7
    assert not lines[start + 2]


def test_times_as_people_say_them() -> None:
    said = [wording.duration(ms) for ms in (0.4, 12.3, 1500, 125_000, 7_260_000)]
    assert said == ["< 1 ms", "12 ms", "1.5 s", "2 min 5 s", "2 h 1 min"]
