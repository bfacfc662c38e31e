"""Pages of the docs as a reader follows them: commands are typed, code goes where it is said to."""

from __future__ import annotations

import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Collection
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
}
"""Lines of the docs that are not typed here, and why."""

PRESUMED = {
    "corrections.md": "alembic upgrade head",
    "embedded-database.md": "alembic upgrade head",
}
"""What the reader of a page has done before."""


class Block(NamedTuple):
    """A fenced block: its language and its lines."""

    language: str
    text: str

    def commands(self, not_typed: Collection[str]) -> str:
        """Return what is typed."""
        lines = self.text.splitlines()
        return "\n".join(line for line in lines if _bare(line) not in not_typed)

    @property
    def destination(self) -> tuple[str, str] | None:
        """The code's file, and the text after which it goes there; empty for a new file."""
        found = re.match(r"# ([\w/.]+\.\w+)(?:, after: (.+))?\n", self.text)
        return (found[1], found[2] or "") if found else None

    @property
    def code(self) -> str:
        """The code itself."""
        return self.text.partition("\n")[2]


def blocks(page: Path) -> list[Block]:
    """Return the page's fenced blocks, from top to bottom."""
    found = re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(), re.MULTILINE | re.DOTALL)
    return [Block(language, text) for language, text in found]


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
    lines = ["set -euo pipefail", PRESUMED.get(page.name, "")]
    for number, block in enumerate(blocks(page), 1):
        lines.append(f"echo '== block {number} of {page.name}' >&2")
        if block.language == "bash":
            lines.append(block.commands(not_typed))
        elif block.destination:
            lines.append(shlex.join([sys.executable, __file__, *block.destination, block.code]))
    return "\n".join(lines)


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


def put_in_place(name: str, after: str, code: str) -> None:
    """Write a new file, or insert the code below ``after``, which must stand in the file once."""
    file = Path(name)
    if not after:
        assert not file.exists(), f"{name} exists"
        file.write_text(code)
        return
    before, *behind = file.read_text().split(after)
    assert len(behind) == 1, f"{after!r} stands {len(behind)} times in {name}"
    rest = behind[0].removeprefix("\n")
    file.write_text(f"{before}{after}\n{code}{rest}")


if __name__ == "__main__":
    put_in_place(*sys.argv[1:])
