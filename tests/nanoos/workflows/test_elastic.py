"""The elastic tensor agrees with other ways to the same numbers, whatever the axes."""

import numpy as np
import pytest
from ase import Atoms
from ase.build import bulk, make_supercell
from hypothesis import given
from hypothesis import strategies as st
from scipy.spatial.transform import Rotation

from nanoos.engines import Evaluation
from nanoos.engines.emt import Emt
from nanoos.errors import UnsupportedByEngine
from nanoos.structures import Structure, point_group
from nanoos.workflows import stiffness
from nanoos.workflows.elastic import Elastic, ElasticParameters
from nanoos.workflows.equation_of_state import EquationOfState, EquationOfStateParameters
from nanoos.workflows.relax import Relax, RelaxParameters

TURN = Rotation.from_rotvec([0.3, -0.5, 0.9]).as_matrix()


def silent(share, doing, **numbers):
    pass


@pytest.fixture(scope="module")
def relaxed(tmp_path_factory):
    """A function that relaxes a crystal with EMT."""
    folder = tmp_path_factory.mktemp("relaxed")

    def relax(atoms, **parameters):
        parameters = RelaxParameters(smax=0.005, fmax=0.001, **parameters)
        run = Relax().run(Structure.from_ase(atoms), parameters, Emt(), silent, folder)
        assert run.convergence["converged"]
        return run.output_structure

    return relax


def elastic(structure, engine=None, **parameters):
    return Elastic().run(structure, ElasticParameters(**parameters), engine or Emt(), silent, None)


def tensor(outcome):
    return np.array(outcome.data["stiffness"]["values"])


@pytest.mark.parametrize(
    "symbol",
    ["Al", "Au", *(pytest.param(one, marks=pytest.mark.slow) for one in ("Ag", "Cu", "Ni", "Pt"))],
)
def test_the_bulk_modulus_is_that_of_the_equation_of_state(symbol, relaxed, tmp_path):
    structure = relaxed(bulk(symbol))
    found = elastic(structure)
    scan = EquationOfState().run(
        structure, EquationOfStateParameters(volume_range=0.02), Emt(), silent, tmp_path
    )
    assert found.convergence["converged"]
    assert found.convergence["asymmetry"] < 1e-3
    assert found.quantities["bulk_modulus_gpa"] == pytest.approx(
        scan.quantities["bulk_modulus_gpa"], rel=0.03
    )
    c = tensor(found)
    assert c[0, 0] == pytest.approx(c[2, 2])
    assert c[3, 3] == pytest.approx(c[5, 5])
    assert np.abs(c[:3, 3:]).max() < 1e-6 * c[0, 0]
    assert found.data["is_stable"]


def test_turned_or_repeated_it_is_the_same_crystal(relaxed):
    """The tensor turns with the axes; what does not depend on them stays."""
    structure = relaxed(bulk("Cu"))
    atoms = structure.to_ase().repeat((2, 1, 1))
    atoms.set_cell(atoms.cell.array @ TURN.T, scale_atoms=True)
    one, other = (elastic(one, points_per_side=1) for one in (structure, Structure.from_ase(atoms)))
    np.testing.assert_allclose(
        tensor(other), stiffness.rotated(tensor(one), TURN), atol=1e-3 * tensor(one)[0, 0]
    )
    for name in ("shear_modulus_gpa", "youngs_modulus_gpa", "poisson_ratio"):
        assert other.quantities[name] == pytest.approx(one.quantities[name], rel=1e-3)
    assert other.quantities["universal_anisotropy"] == pytest.approx(
        one.quantities["universal_anisotropy"], rel=1e-2
    )


def layered(cell):
    """Copper and gold in planes by turns."""
    return Atoms("CuAu", cell=cell, scaled_positions=[[0] * 3, [0.5] * 3], pbc=True)


