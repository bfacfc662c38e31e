"""Large arrays leave the row, and come back as they were."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from api.artifacts import Artifacts
from api.errors import ArtifactDamaged
from api.services.arrays import LARGE_BYTES, restore, set_aside

LARGE = [[i / 7, -i / 3, 1e-300 * i] for i in range(LARGE_BYTES // 40)]


def test_large_arrays_go_and_come_back_with_every_digit(tmp_path: Path) -> None:
    artifacts = Artifacts(tmp_path)
    data = {
        "forces": {"values": LARGE, "unit": "eV/Å"},
        "twice": {"values": LARGE, "unit": "eV/Å", "axis": "step"},
        "small": {"values": [1.0, 2.0], "unit": "eV"},
        "energy": {"values": 1.0, "unit": "eV"},
        "fit": {"energy_ev": 1.0},
        "plain": 3,
    }
    kept, stored = set_aside(data, artifacts)
    assert len(json.dumps(kept)) < 1000
    assert {name for name in data if kept[name] != data[name]} == {"forces", "twice"}
    assert kept["forces"]["shape"] == [len(LARGE), 3]
    assert (kept["twice"]["unit"], kept["twice"]["axis"]) == ("eV/Å", "step")
    assert [one["name"] for one in stored] == ["forces.json.zst", "twice.json.zst"]
    assert len(list(artifacts.all())) == 1  # equal arrays are there once
    assert restore(kept, artifacts) == data
    Path(artifacts.named(stored[0]["sha256"])).write_bytes(b"")
    with pytest.raises(ArtifactDamaged):
        restore(kept, artifacts)
