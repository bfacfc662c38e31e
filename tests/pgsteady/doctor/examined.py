"""What doctor said of the toy project."""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from pgsteady.cli.output import out, print_finding
from pgsteady.doctor import Result
from pgsteady.finding import Finding
from servers import PASSWORD

MODELS = """
Table("a", metadata, Column("id", sa.Integer, primary_key=True), Column("v", Vector(3)))
Table("b", metadata, Column("id", sa.Integer, primary_key=True))
"""


class Examined:
    """What doctor said of a project."""

    def __init__(self, results: list[Result]) -> None:
        self.results = {result.name: result for result in results}
        assert PASSWORD not in repr(results)

    @property
    def findings(self) -> list[Finding]:
        return [f for result in self.results.values() for f in result.answer.findings]

    @property
    def codes(self) -> list[str]:
        return [finding.code for finding in self.findings]

    def only(self, code: str) -> Finding:
        """Return the one thing found, which must be ``code``."""
        assert self.codes == [code], self.findings
        return self.findings[0]

    def detail(self, name: str) -> str:
        return self.results[name].answer.detail

    def state(self, name: str) -> str:
        return self.results[name].answer.state


Doctor = Callable[[], Examined]


PAGE = Path(__file__).parents[3] / "docs" / "doctor.md"

VARYING = {
    r"127\.0\.0\.\d:\d+": "ADDRESS",
    r"(pid |backend\()\d+": r"\1PID",
    r"test_\d+|nothing_\d+": "DATABASE",
    r"\d{4}-\d\d-\d\d": "DATE",
    r"\b[0-9a-f]{12,40}\b": "COMMIT",
    r"\d[\d.]* (MiB|GiB|s)\b": r"N \1",
    r"\S+ applied it": "SOMEBODY applied it",
    r"(?<![\w<])/[\w./-]*/": "FOLDER/",
    r"\s+": " ",
}
"""What is not the same in every run, and what stands for it."""


def lasting(output: str) -> str:
    for pattern, stands in VARYING.items():
        output = re.sub(pattern, stands, output)
    return output.strip()


def shown(finding: Finding) -> Finding:
    """Return the finding, which the page must show as it is printed."""
    with out.capture() as printed:
        print_finding(finding)
    section = PAGE.read_text().partition(f"### `{finding.code}`\n")[2].partition("\n### ")[0]
    block = section.partition("```text\n")[2].partition("```")[0]
    assert lasting(block) == lasting(printed.get()), printed.get()
    return finding
