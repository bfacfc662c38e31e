import pytest
from hypothesis import given
from hypothesis import strategies as st

from nanoos.structures import formula

CASES = {
    # composition: reduced, anonymous, Hill (crystal), system
    (("Ti", 2), ("O", 4)): ("O2Ti", "A2B", "O2Ti", "O-Ti"),
    (("O", 2),): ("O", "A", "O", "O"),
    (("Na", 4), ("Cl", 4)): ("ClNa", "AB", "ClNa", "Cl-Na"),
    (("Ca", 6), ("C", 6), ("O", 18)): ("CCaO3", "A3BC", "CCaO3", "C-Ca-O"),
    (("H", 8), ("C", 4), ("O", 4)): ("CH2O", "A2BC", "CH2O", "C-H-O"),
    (("O", 1), ("H", 2)): ("H2O", "A2B", "H2O", "H-O"),
}


@pytest.mark.parametrize(("composition", "expected"), CASES.items())
def test_formulas_follow_optimade(composition, expected):
    composition = dict(composition)
    assert (
        formula.reduced(composition),
        formula.anonymous(composition),
        formula.hill(composition, molecule=False),
        formula.chemical_system(composition),
    ) == expected


def test_hill_formula_of_a_molecule_is_whole_and_carbon_leads():
    assert formula.hill({"Br": 1, "C": 2, "H": 5}, molecule=True) == "C2H5Br"
    assert formula.hill({"H": 6, "C": 6}, molecule=True) == "C6H6"
    assert formula.hill({"O": 2}, molecule=True) == "O2"


def test_anonymous_symbols_go_on_after_z():
    names = [a + b for a in "ABC" for b in "abcdefghi"] + ["D"]
    assert formula.anonymous(dict.fromkeys(names, 1.0)).endswith("YZAaBa")


def test_occupancies_become_near_integers():
    olivine = {"Mg": 7.2, "Fe": 0.8, "Si": 4.0, "O": 16.0}
    assert formula.reduced(olivine) == "FeMg9O20Si5"
    assert formula.hill(olivine, molecule=False) is None
    assert formula.reduced({"Cu": 0.333, "Au": 0.667}) == "Au2Cu"
    assert "Er" in formula.reduced({"Si": 1.0, "Er": 1e-5})


def test_trace_is_no_absence():
    doped = {"Si": 8.0, "Er": 1e-7}
    assert formula.proportions(doped) == {"Si": 10_000, "Er": 1}
    assert formula.reduced(doped) == "ErSi10000"
    assert formula.anonymous(doped) == "A10000B"
    assert formula.hill(doped, molecule=True) is None
    assert formula.proportions({"Si": 1e-7}) == {"Si": 1}


@given(
    st.dictionaries(
        st.sampled_from(["H", "C", "N", "O", "Na", "Si", "Fe"]), st.floats(0.01, 1), min_size=1
    ),
    st.integers(1, 8),
)
def test_the_cell_chosen_does_not_matter(composition, copies):
    supercell = {e: n * copies for e, n in composition.items()}
    small, large = formula.proportions(composition), formula.proportions(supercell)
    for element in composition:
        a, b = small[element] / sum(small.values()), large[element] / sum(large.values())
        assert a == pytest.approx(b, abs=2 * formula.FRACTION_TOLERANCE)
        assert a == pytest.approx(
            composition[element] / sum(composition.values()), abs=formula.FRACTION_TOLERANCE
        )