CRYSTALS = {
    "cubic": bulk("Cu"),
    "hexagonal": bulk("Cu", "hcp", a=2.55, c=4.2),
    "trigonal": layered([[3.2, 3.2, 0.4], [3.2, 0.4, 3.2], [0.4, 3.2, 3.2]]),
    "tetragonal": layered([[2.8, 0, 0], [0, 2.8, 0], [0, 0, 3.7]]),
    "orthorhombic": layered([[2.7, 0, 0], [0, 2.9, 0], [0, 0, 3.7]]),
    "monoclinic": layered([[2.8, 0, 0.3], [0, 2.9, 0], [0, 0, 3.7]]),
    "triclinic": layered([[2.8, 0.2, 0.3], [0, 2.9, 0.1], [0, 0, 3.7]]),
}
N_CONSTANTS = dict(zip(CRYSTALS, (3, 5, 6, 6, 9, 13, 21), strict=True))  # Nye, table 9
N_STRAINS = dict(zip(CRYSTALS, (2, 3, 3, 4, 6, 6, 6), strict=True))


@pytest.mark.parametrize(
    ("system", "n_strains"),
    [
        ("cubic", 2),
        pytest.param("trigonal", 2, marks=pytest.mark.slow),
        pytest.param("hexagonal", 3, marks=pytest.mark.slow),
        pytest.param("tetragonal", 4, marks=pytest.mark.slow),
    ],
)
def test_few_strains_give_the_tensor_of_all_six(system, n_strains, tmp_path):
    """In any setting and orientation; turned it may be fewer."""
    tight = RelaxParameters(smax=1e-6, fmax=1e-6)
    relaxed = Relax().run(Structure.from_ase(CRYSTALS[system]), tight, Emt(), silent, tmp_path)
    structure = relaxed.output_structure
    other = make_supercell(structure.to_ase(), [[1, 1, 0], [0, 1, 0], [0, 1, 1]])
    other.set_cell(other.cell.array @ TURN.T, scale_atoms=True)
    for one in (structure, Structure.from_ase(other)):
        small = {"max_strain": 1e-3, "fmax": 1e-7}
        few, all_six = elastic(one, **small), elastic(one, **small, symmetry=False)
        assert all_six.data["strains"] == ["xx", "yy", "zz", "yz", "xz", "xy"]
        assert len(few.data["strains"]) == n_strains or one is not structure
        assert len(few.data["strains"]) <= n_strains
        np.testing.assert_allclose(
            tensor(few), tensor(all_six), atol=1e-6 * np.abs(tensor(all_six)).max()
        )
        assert few.convergence["converged"]


def test_stress_that_remains_is_told():
    outcome = elastic(Structure.from_ase(bulk("Ni", a=3.4)), points_per_side=1)
    assert not outcome.convergence["converged"]
    assert "relax it first" in outcome.convergence["notes"][0]


class Solid(Emt):
    """A solid of a given stiffness around a cube of 3 Å, whose two atoms follow half of a shear.

    The atoms are held by springs to where the strain carries them and, under a shear xy, away from
    there: what relaxes lowers the stress of that shear.
    """

    def __init__(self, tensor):
        self.tensor = tensor

    def calculate(self, structure):
        strain = structure.lattice_a / 3 - np.eye(3)
        voigt = np.array([strain[i, j] + strain[j, i] for i, j in stiffness.PAIRS])
        voigt[:3] /= 2
        ideal = (np.array([[0, 0, 0], [0.5, 0.5, 0.5]])) @ structure.lattice_a
        apart = (structure.positions_a - ideal)[1] - (structure.positions_a - ideal)[0]
        away = apart - np.array([voigt[5], 0, 0])
        forces = np.array([away, -away])
        stress = stiffness.strain_of(self.tensor @ voigt * [1, 1, 1, 2, 2, 2])
        slack = away[0]  # d(away²/2)/d(strain xy)
        stress[0, 1] -= slack
        stress[1, 0] -= slack
        return Evaluation(float(away @ away / 2), forces, stress)


def solid():
    return Structure.of(3 * np.eye(3), [[0, 0, 0], [1.5, 1.5, 1.5]], ["Cu", "Au"])


def test_atoms_are_relaxed_in_strained_cells():
    given_ = np.diag([200.0, 200, 200, 50, 50, 50])
    np.testing.assert_allclose(
        elastic(solid(), Solid(given_), fmax=1e-5, symmetry=False).data["slopes"]["values"],
        given_,
        atol=0.01,
    )


def test_a_crystal_that_a_shear_lowers_is_not_stable():
    outcome = elastic(solid(), Solid(np.diag([200.0, 200, 200, -5, -5, -5])), points_per_side=1)
    assert not outcome.data["is_stable"]
    assert "not stable" in " ".join(outcome.convergence["notes"])
    assert "shear_modulus_gpa" not in outcome.quantities


