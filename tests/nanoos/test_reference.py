"""The references are physical, and errors against them have the right size and sign."""

import pytest
from ase.build import bulk
from ase.collections import dcdft as collection

from nanoos.engines.emt import Emt
from nanoos.reference import Reference, compare, dcdft
from nanoos.structures import Structure
from nanoos.workflows.equation_of_state import EquationOfState, EquationOfStateParameters


def test_volumes_are_those_of_the_collections_own_crystals():
    """Its cells are near their equilibrium: this fixes the unit, Å3 per atom."""
    assert len(dcdft()) == 71
    for element, reference in dcdft().items():
        atoms = collection[element]
        assert reference.volume_a3_per_atom == pytest.approx(
            atoms.get_volume() / len(atoms), rel=0.05
        )


def test_errors_are_in_percent_of_the_reference_and_signed():
    copper = dcdft()["Cu"]
    comparison = compare("Cu", copper.volume_a3_per_atom * 1.02, copper.bulk_modulus_gpa * 0.9)
    assert comparison.volume_error_percent == pytest.approx(2)
    assert comparison.bulk_modulus_error_percent == pytest.approx(-10)
    assert isinstance(comparison.reference, Reference)


def test_an_element_without_reference_has_no_comparison():
    assert compare("U", 20.0, 100.0) is None


@pytest.mark.parametrize("element", sorted(Emt.elements))
def test_emt_is_as_far_from_the_reference_as_is_known(element, tmp_path):
    """EMT was fitted to experiment: volumes within 8 %, moduli within half of the PBE values."""
    workflow = EquationOfState()
    found = workflow.run(
        Structure.from_ase(bulk(element)),
        EquationOfStateParameters(),
        Emt(),
        lambda *_: None,
        tmp_path,
    ).quantities
    comparison = compare(element, found["volume_a3_per_atom"], found["bulk_modulus_gpa"])
    assert abs(comparison.volume_error_percent) < 8
    assert 3 < abs(comparison.bulk_modulus_error_percent) < 50
