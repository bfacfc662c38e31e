"""Parameters as they are typed become one set for each combination of values."""

import pytest

from api.cli.parameters import combinations
from api.errors import WrongUsage


def test_values_with_commas_are_combined_and_lists_are_one():
    assert combinations("--param", ["fmax=0.01,0.05", "cell=fixed,free"]) == [
        {"fmax": fmax, "cell": cell} for fmax in (0.01, 0.05) for cell in ("fixed", "free")
    ]
    assert combinations("--param", ["fixed_atoms=[0,1]", 'name="a,b"', "positions=true"]) == [
        {"fixed_atoms": [0, 1], "name": "a,b", "positions": True}
    ]
    assert combinations("--param", []) == [{}]


def test_names_within_names_are_of_a_step():
    assert combinations("--param", ["relax.fmax=0.01", "relax.smax=0.1", "elastic.fmax=1,2"]) == [
        {"relax": {"fmax": 0.01, "smax": 0.1}, "elastic": {"fmax": n}} for n in (1, 2)
    ]
    with pytest.raises(WrongUsage, match="fmax: write NAME=VALUE"):
        combinations("--param", ["fmax"])
    with pytest.raises(WrongUsage, match="relax is given as a whole, too"):
        combinations("--param", ["relax=fast", "relax.fmax=1"])
