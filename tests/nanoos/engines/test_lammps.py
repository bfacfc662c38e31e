"""LAMMPS is given the right potential for a structure, and its failures come back as errors."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from ase.build import bulk

from nanoos.engines import lammps, make
from nanoos.engines.lammps_potentials import DISTRIBUTED, citation, elements_of
from nanoos.errors import EngineCrashed, EngineError, InvalidParameters, UnsupportedByEngine
from nanoos.structures import Structure

COPPER = Structure.from_ase(bulk("Cu"))
needs_lammps = pytest.mark.skipif(
    make("lammps").probe() is not None, reason="LAMMPS is not installed (extra: lammps)"
)


def crystal(formula: str, kind: str = "zincblende", a: float = 4.4) -> Structure:
    return Structure.from_ase(bulk(formula, kind, a=a))


def test_elements_without_a_potential_in_common_are_refused() -> None:
    engine = make("lammps")
    assert engine.refuses(COPPER) is None
    assert engine.refuses(crystal("SiC")) is None
    assert "no potential for Cu and Si" in str(engine.refuses(crystal("CuSi")))
    assert "not Na" in str(engine.refuses(crystal("CuNa")))
    nitrogen = Structure.from_ase(bulk("N", "sc", a=3))
    assert "no potential for N as it is" in str(engine.refuses(nitrogen))
    with pytest.raises(UnsupportedByEngine, match="LAMMPS knows Si, not Cu"):
        make("lammps", {"potential": "Si.tersoff"}).calculate(COPPER)


@pytest.mark.parametrize("name", ["nowhere.eam.alloy", "Cu.reaxff"])
def test_a_potential_that_is_not_there_or_not_of_these_kinds_is_refused(name: str) -> None:
    with pytest.raises(InvalidParameters, match=name):
        make("lammps", {"potential": name})


@needs_lammps
def test_the_elements_are_those_that_the_files_have() -> None:
    for file in DISTRIBUTED:
        path = lammps._path(file.name)
        assert elements_of(path) == file.elements, file.name
        assert citation(path)


@needs_lammps
def test_a_file_of_the_users_own_is_the_same_as_that_of_lammps(tmp_path: Path) -> None:
    own = tmp_path / "my copy.eam.alloy"
    own.write_bytes(lammps._path("Cu_mishin1.eam.alloy").read_bytes())
    engine = make("lammps", {"potential": str(own)})
    assert engine.elements == {"Cu"}
    assert "Mishin, Phys Rev B" in engine.potential
    assert engine.calculate(COPPER).energy_ev == make("lammps").calculate(COPPER).energy_ev
    (theirs,), (ours,) = (e.method(COPPER).potentials for e in (make("lammps"), engine))
    assert ours.sha256 == theirs.sha256


@needs_lammps
def test_mishins_copper_has_the_energy_and_lattice_constant_of_its_paper() -> None:
    """Cohesive energy 3.54 eV at 3.615 Å: Y. Mishin et al., Phys. Rev. B 63, 224106 (2001)."""
    found = make("lammps").calculate(Structure.from_ase(bulk("Cu", a=3.615)))
    assert found.energy_ev == pytest.approx(-3.54, abs=1e-3)
    assert found.pressure_gpa == pytest.approx(0, abs=0.02)


@needs_lammps
def test_a_cluster_has_no_stress() -> None:
    pair = Structure.of(None, np.array([[0, 0, 0], [0, 0, 2.2]]), ["Cu", "Cu"], (False,) * 3)
    found = make("lammps").calculate(pair)
    assert found.forces_ev_per_a[0] == pytest.approx(-found.forces_ev_per_a[1])
    assert found.stress_gpa is None


@needs_lammps
def test_what_lammps_says_is_the_error(tmp_path: Path) -> None:
    broken = tmp_path / "broken.eam.alloy"
    broken.write_text("a\nb\nc\n1 Cu\nnothing more\n")
    with pytest.raises(EngineError, match="LAMMPS: Incorrect format in eam/alloy"):
        make("lammps", {"potential": str(broken)}).calculate(COPPER)


@needs_lammps
def test_a_crash_is_an_error_and_no_more(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    dying = tmp_path / "lmp"
    dying.write_text("#!/bin/sh\nkill -SEGV $$\n")
    dying.chmod(0o755)
    potentials = lammps._path("Cu_mishin1.eam.alloy").parent
    monkeypatch.setenv("LAMMPS_POTENTIALS", str(potentials))
    monkeypatch.setattr(lammps, "_program", lambda: str(dying))
    with pytest.raises(EngineCrashed):
        make("lammps").calculate(COPPER)
