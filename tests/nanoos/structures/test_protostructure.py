import numpy as np
import pytest
from crystals import descriptions, example, mirrored
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from normalisers import Group, closure

from nanoos.structures import Species, Structure, analyse
from nanoos.structures.normalisers import LETTERS, permutations
from nanoos.structures.protostructure import canonical


def label(structure):
    return analyse(structure).protostructure


# Labels as in M. J. Mehl et al., Comput. Mater. Sci. 136, S1 (2017), where their choice of
# origin is the one with the earliest letters.
@pytest.mark.parametrize(
    ("name", "expected"),
    {
        "copper": "A_cF4_225_a:Cu",
        "iron-alpha": "A_cI2_229_a:Fe",
        "magnesium": "A_hP2_194_c:Mg",
        "silicon": "A_cF8_227_a:Si",
        "tellurium": "A_hP3_154_a:Te",
        "halite": "AB_cF8_225_a_b:Cl-Na",
        "wurtzite-2h": "AB_hP4_186_b_b:S-Zn",
        "fluorite": "AB2_cF12_225_a_c:Ca-F",
        "rutile": "A2B_tP6_136_f_a:O-Ti",
        "pyrite": "AB2_cP12_205_a_c:Fe-S",
        "corundum": "A2B3_hR10_167_c_e:Al-O",
        "ilmenite": "AB3C_hR10_148_c_f_c:Fe-O-Ti",
        "calcite": "ABC3_hR10_167_a_b_e:C-Ca-O",
        "tenorite": "AB_mC8_15_a_e:Cu-O",
        "chalcopyrite": "ABC2_tI16_122_a_b_d:Cu-Fe-S",
        "forsterite": "A2B4C_oP28_62_ac_2cd_c:Mg-O-Si",
    }.items(),
)
def test_labels_of_known_types(name, expected):
    assert label(example(name)) == expected


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("awaruite", "A_cF4_225_a:(Co,Fe,Ni)"),
        ("otavite", "ABC3_hR10_167_b_a_e:(Cd,Mg)-C-O"),
        ("orthoclase", "A2BC8D2_mC52_12_j_i_gi3j_j:(Al,Si)-K-O-Si"),
    ],
)
def test_shared_sites_are_a_kind_of_their_own(name, expected):
    assert label(example(name)) == expected


def test_one_face_centred_lattices_are_called_c():
    """Cmcm by its usual name, whichever face moyo's setting centres."""
    lattice = np.diag([3.0, 5.0, 7.0])
    fractional = np.array([[0, 0.1, 0.25], [0, 0.9, 0.75], [0.5, 0.6, 0.25], [0.5, 0.4, 0.75]])
    assert label(Structure.of(lattice, fractional @ lattice, ["U"] * 4)) == "A_oC4_63_c:U"


@settings(max_examples=40, deadline=None)
@given(descriptions())
def test_the_label_does_not_depend_on_the_description(pair):
    one, other = pair
    assert label(other) == label(one)


def test_exchanged_cations_are_another_protostructure():
    """In tausonite SrTiO3 the axes of the octahedra point at Ti; Sr and Ti do not trade places."""
    structure = example("tausonite")
    swapped = {"Sr": "Ti", "Ti": "Sr"}
    other = Structure.of(
        structure.lattice_a,
        structure.positions_a,
        [swapped.get(symbol, symbol) for symbol in structure.symbols],
    )
    assert label(structure) == "A3BC_cP5_221_c_a_b:O-Sr-Ti"
    assert label(other) == "A3BC_cP5_221_c_b_a:O-Sr-Ti"


def test_kinds_that_are_written_alike_take_turns():
    """Which of two shared sites holds more of an element is not in the label."""
    lattice = np.eye(3) * 4.0
    a, b = (Species(n, ("Cu", "Zn"), (c, 1 - c)) for n, c in (("a", 0.75), ("b", 0.25)))
    positions = np.array([[0, 0, 0], [0, 2, 2], [2, 0, 2], [2, 2, 0]])
    for kinds in ((a, b), (b, a)):
        one, three = (kind.name for kind in kinds)
        alloy = Structure(lattice, positions, kinds, (one, three, three, three))
        assert label(alloy) == "AB3_cP4_221_a_c:(Cu,Zn)-(Cu,Zn)"


def test_mirror_images_differ_where_the_group_does():
    quartz, sillimanite = example("quartz"), example("sillimanite")
    assert label(quartz) == "A2B_hP9_154_c_a:O-Si"
    assert label(mirrored(quartz)) == "A2B_hP9_152_c_a:O-Si"
    assert label(mirrored(sillimanite)) == label(sillimanite)


@given(st.integers(1, 230), st.data())
def test_renamed_letters_give_the_same_label(number, data):
    renamings = permutations(number)
    n_letters = renamings.shape[1]
    n_kinds = data.draw(st.integers(1, 4))
    times = data.draw(hnp.arrays(np.int64, (n_kinds, n_letters), elements=st.integers(0, 3)))
    renamed = times[:, data.draw(st.sampled_from(renamings.tolist()))]
    names = sorted(data.draw(st.lists(st.sampled_from("xy"), min_size=n_kinds, max_size=n_kinds)))
    alike = tuple(names.count(name) for name in sorted(set(names)))
    order = sorted(range(n_kinds), key=lambda i: (names[i], data.draw(st.integers(0, 9))))
    one = canonical(number, rows(times), alike)
    assert canonical(number, rows(renamed[order]), alike) == one
    assert sorted(map(sum, one)) == sorted(times.sum(axis=1).tolist())


def rows(times):
    return tuple((*row, *[0] * (len(LETTERS) - len(row))) for row in times.tolist())


# One of each crystal family and the hard ones: all eight inversion centres alike, 27 letters,
# two origins, polar axes. `normalisers.py` run as a program derives all 230.
@pytest.mark.parametrize("number", [5, 10, 47, 62, 136, 166, 216, 227])
def test_the_table_is_what_the_operations_say(number):
    derived = [[LETTERS.index(i) for i in images] for images in Group(number).permutations()]
    found = permutations(number)
    if not derived:
        assert len(found) == 1
    else:
        assert {tuple(p) for p in found.tolist()} == closure(derived, found.shape[1])


def test_all_inversion_centres_of_a_triclinic_crystal_are_alike():
    """The affine group of a cube's corners modulo 2 has 8 · 168 elements."""
    assert len(permutations(2)) == 8 * 168
