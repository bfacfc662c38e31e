"""How documents are shown to people."""

from __future__ import annotations

import pytest

from api.cli.output import show_fields


def test_of_long_lists_of_numbers_the_ends_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    frequencies = [float(k) for k in range(200)]
    show_fields(
        {"data": {"dos": {"unit": "1/THz", "values": frequencies}}, "path": list("GXWKL" * 4)}
    )
    data, path = capsys.readouterr().out.split("path")
    assert '"values": [0.0, 1.0, 2.0, "… 194 more …", 197.0, 198.0, 199.0]' in data
    assert path.count("G") == 4


def test_of_long_lists_of_vectors_the_ends_are_shown(capsys: pytest.CaptureFixture[str]) -> None:
    show_fields({"forces": [[0.5, 0.0, -0.5]] * 30, "cell": [[1.0, 0.0, 0.0]] * 3})
    forces, cell = capsys.readouterr().out.split("cell")
    assert forces.count("0.5, 0.0, -0.5") == 6
    assert "… 24 more …" in forces
    assert "more" not in cell
