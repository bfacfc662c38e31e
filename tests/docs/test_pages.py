"""The docs are followed from top to bottom, and speak of all commands and of no others."""

from __future__ import annotations

import os
import re
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import httpx
import pytest
import typer
from pages import (
    NOT_TYPED,
    PAGES,
    README,
    REQUIRED,
    blocks,
    copy_project,
    script,
    typed_lines,
)
from typer.core import TyperGroup

from api import embedded
from api.cli import app
from pgsteady.server import bundled

COMMANDS_PAGE = next(page for page in PAGES if page.name == "commands.md")
WITH_COMMANDS = [
    page
    for page in PAGES
    if page.name != "migrations.md" and any(block.language == "bash" for block in blocks(page))
]
"""All but migrations, whose parts are followed each by itself."""


MAKE = 'make() { command make BIN="$BIN" -o .venv/runtime -o .venv/development "$@"; }'
"""make as in the shell, on the environment there is: it neither makes nor fills one."""


@pytest.fixture
def environment(server_folder: Path, tmp_path: Path) -> Iterator[dict[str, str]]:
    """What the reader's shell knows: the project's copy, its programs, a database of its own.

    The server is held, so that not every command starts it anew.
    """
    copy_project(tmp_path)
    embedded.join(server_folder)
    programs = [Path(sys.executable).parent, bundled().root / "bin", "/usr/bin", "/bin"]
    kept = {name: os.environ[name] for name in ("HOME", "LANG") if name in os.environ}
    yield kept | {
        "PATH": ":".join(map(str, programs)),
        "PYTHONPATH": str(tmp_path / "src"),
        "NANO_OS_HOME": str(server_folder),
        "NANO_OS_PASSWORD": "what somebody would type",
        "BIN": str(Path(sys.executable).parent),
    }
    embedded.stop(server_folder)


@pytest.mark.timeout(900)  # the longest page is typed for minutes on a busy machine
@pytest.mark.parametrize(
    "page",
    [
        pytest.param(page, id=page.name, marks=[] if page.name == "README.md" else pytest.mark.slow)
        for page in WITH_COMMANDS
    ],
)
def test_reader_can_follow(page: Path, environment: dict[str, str], tmp_path: Path) -> None:
    if (program := REQUIRED.get(page.name)) and shutil.which(program) is None:
        pytest.skip(f"{program} is not installed")
    done = subprocess.run(
        ["/bin/bash", "-c", f"{MAKE}\n{script(page, NOT_TYPED)}"],
        cwd=tmp_path,
        env=environment,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stdout[-3000:] + done.stderr[-3000:]
    assert "Traceback" not in done.stderr


@pytest.mark.slow
def test_server_answers_until_ctrl_c(environment: dict[str, str], tmp_path: Path) -> None:
    from servers import free_port  # a plug-in, which pytest imports itself

    port = free_port()
    command = f"alembic upgrade head && exec nano-os serve --port {port}"
    with subprocess.Popen(
        ["/bin/bash", "-c", command], cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL
    ) as server:
        try:
            transport = httpx.HTTPTransport(retries=8)  # after 0, 0.5, 1, 2, 4 … s
            with httpx.Client(transport=transport, base_url=f"http://127.0.0.1:{port}") as client:
                assert client.get("/health").json()["status"] == "ok"
                assert client.get("/docs").status_code == 200
            server.send_signal(signal.SIGINT)
            assert server.wait(30) in {0, 130}
        finally:
            server.kill()


@pytest.mark.parametrize("line", NOT_TYPED)
def test_what_is_not_typed_is_shown_to_readers(line: str) -> None:
    assert any(line in typed_lines(page) for page in PAGES)


def anchors(page: Path) -> set[str]:
    """Return what a link to a heading of the page ends in, as GitHub makes it."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w -]", "", heading.lower()).replace(" ", "-") for heading in headings}


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_links_lead_somewhere(page: Path) -> None:
    for name, anchor in re.findall(r"\]\(([^)#:]*)#?([^):]*)\)", page.read_text()):
        target = (page.parent / name) if name else page
        assert target.exists(), name
        assert not anchor or anchor in anchors(target), f"{name}#{anchor}"


def names(command: Any, path: tuple[str, ...] = ("nano-os",)) -> Iterator[str]:
    """Yield every command that does something, as it is typed."""
    if isinstance(command, TyperGroup):
        context: Any = None  # neither looks at it
        for name in command.list_commands(context):
            yield from names(command.get_command(context, name), (*path, name))
    else:
        yield " ".join(path)


EVERY_COMMAND = set(names(typer.main.get_command(app)))


@pytest.mark.parametrize("command", sorted(EVERY_COMMAND))
def test_command_has_an_example(command: str) -> None:
    assert f"{command} " in COMMANDS_PAGE.read_text().replace("\n", " ").replace("`", " ")


@pytest.mark.parametrize("page", [README, *PAGES], ids=lambda page: page.name)
def test_page_names_no_command_that_is_not_there(page: Path) -> None:
    groups = {command.split()[1] for command in EVERY_COMMAND if command.count(" ") == 2}
    for first, second in re.findall(r"nano-os ([a-z][\w-]*)(?: ([a-z][\w-]*))?", page.read_text()):
        spoken = f"nano-os {first} {second}" if first in groups and second else f"nano-os {first}"
        assert spoken in EVERY_COMMAND or (first in groups and not second), spoken
