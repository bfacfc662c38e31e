"""The notebook runs, and says what it says in the repository."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import nbformat
import pytest
from nbclient import NotebookClient

NOTEBOOK = Path(__file__).parents[2] / "examples" / "search.ipynb"


@pytest.mark.slow
def test_notebook_says_what_it_says(database: str) -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    said = list(texts(notebook))
    client = NotebookClient(
        notebook, timeout=240, resources={"metadata": {"path": NOTEBOOK.parent}}
    )
    client.execute()
    assert list(texts(notebook)) == said


def test_notebook_was_kept_with_its_outputs() -> None:
    notebook = nbformat.read(NOTEBOOK, as_version=4)
    kinds = [set(one.get("data", {})) for cell in code(notebook) for one in cell.outputs]
    assert any("image/png" in kind for kind in kinds)
    assert not any(one.output_type == "error" for cell in code(notebook) for one in cell.outputs)
    assert NOTEBOOK.stat().st_size < 200_000


def code(notebook: Any) -> list[Any]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def texts(notebook: Any) -> Iterator[str]:
    """Yield what cells print and return as text; pictures differ from machine to machine."""
    for cell in code(notebook):
        for output in cell.outputs:
            if output.output_type == "stream":
                yield output.text
            elif "image/png" not in output.data:
                yield output.data["text/plain"]
