"""The picture of an equation of state shows its points and numbers, the same every time."""

from xml.etree import ElementTree

from ase.build import bulk

from nanoos.draw import equation_of_state_svg
from nanoos.engines.emt import Emt
from nanoos.structures import Structure
from nanoos.workflows.equation_of_state import EquationOfState, EquationOfStateParameters


def test_the_equation_of_state_shows_its_points_and_numbers_with_units(tmp_path):
    workflow = EquationOfState()
    outcome = workflow.run(
        Structure.from_ase(bulk("Cu")),
        EquationOfStateParameters(),
        Emt(),
        lambda *_: None,
        tmp_path,
    )
    text = equation_of_state_svg(outcome.data, "Copper & <EMT>")
    words = " ".join(ElementTree.fromstring(text).itertext())
    assert "Copper & <EMT>" in words
    assert f"{outcome.quantities['volume_a3_per_atom']:.2f} Å³/atom" in words
    assert f"{outcome.quantities['bulk_modulus_gpa']:.1f} GPa" in words
    assert "meV/atom" in words
    assert equation_of_state_svg(outcome.data, "Copper & <EMT>") == text
    assert len(text) < 40_000
