"""Any calculator of ASE runs by its name; what it is not is told before it runs."""

from __future__ import annotations

from pathlib import Path

import pytest
from ase.build import bulk
from ase.calculators.calculator import Calculator, all_changes

from nanoos.engines import make
from nanoos.errors import EngineUnavailable, InvalidParameters, UnsupportedByEngine
from nanoos.structures import Structure

COPPER = Structure.from_ase(bulk("Cu"))


class Weighed(Calculator):
    """A calculator whose energy is a number in a file; it has no stress."""

    implemented_properties = ["energy", "forces"]  # noqa: RUF012 - as ASE has it
    made = 0

    def __init__(self, weights: str, factor: float = 1.0) -> None:
        super().__init__()
        self.energy = factor * float(Path(weights).read_text())
        Weighed.made += 1

    def calculate(self, atoms=None, properties=None, system_changes=all_changes) -> None:
        super().calculate(atoms, properties, system_changes)
        self.results = {"energy": self.energy, "forces": 0 * atoms.positions}


def weighed(weights: Path, **arguments: float) -> dict[str, object]:
    return {
        "calculator": f"{__name__}:Weighed",
        "arguments": arguments,
        "weights": {"weights": str(weights)},
    }


def test_it_is_the_engine_of_that_calculator() -> None:
    ours = make("ase", {"calculator": "ase.calculators.emt:EMT"})
    assert ours.probe() is None
    assert ours.calculate(COPPER).energy_ev == make("emt").calculate(COPPER).energy_ev
    assert ours.method().functional == "EMT"
    assert ours.method().code_version == make("emt").version


def test_weights_are_loaded_once_and_known_by_their_content(tmp_path: Path) -> None:
    weights, other = tmp_path / "a.model", tmp_path / "b.model"
    weights.write_text("1.5")
    other.write_text("2.5")
    engine = make("ase", weighed(weights, factor=2))
    assert engine.properties == {"energy", "forces"}
    for _ in range(2):
        found = make("ase", weighed(weights, factor=2)).calculate(COPPER)
        assert found.energy_ev == 3
        assert found.stress_gpa is None
    assert Weighed.made == 1
    assert engine.method() != make("ase", weighed(other, factor=2)).method()
    assert engine.method() != make("ase", weighed(weights)).method()
    moved = tmp_path / "moved.model"
    moved.write_text("1.5")
    assert engine.method() == make("ase", weighed(moved, factor=2)).method()


@pytest.mark.parametrize(
    ("calculator", "says"),
    [
        ("nowhere.calculators:Nothing", "cannot be imported"),
        ("ase.calculators.emt:NoSuch", "cannot be imported"),
        ("os:system", "is no calculator"),
        ("pathlib:Path", "is no calculator"),
    ],
)
def test_what_is_no_calculator_is_not_run(calculator: str, says: str) -> None:
    engine = make("ase", {"calculator": calculator})
    assert says in str(engine.probe())
    with pytest.raises(EngineUnavailable, match=says):
        engine.calculate(COPPER)


def test_it_wants_a_name_and_the_weights(tmp_path: Path) -> None:
    assert "calculator=module:Class" in str(make("ase").probe())
    with pytest.raises(UnsupportedByEngine, match="name a calculator"):
        make("ase").calculate(COPPER)
    assert "no file" in str(make("ase", weighed(tmp_path / "none.model")).probe())
    with pytest.raises(InvalidParameters, match="calculator"):
        make("ase", {"calculator": "EMT"})