def test_what_has_no_cell_is_refused():
    with pytest.raises(UnsupportedByEngine, match="crystal"):
        elastic(Structure.of(None, [[0.0, 0, 0]], ["Cu"]))


ISOTROPIC = {"bulk": st.floats(10, 400), "shear": st.floats(5, 300)}


def isotropic(bulk_gpa, shear_gpa):
    c = np.diag([2 * shear_gpa] * 3 + [shear_gpa] * 3)
    c[:3, :3] += bulk_gpa - 2 * shear_gpa / 3
    return c


@given(**ISOTROPIC)
def test_an_isotropic_solid_has_its_two_moduli_by_every_average(bulk, shear):
    c = isotropic(bulk, shear)
    for mean in (stiffness.voigt(c), stiffness.reuss(c), stiffness.hill(c)):
        assert mean.bulk_gpa == pytest.approx(bulk)
        assert mean.shear_gpa == pytest.approx(shear)
    assert stiffness.universal_anisotropy(c) == pytest.approx(0, abs=1e-6)
    # pulled along x, free across: its stiffness is Young's modulus, and it narrows by Poisson's
    along = np.linalg.solve(c, [1, 0, 0, 0, 0, 0])
    assert 1 / along[0] == pytest.approx(mean.youngs_gpa)
    assert -along[1] / along[0] == pytest.approx(mean.poisson_ratio, abs=1e-9)


@given(
    seed=st.integers(0, 2**32 - 1),
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_no_average_depends_on_the_axes_and_reuss_bounds_voigt(seed, turn):
    half = np.random.default_rng(seed).normal(size=(6, 6))
    c = half @ half.T * 10 + 50 * np.eye(6)
    turned = stiffness.rotated(c, Rotation.from_rotvec(turn).as_matrix())
    np.testing.assert_allclose(
        stiffness.eigenvalues_gpa(turned), stiffness.eigenvalues_gpa(c), rtol=1e-8
    )
    for average in (stiffness.voigt, stiffness.reuss):
        assert average(turned).bulk_gpa == pytest.approx(average(c).bulk_gpa)
        assert average(turned).shear_gpa == pytest.approx(average(c).shear_gpa)
    assert stiffness.reuss(c).bulk_gpa <= stiffness.voigt(c).bulk_gpa * (1 + 1e-9)
    assert stiffness.reuss(c).shear_gpa <= stiffness.voigt(c).shear_gpa * (1 + 1e-9)
    assert stiffness.universal_anisotropy(c) >= -1e-9


@given(
    system=st.sampled_from(list(CRYSTALS)),
    seed=st.integers(0, 2**32 - 1),
    turn=st.tuples(*[st.floats(-3, 3)] * 3),
)
def test_the_tensor_that_symmetry_leaves_is_found_from_the_strains_that_it_leaves(
    system, seed, turn
):
    """What it leaves is as many numbers as it should be, and errors do not grow much."""
    turn = Rotation.from_rotvec(turn).as_matrix()
    group = turn @ point_group(Structure.from_ase(CRYSTALS[system]), 0.01) @ turn.T
    basis = stiffness.allowed(group)
    assert len(basis) == N_CONSTANTS[system]
    rng = np.random.default_rng(seed)
    half = rng.normal(size=(6, 6))
    c = np.mean([stiffness.rotated(half + half.T, one) for one in group], axis=0)
    strains = stiffness.independent(basis)
    assert len(strains) <= N_STRAINS[system]
    np.testing.assert_allclose(stiffness.fitted(c[:, strains], strains, basis), c, atol=1e-9)
    noise = rng.normal(size=(6, len(strains)))
    found = stiffness.fitted(c[:, strains] + noise, strains, basis)
    kelvin = np.linalg.norm(stiffness.kelvin_of(found - c))
    assert kelvin <= 2 * np.linalg.norm(noise) / stiffness.LEAST_SINGULAR_VALUE
    # of all six it is the mean over the group and both orders of indices
    everything = half + rng.normal(size=(6, 6))
    mean = np.mean([stiffness.rotated(everything, one) for one in group], axis=0)
    np.testing.assert_allclose(
        stiffness.fitted(everything, range(6), basis), (mean + mean.T) / 2, atol=1e-9
    )
