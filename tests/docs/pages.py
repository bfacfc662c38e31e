"""Pages of the docs as a reader follows them: commands are typed, code goes where it is said to.

The first line of a block of code names its file, and where in it the code goes: nothing more
for a new file, ``after: TEXT`` below that line, ``from: TEXT`` instead of all that begins with
it. A ``diff`` is a file's name and the lines before (`` `` and ``-``) and after (`` `` and ``+``).
"""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import NamedTuple

ROOT = Path(__file__).parents[2]
README = ROOT / "README.md"
PAGES = [page for page in sorted((ROOT / "docs").glob("*.md")) if page.name != "MIGRATION_GUIDE.md"]
"""What is followed here; tests/guide follows the guide, and tests/e2e README on a fresh clone."""

NOT_TYPED = {
    "make demo": "tests/e2e types it, on a fresh clone",
    "nano-os serve --port 8000": "it runs until Ctrl-C; a test of its own types it",
    "export NANO_OS_HOME=/data/nano-os": "a folder of the reader's",
    "nano-os structures import 'optimade:https://optimade.materialsproject.org?"
    'elements HAS ALL "Si","O" AND nsites<10\'': "it asks the internet; below it one here is asked",
    "nano-os worker --executor parsl --config cluster.toml --check": "it asks Slurm;"
    " tests/api/worker types it beside one",
    "nano-os worker --executor parsl --config cluster.toml --drain": "the same",
}
"""Lines of the docs that are not typed here, and why."""

PRESUMED = {
    "embedded-database.md": "alembic upgrade head",
    "optimade.md": "alembic upgrade head",
}
"""What the reader of a page has done before."""


REQUIRED = {"espresso.md": "pw.x"}
"""Programs that a page is about; without them it is not followed."""


class Block(NamedTuple):
    """A fenced block: its language and its lines."""

    language: str
    text: str

    def commands(self, not_typed: Collection[str]) -> str:
        """Return what is typed."""
        lines = self.text.splitlines()
        return "\n".join(line for line in lines if _bare(line) not in not_typed)

    @property
    def destination(self) -> tuple[str, str, str] | None:
        """The code's file (or a pattern), and where in it: ``after`` or ``from`` which text."""
        found = re.match(r"# ([\w/.*]+\.\w+)(?:, (after|from): (.+))?\n", self.text)
        return (found[1], found[2] or self.language, found[3] or "") if found else None

    @property
    def code(self) -> str:
        """The code itself."""
        return self.text.partition("\n")[2]


def blocks(page: Path) -> list[Block]:
    """Return the page's fenced blocks, from top to bottom."""
    return blocks_of(page.read_text())


def blocks_of(text: str) -> list[Block]:
    """Return the fenced blocks of a part of a page, from top to bottom."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", text, re.MULTILINE | re.DOTALL)
    return [Block(language, inner) for language, inner in found]


def sections(page: Path, level: int) -> dict[str, str]:
    """Return the text below each heading of that level, up to the next of it or above."""
    found: dict[str, str] = {}
    title, in_block = "", False
    for line in page.read_text().splitlines(keepends=True):
        in_block ^= line.startswith("```")
        heading = None if in_block else re.match(rf"(#{{1,{level}}}) (.+)", line)
        if heading:
            title = heading[2] if len(heading[1]) == level else ""
        elif title:
            found[title] = found.get(title, "") + line
    return found


def _bare(line: str) -> str:
    return line.partition("  #")[0].strip()


def typed_lines(page: Path) -> set[str]:
    """Return every line of the page's commands, without comments."""
    return {
        _bare(line)
        for block in blocks(page)
        if block.language == "bash"
        for line in block.text.splitlines()
    }


def script(page: Path, not_typed: Collection[str]) -> str:
    """Return the page as one shell script, which puts the page's code in its places too."""
    return "\n".join([PRESUMED.get(page.name, ""), *steps(blocks(page), not_typed)])


def steps(parts: list[Block], not_typed: Collection[str]) -> Iterator[str]:
    """Yield what follows these blocks in a shell that stands in the project's folder."""
    yield "set -euo pipefail"
    for number, block in enumerate(parts, 1):
        yield f"echo '== block {number}' >&2"
        if block.language == "bash":
            yield block.commands(not_typed)
        elif block.destination:
            yield shlex.join([sys.executable, __file__, *block.destination, block.code])


def copy_project(folder: Path) -> None:
    """Copy what git has, or would take, as it is now."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard"],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    for name in filter(None, listed.stdout.split("\0")):
        if (ROOT / name).is_file():
            (folder / name).parent.mkdir(parents=True, exist_ok=True)
            shutil.copy2(ROOT / name, folder / name)


def put_in_place(pattern: str, how: str, place: str, code: str) -> None:
    """Put code into the one file of that name; what it goes by must stand there once."""
    if not place and how != "diff":
        assert not Path(pattern).exists(), f"{pattern} exists"
        Path(pattern).write_text(code)
        return
    (file,) = Path().glob(pattern)
    if how == "diff":
        lines = [(line[:1], f"{line[1:]}\n") for line in code.splitlines()]
        old = "".join(text for sign, text in lines if sign != "+")
        new = "".join(text for sign, text in lines if sign != "-")
    else:
        old, new = place, code
    before, *behind = file.read_text().split(old)
    assert len(behind) == 1, f"{old!r} stands {len(behind)} times in {file}"
    if how == "after":
        new, behind = f"{place}\n{code}", [behind[0].removeprefix("\n")]
    file.write_text(before + new + ("" if how == "from" else behind[0]))


if __name__ == "__main__":
    put_in_place(*sys.argv[1:])
