"""Rules of the project that no tool knows: each finds nothing here, and something in a breach."""

from __future__ import annotations

import ast
import importlib
import pkgutil
import re
import subprocess
import sys
from collections import Counter
from collections.abc import Callable, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest
from packaging.requirements import Requirement
from packaging.version import Version

import api
import nanoos
import pgsteady
from api.errors import OUTCOMES, Outcome
from api.settings import Settings
from nanoos.errors import NanoError
from pgsteady.errors import PgSteadyError

ROOT = Path(__file__).parents[1]
HEAVY = {"ase", "fastapi", "gemmi", "nicegui", "numpy", "optimade", "scipy", "sqlalchemy"}
GUIDES_MINIMUMS = {
    "alembic": "1.12.0",
    "sqlalchemy": "2.0.0",
    "asyncpg": "0.29.0",
    "pgvector": "0.2.0",
    "psycopg2-binary": "2.9.0",
}
GUIDES_FOLDER = "/home/user/O.R.I.O.N-LLM-Research-Platform"
REGISTRY = re.compile(r"\b(pypi|pythonhosted|anaconda|npmjs|crates|rubygems)\.(org|com|io)\b")
MACHINE_PATH = re.compile(r"(?<![\w./~-])/(work|root|Users|home/\w+)/[\w.-]+")


# What the rules find


def too_long(files: Iterable[Path], limit: int) -> list[str]:
    lengths = ((file, len(file.read_text().splitlines())) for file in files)
    return [f"{file.name}: {length} lines" for file, length in lengths if length > limit]


def without_docstring(files: Iterable[Path]) -> list[str]:
    return [file.name for file in files if not ast.get_docstring(ast.parse(file.read_text()))]


OF_EXTRAS = {"parsl"}
"""What some module needs and is not among the dependencies of development."""


def without_outcome(outcomes: dict[type[Exception], Outcome]) -> list[str]:
    for package in (nanoos, pgsteady, api):
        for module in pkgutil.walk_packages(package.__path__, f"{package.__name__}."):
            if not module.name.endswith("__main__"):
                loaded(module.name)  # so that all subclasses exist
    errors = {error for root in (NanoError, PgSteadyError) for error in family(root)}
    ours = {
        error for error in errors if error.__module__.split(".")[0] in {"nanoos", "pgsteady", "api"}
    }
    return sorted(error.__name__ for error in ours - set(outcomes))


def loaded(module: str) -> None:
    """Load a module, unless what it needs comes with an extra that is not installed."""
    try:
        importlib.import_module(module)
    except ModuleNotFoundError as error:
        if error.name is None or error.name.partition(".")[0] not in OF_EXTRAS:
            raise


def family(error: type[Exception]) -> Iterator[type[Exception]]:
    yield error
    for child in error.__subclasses__():
        yield from family(child)


def undocumented_settings(text: str) -> list[str]:
    words = " ".join(text.replace("#", " ").split())
    return [
        name
        for name, field in Settings.model_fields.items()
        if f"NANO_OS_{name.upper()}" not in words or str(field.description) not in words
    ]


def heavy_modules_loaded_by(statement: str) -> str:
    """Return what ``nano-os --help``, preceded by ``statement``, has loaded of what is heavy."""
    code = f"""
import sys, api.cli
{statement}
sys.argv = ["nano-os", "--help"]
try:
    api.cli.main()
finally:
    print(*sorted({HEAVY!r} & set(sys.modules)), file=sys.stderr)
"""
    run = subprocess.run(
        [sys.executable, "-c", code], capture_output=True, text=True, check=True, cwd=ROOT / "src"
    )
    return run.stderr.strip()


def hosts_and_machine_paths(files: Iterable[Path]) -> list[str]:
    found = []
    for file in files:
        text = file.read_bytes().decode(errors="replace")
        if file.name == "MIGRATION_GUIDE.md" or ROOT / "tests" in file.parents:
            text = text.replace(GUIDES_FOLDER, "")
        found += [f"{file.name}: {hit[0]}" for hit in REGISTRY.finditer(text)]
        found += [f"{file.name}: {hit[0]}" for hit in MACHINE_PATH.finditer(text)]
    return found


def below_the_guides_minimum(requirements: str) -> list[str]:
    lines = (line.partition("#")[0].strip() for line in requirements.splitlines())
    named = {r.name: r.specifier for r in (Requirement(line) for line in lines if line)}
    return [
        name
        for name, minimum in GUIDES_MINIMUMS.items()
        if not any(
            bound.operator in {">=", "=="} and Version(bound.version) >= Version(minimum)
            for bound in named.get(name, ())
        )
    ]


def broken_links(pages: Iterable[Path]) -> list[str]:
    broken = []
    for page in pages:
        for link in links(page):
            target, _, anchor = link.partition("#")
            file = page.parent / target if target else page
            if not file.exists() or (anchor and anchor not in anchors(file)):
                broken.append(f"{page.name}: {link}")
    return broken


def unlinked(entrance: Path, pages: list[Path]) -> list[str]:
    linked = {
        (page.parent / link.partition("#")[0]).resolve()
        for page in [entrance, *pages]
        for link in links(page)
    }
    return [page.name for page in pages if page.resolve() not in linked]


