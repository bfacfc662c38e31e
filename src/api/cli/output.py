"""How ``nano-os`` speaks: people read stderr and stdout, programs one JSON document."""

from __future__ import annotations

import json
import sys
from typing import Any

from rich.console import Console

out = Console(highlight=False, soft_wrap=True)
err = Console(stderr=True, highlight=False, soft_wrap=True)


def print_json(document: Any) -> None:
    """Print one JSON document to stdout; UUIDs, dates and decimals become text."""
    json.dump(document, sys.stdout, indent=2, default=str, ensure_ascii=False)
    sys.stdout.write("\n")


def fail(error: Exception) -> int:
    """Print ``error`` for a person and return its exit code; re-raise what is not ours."""
    from api.errors import OUTCOMES, outcome

    if not isinstance(error, tuple(OUTCOMES)):
        raise error
    err.print("[bold red]Error:[/] ", end="")
    err.print(str(error), markup=False)
    return outcome(error).exit_code
