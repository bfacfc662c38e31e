"""A rehearsal's report as one page: no script, no font, nothing from elsewhere."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from html import escape
from typing import TYPE_CHECKING

from pgsteady.finding import Finding
from pgsteady.rehearse import wording
from pgsteady.rehearse.gathering import gathered
from pgsteady.rehearse.running import Run, Step
from pgsteady.rehearse.sizes import readable
from pgsteady.rehearse.timeline import LEGEND, colour, timeline

if TYPE_CHECKING:
    from pgsteady.rehearse.report import Rehearsal

_STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #1f2933; background: #fff;
  max-width: 72rem; margin: 2rem auto; padding: 0 1rem; }
h1 { font-size: 1.5rem; padding: .8rem 1rem; border-radius: .4rem; color: #fff; }
h1.go { background: #2f7d4f; } h1.no-go { background: #b3261e; }
h2 { font-size: 1.15rem; margin-top: 2rem; border-bottom: 1px solid #d5dbe1; }
h3 { font-size: 1rem; margin-bottom: .3rem; }
table { border-collapse: collapse; width: 100%; }
th { text-align: left; font-weight: 600; color: #52606d; white-space: nowrap; }
th, td { padding: .3rem .6rem; border-bottom: 1px solid #e4e7eb; vertical-align: top; }
.number { text-align: right; white-space: nowrap; }
code, pre { font: 13px/1.45 ui-monospace, monospace; }
pre { white-space: pre-wrap; overflow-wrap: anywhere; margin: 0; }
b.error, b.warning, b.info { white-space: nowrap; }
.error { color: #b3261e; } .warning { color: #9a5b00; } .info { color: #2b5f8f; }
.quiet { color: #52606d; } .legend span { margin-right: 1.2rem; white-space: nowrap; }
.swatch { display: inline-block; width: .8rem; height: .8rem; border-radius: .15rem; }
svg { width: 100%; height: auto; }
"""


def html(rehearsal: Rehearsal) -> str:
    """Return the report as a page; whatever comes from the project is escaped."""
    title = escape(wording.verdict(rehearsal))
    return (
        '<!DOCTYPE html>\n<html lang="en"><head><meta charset="utf-8">'
        '<meta name="viewport" content="width=device-width, initial-scale=1">'
        f"<title>{title}</title><style>{_STYLE}</style></head><body>\n"
        + "\n".join(_parts(rehearsal))
        + "\n</body></html>\n"
    )


def _parts(rehearsal: Rehearsal) -> Iterator[str]:
    state = "go" if rehearsal.go else "no-go"
    yield f'<h1 class="{state}">{escape(wording.verdict(rehearsal))}</h1>'
    yield (
        f"<p>Rehearsed at {rehearsal.began_at:%Y-%m-%d %H:%M %Z} for "
        f"<code>{escape(rehearsal.database)}</code>, on {escape(rehearsal.copy)}. "
        f"It took {wording.duration(rehearsal.seconds * 1000)}.</p>"
    )
    yield from _findings("Found", rehearsal.findings)
    if rehearsal.forth:
        yield from _picture(rehearsal.forth)
    for step in rehearsal.steps:
        yield from _step(rehearsal, step)
    yield from _findings("What lint says, which is no part of the verdict", rehearsal.lint)
    if stops := wording.lint_stops(rehearsal):
        yield f'<p class="warning">{escape(stops)}.</p>'
    yield from _sizes(rehearsal)
    yield "<h2>The way back</h2>"
    yield _list(f"<code>{escape(way)}</code>" for way in rehearsal.way_back)
    if rehearsal.lost:
        yield "<p>What undoing loses:</p>" + _list(map(escape, rehearsal.lost))
    for run, what in ((rehearsal.back, "undone"), (rehearsal.again, "applied again")):
        if run:
            failed = f", and {run.failed.revision} failed" if run.failed else ""
            yield (
                f'<p class="quiet">On the copy the revisions were {what} in '
                f"{wording.duration(run.ms)}{escape(failed)}.</p>"
            )
    yield "<h2>Where the times come from</h2>"
    yield _list(map(escape, [*rehearsal.basis.words, wording.CAVEATS]))
    yield f'<p class="quiet">Change <code>{escape(rehearsal.change_sha256)}</code></p>'


def _findings(title: str, findings: Sequence[Finding]) -> Iterator[str]:
    if not findings:
        return
    yield f"<h2>{title}</h2><table>"
    for one in gathered(findings):
        place = f"{one.file.name}:{one.line}" if one.file and one.line else ""
        cure = "".join(f"<br>{escape(text)}" for text in (one.cure, one.sql) if text)
        yield _row(
            f'<b class="{one.severity}">{one.severity}</b>',
            f"<b>{escape(one.object)}</b>",
            f'{escape(one.message)} <span class="quiet">{escape(one.code)} {escape(place)}</span>'
            f"{cure}",
        )
    yield "</table>"


def _picture(run: Run) -> Iterator[str]:
    yield "<h2>Statements and their locks</h2>"
    swatches = (
        f'<span><i class="swatch" style="background:{shade}"></i> {escape(words)}</span>'
        for shade, words in LEGEND
    )
    yield f'<p class="legend">{"".join(swatches)}</p>'
    yield timeline(run)


def _step(rehearsal: Rehearsal, step: Step) -> Iterator[str]:
    yield f"<h3>{escape(step.revision)}: {escape(step.title)} ({wording.duration(step.ms)})</h3>"
    if step.failure:
        yield f'<p class="error">Failed: {escape(step.failure)}</p>'
    titles = ("statement", "on the copy", "live, about", "locks, and how long", "does")
    yield f"<table><tr>{''.join(f'<th>{title}' for title in titles)}</tr>"
    for one in step.statements:
        locks = "<br>".join(
            f'<b style="color:{colour(lock)}">{escape(wording.lock(lock))}</b><br>'
            f'<span class="quiet">{wording.meaning(lock)}</span>'
            for lock in one.locks
        )
        yield _row(
            f'<span class="quiet">{escape(one.place)}</span><pre>{escape(one.sql.strip())}</pre>',
            wording.duration(one.ms),
            wording.duration(rehearsal.live_ms(one)),
            locks,
            escape(", ".join(wording.effects(one))),
        )
    yield "</table>"


def _sizes(rehearsal: Rehearsal) -> Iterator[str]:
    before, after = rehearsal.whole_size
    changed = [size for size in rehearsal.sizes if size.before != size.after]
    yield '<h2>Sizes</h2><table><tr><th>table or index<th class="number">before'
    yield '<th class="number">after</tr>'
    rows = [(size.name, size.before, size.after) for size in changed]
    for name, was, became in [*rows, ("all", before, after)]:
        yield (
            f'<tr><td>{escape(name)}<td class="number">{readable(was)}'
            f'<td class="number">{readable(became)}</tr>'
        )
    yield "</table>"


def _row(*cells: str) -> str:
    return f"<tr>{''.join(f'<td>{cell}</td>' for cell in cells)}</tr>"


def _list(items: Iterable[str]) -> str:
    return f"<ul>{''.join(f'<li>{item}</li>' for item in items)}</ul>"