def links(page: Path) -> list[str]:
    """Return the page's links into the project."""
    text = re.sub(r"```.*?```", "", page.read_text(), flags=re.DOTALL)
    return [link for link in re.findall(r"\]\(([^)\s]+)\)", text) if "://" not in link]


def anchors(page: Path) -> set[str]:
    """Return the anchors that GitHub gives to the page's headings."""
    headings = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-") for heading in headings}


def imports_of_a_conftest(files: Iterable[Path]) -> list[str]:
    """Several modules have that name; which one is imported depends on the order of the tests."""
    pattern = re.compile(r"^(from|import) conftest\b", re.MULTILINE)
    return [file.name for file in files if pattern.search(file.read_text())]


def named_alike(files: Iterable[Path]) -> list[str]:
    """No folder of tests is a package, so pytest takes only one module of a name in a run."""
    names = Counter(file.name for file in files)
    return [name for name, times in names.items() if times > 1]


# The project keeps them


def tracked(*patterns: str) -> list[Path]:
    """Return the project's files: those that git has, or would take."""
    listed = subprocess.run(
        ["git", "ls-files", "-z", "--cached", "--others", "--exclude-standard", *patterns],
        cwd=ROOT,
        capture_output=True,
        text=True,
        check=True,
    )
    return [ROOT / name for name in listed.stdout.split("\0") if (ROOT / name).is_file()]


REVISIONS = "alembic/versions/*.py"

PROJECT: dict[str, Callable[[], Any]] = {
    "modules have at most 400 lines": lambda: too_long(tracked("src/*.py"), 400),
    "alembic/env.py has at most 40 lines": lambda: too_long(tracked("alembic/env.py"), 40),
    "every revision says what it does": lambda: without_docstring(tracked(REVISIONS)),
    "every error has an outcome": lambda: without_outcome(OUTCOMES),
    "every setting is in .env.example": lambda: undocumented_settings(
        (ROOT / ".env.example").read_text()
    ),
    "every setting is in docs/settings.md": lambda: undocumented_settings(
        (ROOT / "docs" / "settings.md").read_text()
    ),
    "nano-os --help loads nothing heavy": lambda: heavy_modules_loaded_by(""),
    "no file names a package registry or a path of a machine": lambda: hosts_and_machine_paths(
        tracked()
    ),
    "requirements.txt holds the guide's five packages": lambda: below_the_guides_minimum(
        (ROOT / "requirements.txt").read_text()
    ),
    "no test imports from a conftest": lambda: imports_of_a_conftest(tracked("tests/*.py")),
    "no two modules of tests have one name": lambda: named_alike(
        tracked("tests/test_*.py", "tests/*/test_*.py")
    ),
    "links between pages lead somewhere": lambda: broken_links(tracked("*.md")),
    "every page of the docs is linked": lambda: unlinked(ROOT / "README.md", tracked("docs/*.md")),
}


@pytest.mark.parametrize("rule", PROJECT)
def test_rule(rule: str) -> None:
    assert not PROJECT[rule]()


# And a breach is found


def written(folder: Path, text: str, name: str = "page.md") -> list[Path]:
    (folder / name).write_text(text)
    return [folder / name]


def without_one_outcome() -> list[str]:
    return without_outcome({e: o for e, o in OUTCOMES.items() if e is not NanoError})


BREACHES: dict[str, Callable[[Path], Any]] = {
    "a long module": lambda folder: too_long(written(folder, "pass\n" * 401), 400),
    "a revision without docstring": lambda folder: without_docstring(written(folder, "x = 1")),
    "an error without outcome": lambda _: without_one_outcome(),
    "a setting without description": lambda _: undocumented_settings("NANO_OS_HOME=here"),
    "NumPy loaded for --help": lambda _: heavy_modules_loaded_by("import numpy"),
    "a registry": lambda folder: hosts_and_machine_paths(
        written(folder, ".".join(["see https://pypi", "org/simple"]))
    ),
    "a machine's path": lambda folder: hosts_and_machine_paths(
        written(folder, "/".join(["in", "root", "x"]).removeprefix("in"))
    ),
    "the guide's folder elsewhere": lambda folder: hosts_and_machine_paths(
        written(folder, f"cd {GUIDES_FOLDER}")
    ),
    "an old Alembic": lambda _: below_the_guides_minimum("alembic>=1.11"),
    "an import from a conftest": lambda folder: imports_of_a_conftest(
        written(folder, "from " + "conftest import home")
    ),
    "a module of tests named as another": lambda folder: named_alike(
        [folder / "one" / "test_x.py", folder / "other" / "test_x.py"]
    ),
    "a link to no file": lambda folder: broken_links(written(folder, "[x](nothing.md)")),
    "a link to no heading": lambda folder: broken_links(written(folder, "# A\n[x](#b)")),
    "a page that nothing links to": lambda folder: unlinked(
        ROOT / "README.md", written(folder, "# A")
    ),
}


@pytest.mark.parametrize("breach", BREACHES)
def test_breach_is_found(breach: str, tmp_path: Path) -> None:
    assert BREACHES[breach](tmp_path)


def test_full_fault_injection_takes_the_slow_tests_too() -> None:
    lines = [line for line in (ROOT / "Makefile").read_text().splitlines() if "FAULTS=full" in line]
    assert lines
    assert [line for line in lines if "-m ''" not in line] == []
