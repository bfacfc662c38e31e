"""A schema as ``pg_dump -s`` writes it, so that two can be compared: the oracle."""

from __future__ import annotations

import re
import subprocess

from pgsteady.backup import environment
from pgsteady.server import client
from pgsteady.url import parse

_NOISE = re.compile(
    r"^(--.*|SET .*|SELECT pg_catalog\.set_config.*|\\(un)?restrict .*|)$", re.MULTILINE
)


def schema_dump(url: str, major: int) -> set[str]:
    """Return the statements of the dump; those of a table one for each line of it.

    The order of columns says nothing about what they are, and neither do owners.
    """
    database = parse(url, "the test")
    run = subprocess.run(
        [client("pg_dump", major), "--schema-only", "--no-owner", "--schema=public"],
        env=environment(database),
        capture_output=True,
        text=True,
        check=True,
    )
    statements = re.split(r";\n+", _NOISE.sub("", run.stdout))
    lines: set[str] = set()
    for statement in statements:
        text = statement.strip()
        if text.startswith(("CREATE TABLE", "CREATE UNLOGGED TABLE")):
            head, *columns = text.splitlines()
            lines |= {f"{head}: {column.strip().rstrip(',')}" for column in columns} | {head}
        elif text:
            lines.add(text)
    return lines
