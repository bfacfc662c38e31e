"""What ``results show`` prints: numbers that people read, and of long arrays their shape."""

from __future__ import annotations

from typing import Any

import pytest

from api.cli.result_detail import show_result

DETAIL: dict[str, Any] = {
    "id": "01a22be2-b5c8-776c-b196-6f1993bdda65",
    "workflow": None,
    "engine": "vasp",
    "reduced_formula": "Si",
    "structure_name": "old [/red]",
    "project": None,
    "quantities": {"energy_ev": -3.5, "band_gap_ev": None},
    "data": {
        "forces": {"values": [[0.1, 0.2, 0.3]] * 20, "unit": "eV/Å"},
        "aside": {"artifact": "0" * 64, "shape": [5000, 3], "unit": "eV/Å"},
        "stress": {"values": [[1.23456789, 0, 0]] * 3, "unit": "GPa"},
        "next_geometry": {"values": {"lattice": [], "positions": []}, "unit": "Å"},
        "is_stable": True,
    },
    "method": {"code": "VASP", "functional": "PBE", "cutoff_ev": 300},
    "method_sha256": "ab" * 32,
    "convergence": {"converged": False, "end": "crashed", "problems": ["error"], "ionic_steps": 2},
    "is_converged": False,
    "parameters": {"input": {"NSW": 100}},
    "provenance": {"files": {}},
    "artifacts": [{"name": "steps.extxyz.gz", "steps": 2, "size_bytes": 9, "sha256": "1" * 64}],
    "attempts": [],
}


def test_people_see_numbers_and_shapes(capsys: pytest.CaptureFixture[str]) -> None:
    show_result(DETAIL)
    printed = capsys.readouterr().out
    lines = {
        line.split()[0]: line.split(maxsplit=1)[1].strip()
        for line in printed.splitlines()
        if len(line.split()) > 1
    }
    assert lines["vasp"] == "of Si old [/red]"
    assert lines["forces"].split("  ")[0] == "20 × 3 values"
    assert lines["aside"].startswith("5000 × 3 values")
    assert lines["stress"].startswith("[[1.23457, 0, 0]")
    assert lines["next_geometry"].startswith("lattice, positions")
    assert lines["is_stable"] == "true"
    assert lines["method"] == "VASP PBE, 300 eV (abababababab)"
    assert lines["converged"] == "no; end: crashed; problems: error; ionic_steps: 2"
    assert "steps.extxyz.gz" in lines
    assert not {"band_gap_ev", "project", "parameters", "provenance"} & lines.keys()
