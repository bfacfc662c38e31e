"""Lennard-Jones gives the fcc crystal that its pair sums give, and takes one element at a time."""

from __future__ import annotations

import numpy as np
import pytest
from ase.build import bulk

from nanoos.engines import make
from nanoos.engines.lj import RARE_GASES
from nanoos.errors import InvalidParameters, UnsupportedByEngine
from nanoos.structures import Structure


def fcc_sums() -> tuple[float, float]:
    """Σ (d/r)¹² and Σ (d/r)⁶ over an fcc crystal whose nearest neighbours are d apart.

    The rest of the second beyond the shell is that of a continuum of the same density.
    """
    reach = 40
    n = np.arange(-reach, reach + 1)
    x, y, z = np.meshgrid(n, n, n, indexing="ij")
    r2 = (x**2 + y**2 + z**2)[(x + y + z) % 2 == 0] / 2
    r2 = r2[(r2 > 0) & (r2 <= reach**2 / 2)]
    radius = reach / np.sqrt(2)
    return float(np.sum(r2**-6.0)), float(np.sum(r2**-3.0)) + 4 * np.pi * np.sqrt(2) / 3 / radius**3


@pytest.mark.parametrize("element", ["Ne", "Xe"])
def test_rare_gas_has_the_crystal_of_its_pair_sums(element: str) -> None:
    epsilon_ev, sigma_a = RARE_GASES[element]
    twelve, six = fcc_sums()
    nearest_a = sigma_a * (2 * twelve / six) ** (1 / 6)
    crystal = Structure.from_ase(bulk(element, "fcc", a=nearest_a * np.sqrt(2)))
    found = make("lj", {"cutoff_a": 15 * sigma_a}).calculate(crystal)
    assert found.energy_ev == pytest.approx(-epsilon_ev * six**2 / (2 * twelve), rel=1e-3)
    assert found.pressure_gpa == pytest.approx(0, abs=5e-3 * epsilon_ev / sigma_a**3 * 160)
    default = make("lj").calculate(crystal)
    assert default.energy_ev == pytest.approx(found.energy_ev, rel=0.015)


def test_other_elements_need_parameters_and_mixtures_are_refused() -> None:
    iron = Structure.from_ase(bulk("Fe"))
    assert "not Fe unless given epsilon_ev and sigma_a" in str(make("lj").refuses(iron))
    with pytest.raises(UnsupportedByEngine, match="Ar, Kr, Ne and Xe"):
        make("lj", {"sigma_a": 2.3}).calculate(iron)
    given = make("lj", {"epsilon_ev": 0.4, "sigma_a": 2.3})
    assert given.refuses(iron) is None
    salt = Structure.from_ase(bulk("NaCl", "rocksalt", a=5.64))
    assert "one element, not Cl and Na" in str(given.refuses(salt))
    with pytest.raises(InvalidParameters, match=r"epsilon_ev.*greater than 0"):
        make("lj", {"epsilon_ev": -1})


def test_its_method_has_what_was_chosen() -> None:
    assert make("lj").method() == make("lj", {}).method()
    assert make("lj", {"cutoff_a": 9}).method() != make("lj").method()
    assert make("lj", {"sigma_a": 3.4}).method() != make("lj").method()
