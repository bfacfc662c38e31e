"""The picture of phonons names the points of the path, and shows what is imaginary as such."""

from xml.etree import ElementTree

import numpy as np
import pytest
from ase.build import bulk

from nanoos.draw import phonons_svg
from nanoos.engines.emt import Emt
from nanoos.structures import Structure
from nanoos.workflows.phonons import Phonons, PhononsParameters


@pytest.mark.parametrize(
    ("lattice", "a", "points"),
    [
        ("bcc", 2.87, "Γ H N Γ P H|P N"),
        pytest.param("fcc", 3.59, "Γ X W K Γ L U W L K|U X", marks=pytest.mark.slow),
    ],
)
def test_the_path_is_named_and_what_is_imaginary_is_set_apart(tmp_path, lattice, a, points):
    outcome = Phonons().run(
        Structure.from_ase(bulk("Cu", lattice, a=a)),
        PhononsParameters(supercell_length=5, mesh_length=20),
        Emt(),
        lambda *_: None,
        tmp_path,
    )
    with np.load(tmp_path / "bands.npz") as bands:
        text = phonons_svg(outcome.data, bands, "Copper & <EMT>")
        assert phonons_svg(outcome.data, bands, "Copper & <EMT>") == text
    words = " ".join(" ".join(ElementTree.fromstring(text).itertext()).split())
    assert points in words
    assert "Copper & <EMT>" in words
    assert "Frequency (THz)" in words
    assert "States (1/THz/atom)" in words
    assert ("imaginary" in words) == (lattice == "bcc") == (not outcome.data["is_stable"])
    assert len(text) < 80_000
