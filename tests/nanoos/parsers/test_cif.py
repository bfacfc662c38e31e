import re
from pathlib import Path

import ase.io
import ase.test
import gemmi
import numpy as np
import pytest
from ase import Atoms

from nanoos.errors import ParseError, StructureError
from nanoos.parsers import Parsed, Rejected, Source, read
from nanoos.parsers.cif import Cif
from nanoos.structures import fingerprint, space_group

EXAMPLES = Path(__file__).parents[3] / "examples" / "crystals"
CELL = "_cell_length_a 4.0\n_cell_length_b 4.0\n_cell_length_c 6.0\n"
ANGLES = "_cell_angle_alpha 90\n_cell_angle_beta 90\n_cell_angle_gamma {gamma}\n"
SITES = "loop_\n_atom_site_label\n_atom_site_fract_x\n_atom_site_fract_y\n_atom_site_fract_z\n"


def cif(
    sites,
    symmetry="_symmetry_space_group_name_H-M 'P 1'\n",
    gamma=90,
    columns="",
    cell=CELL,
    more="",
):
    return f"data_x\n{more}{cell}{ANGLES.format(gamma=gamma)}{symmetry}{SITES}{columns}{sites}\n"


def one(text):
    (parsed,) = list(Cif().parse(Source.of_text(text)))
    return parsed.structure


def example(name):
    return (EXAMPLES / name).read_text()


def operators(tag, *texts):
    return f"loop_\n{tag}\n" + "\n".join(f"'{t}'" for t in texts) + "\n"


INVERSION = ("x, y, z", "-x, -y, -z")


@pytest.mark.parametrize(
    "symmetry",
    [
        operators("_symmetry_equiv_pos_as_xyz", *INVERSION),
        operators("_space_group_symop_operation_xyz", *INVERSION),
        "_symmetry_space_group_name_H-M 'P -1'\n",
        "_space_group_name_H-M_alt 'P -1'\n",
        "_space_group_name_Hall '-P 1'\n",
        "_space_group_IT_number 2\n",
        "_symmetry_Int_Tables_number 2\n",
    ],
)
def test_symmetry_may_be_stated_in_any_way(symmetry):
    structure = one(cif("Cu1 0.1 0.2 0.3", symmetry))
    assert structure.n_sites == 2
    np.testing.assert_allclose(structure.fractional, [[0.1, 0.2, 0.3], [0.9, 0.8, 0.7]])


SETTINGS = list(gemmi.spacegroup_table())


def cell_of(group, chance):
    """Return a cell with the group's metric: any one, averaged over its operations."""
    lattice = np.eye(3) * [50, 60, 70] + chance.uniform(-9, 9, (3, 3))
    turns = [np.array(op.rot) / gemmi.Op.DEN for op in group.operations()]
    metric = sum(turn.T @ lattice @ lattice.T @ turn for turn in turns) / len(turns)
    lengths = np.sqrt(np.diag(metric))
    cosines = metric / np.outer(lengths, lengths)
    angles = np.degrees(np.arccos([cosines[1, 2], cosines[0, 2], cosines[0, 1]]))
    names = [f"length_{k}" for k in "abc"] + ["angle_alpha", "angle_beta", "angle_gamma"]
    numbers = zip(names, [*lengths, *angles], strict=True)
    return "".join(f"_cell_{name} {float(number)!r}\n" for name, number in numbers)


@pytest.mark.parametrize("part", range(4))
def test_every_setting_of_every_space_group_in_every_way_of_stating_it(part):
    chance = np.random.default_rng(part)
    for group in SETTINGS[part::4]:
        rest = f"{SITES}Cu1 0.0829 0.2071 0.3713\nO1 0.2043 0.0379 0.4411\n"
        head = f"data_x\n{cell_of(group, chance)}"
        triplets = [op.triplet() for op in group.operations()]
        ways = [
            operators("_space_group_symop_operation_xyz", *(t.upper() for t in triplets)),
            f"_space_group_name_Hall '{group.hall}'\n",
            f"_symmetry_space_group_name_H-M '{group.xhm().replace(' ', '')}'\n",
        ]
        found = [one(head + way + rest) for way in ways]
        assert len({fingerprint(structure) for structure in found}) == 1, group.xhm()
        assert found[0].n_sites == 2 * len(triplets)
        assert space_group(found[0], 1e-4).number == group.number, group.xhm()


@pytest.mark.parametrize(
    "symmetry",
    [
        "loop_\n_symmetry_equiv_pos_as_xyz\nx,y,z\n-x+1/2,-y,-z\n",
        "loop_\n_symmetry_equiv_pos_as_xyz\nX, Y, Z\n-X+1/2, -Y, -Z\n",
        "loop_\n_Symmetry_Equiv_Pos_As_XYZ\n'X, Y, Z'\n'0.5-X, -Y, -Z'\n",
        "loop_\n_symmetry_equiv.id\n_symmetry_equiv.pos_as_xyz\n1 x,y,z\n2 .5-x,-y,-z\n",
        "loop_\n_space_group_symop.operation_xyz\n'x, y, z'\n'1/2-x, -y, -z'\n",
        "loop_\n_space_group_symop_operation_xyz\n?\n"
        + operators("_symmetry_equiv_pos_as_xyz", "x,y,z", "1/2-x,-y,-z"),
    ],
)  # fmt: skip
def test_operators_in_the_dialects_that_programs_write(symmetry):
    structure = one(cif("Cu1 0.1 0.2 0.3", symmetry))
    np.testing.assert_allclose(structure.fractional, [[0.1, 0.2, 0.3], [0.4, 0.8, 0.7]])


@pytest.mark.parametrize(
    ("stated", "same"),
    [
        ("'F d -3 m S'", "'F d -3 m:1'"),
        ("'F d -3 m Z'", "'F d -3 m:2'"),
        ("'P 3 2 1 H'", "'P 3 2 1'"),
        ("P2_1/c", "'P 1 21/c 1'"),
        ("P2(1)/c", "'P 1 21/c 1'"),
        ("'R -3 m H'", "'R -3 m:H'"),
    ],
)
def test_names_of_space_groups_in_other_spellings(stated, same):
    tag = "_symmetry_space_group_name_H-M "
    wide = CELL.replace("4.0", "20.0").replace("6.0", "20.0")
    sites = "Cu1 0.0829 0.2171 0.3713"
    found = [one(cif(sites, f"{tag}{name}\n", cell=wide)) for name in (stated, same)]
    assert fingerprint(found[0]) == fingerprint(found[1])


def test_dots_and_case_of_tags_do_not_matter():
    text = example("orthoclase_0007928.cif")
    for part in ("cell", "atom_site", "symmetry", "space_group", "chemical", "journal", "publ"):
        text = re.sub(rf"^_{part}_", f"_{part.upper()}.", text, flags=re.MULTILINE)
    assert "_ATOM_SITE.fract_x" in text
    (dotted,) = list(Cif().parse(Source.of_text(text)))
    (plain,) = list(Cif().parse(Source.of_text(example("orthoclase_0007928.cif"))))
    assert fingerprint(dotted.structure) == fingerprint(plain.structure)
    assert (dotted.name, dotted.extra) == (plain.name, plain.extra)


def test_listed_operators_outweigh_the_name():
    symmetry = operators("_symmetry_equiv_pos_as_xyz", "x,y,z")
    stale = "_symmetry_space_group_name_H-M 'F m -3 m'\n"
    assert one(cif("Cu1 0.1 0.2 0.3", symmetry + stale)).n_sites == 1


@pytest.mark.parametrize(
    ("symmetry", "message"),
    [
        ("_symmetry_space_group_name_H-M 'F d -3 m'\n", "two origin choices"),
        ("_space_group_IT_number 227\n", "two origin choices"),
        ("_space_group_IT_number 231\n", "unknown"),
        ("_symmetry_space_group_name_H-M 'Q 7'\n", "unknown"),
        ("_space_group_name_Hall 'nonsense'\n", "not a Hall symbol"),
        (operators("_symmetry_equiv_pos_as_xyz", "x,y,z", "x+1/5,y,z"), "not a symmetry operator"),
        (operators("_symmetry_equiv_pos_as_xyz", "-x,y,z"), "incomplete"),
        (operators("_symmetry_equiv_pos_as_xyz", "x,y,z", "-y,x,z"), "generate a group of 4"),
    ],
)
def test_symmetry_that_is_not_certain_is_refused(symmetry, message):
    with pytest.raises(ParseError, match=message):
        one(cif("Cu1 0.1 0.2 0.3", symmetry))


def test_origin_choice_in_the_symbol_is_used():
    cubic = "_cell_length_a 3.567\n_cell_length_b 3.567\n_cell_length_c 3.567\n"
    for choice, x in ((1, 0), (2, 0.125)):
        symmetry = f"_symmetry_space_group_name_H-M 'F d -3 m:{choice}'\n"
        assert one(cif(f"C1 {x} {x} {x}", symmetry, cell=cubic)).n_sites == 8


def test_rhombohedral_cell_selects_the_rhombohedral_axes():
    cell = "_cell_length_a 4.7459\n_cell_length_b 4.7459\n_cell_length_c 4.7459\n"
    angle = 57.24
    text = cif("Bi 0.23 0.23 0.23", "_symmetry_space_group_name_H-M 'R -3 m'\n", cell=cell)
    for key in ("alpha", "beta"):
        text = text.replace(f"_cell_angle_{key} 90", f"_cell_angle_{key} {angle}")
    text = text.replace("_cell_angle_gamma 90", f"_cell_angle_gamma {angle}")
    assert one(text).n_sites == 2
    by_number = text.replace(
        "_symmetry_space_group_name_H-M 'R -3 m'", "_space_group_IT_number 166"
    )
    assert fingerprint(one(by_number)) == fingerprint(one(text))


@pytest.mark.parametrize("third", ["0.33", "0.333", "0.3333", "0.333333", "0.33333333333333"])
def test_rounded_special_position_has_the_right_multiplicity(third):
    """1/3, 2/3 in P6_3/mmc: two sites, on the special position whatever the digits."""
    twice = f"{2 * float(third):.14f}"
    symmetry = "_symmetry_space_group_name_H-M 'P 63/m m c'\n"
    structure = one(cif(f"Mg {third} {twice} 0.25", symmetry, gamma=120))
    assert structure.n_sites == 2
    assert space_group(structure, 1e-4).number == 194
    np.testing.assert_allclose(structure.fractional[0], [1 / 3, 2 / 3, 1 / 4], atol=1e-12)


MIRROR = operators("_symmetry_equiv_pos_as_xyz", "x,y,z", "-x,y,z")


@pytest.mark.parametrize(
    ("x", "occupancy", "n_sites"),
    [
        ("0.03", 0.5, 2),  # 0.24 Å apart
        ("0.01", 0.5, 2),  # 0.08 Å apart: twice a half is one atom
        ("0.01", 0.51, 2),
        ("0.01", 0.6, 1),  # no alternatives: they would be 1.2 atoms
        ("0.001", 0.5, 2),  # one unit of the last digit off
        ("0.0001", 0.5, 1),  # the images are 0.0008 Å apart
        ("0.08", 0.5, 2),
    ],
)
def test_partly_occupied_site_off_its_special_position_is_split(x, occupancy, n_sites):
    parsed = next(Cif().parse(Source.of_text(
        cif(f"Na {x} 0 0 {occupancy}", MIRROR, columns="_atom_site_occupancy\n")
    )))  # fmt: skip
    assert parsed.structure.n_sites == n_sites
    assert parsed.structure.composition == {"Na": n_sites * occupancy}
    is_flagged = "split positions" in parsed.extra["disorder"]
    assert is_flagged == (n_sites == 2 and float(x) < 0.05)


def test_what_shares_a_position_is_split_together_or_not_at_all():
    rows = "Na 0.01 0 0 {}\nK 0.01 0 0 {}"
    columns = "_atom_site_occupancy\n"
    split = one(cif(rows.format(0.2, 0.3), MIRROR, columns=columns))
    assert (split.n_sites, split.composition) == (2, {"K": 0.6, "Na": 0.4})
    whole = one(cif(rows.format(0.2, 0.8), MIRROR, columns=columns))
    assert (whole.n_sites, whole.composition) == (1, {"K": 0.8, "Na": 0.2})


@pytest.mark.parametrize("third", ["0.33 0.67", "0.333 0.667", "0.3333 0.6667"])
def test_partly_occupied_site_at_a_rounded_special_position_is_not_split(third):
    threefold = operators("_symmetry_equiv_pos_as_xyz", "x,y,z", "-y,x-y,z", "-x+y,-x,z")
    text = cif(f"Na {third} 0.25 0.3", threefold, gamma=120, columns="_atom_site_occupancy\n")
    assert one(text).n_sites == 1


def test_split_position_may_lie_no_closer_than_its_occupancies_allow():
    columns = "_atom_site_occupancy\n"
    with pytest.raises(StructureError, match=r"0\.240 Å apart and their occ.* add up to 1\.200"):
        one(cif("Na 0.03 0 0 0.6", MIRROR, columns=columns))
    with pytest.raises(StructureError, match=r"overlap: they are 0\.240 Å apart\."):
        one(cif("Na 0.03 0 0 1", MIRROR, columns=columns))


def test_uncertainties_unknowns_and_default_angles():
    cell = "_cell_length_a 4.000(3)\n_cell_length_b 5.00(12)\n_cell_length_c 6.0(1)\n"
    text = cif("Cu1 0.100(2) 0.2000(10) .3 ?", columns="_atom_site_occupancy\n", cell=cell)
    structure = one(text.replace(ANGLES.format(gamma=90), ""))
    np.testing.assert_allclose(structure.lattice_a, np.diag([4, 5, 6]), atol=1e-12)
    np.testing.assert_allclose(structure.positions_a, [[0.4, 1.0, 1.8]])
    assert structure.is_ordered


def test_shared_site_becomes_one_species_and_the_rest_vacancy():
    rows = "Mg1 0 0 0 0.7\nFe1 0 0 0 0.2\nO1 0.5 0.5 0.5 1"
    structure = one(cif(rows, columns="_atom_site_occupancy\n"))
    assert structure.n_sites == 2
    (shared,) = (s for s in structure.species if not s.is_ordered)
    assert dict(zip(shared.chemical_symbols, shared.concentration, strict=True)) == pytest.approx(
        {"Fe": 0.2, "Mg": 0.7, "vacancy": 0.1}
    )
    assert not structure.is_ordered


def test_shared_site_is_recognised_at_an_image():
    symmetry = operators("_symmetry_equiv_pos_as_xyz", *INVERSION)
    rows = "Mg1 0.1 0.2 0.3 0.5\nFe1 0.9 -0.2 1.7 0.5"
    structure = one(cif(rows, symmetry, columns="_atom_site_occupancy\n"))
    assert structure.species_at_sites == ("Fe0.5Mg0.5", "Fe0.5Mg0.5")


def test_occupancies_rounded_in_print_may_add_up_to_slightly_more():
    rows = "Mg1 0 0 0 0.34\nFe1 0 0 0 0.34\nMn1 0 0 0 0.33"
    assert one(cif(rows, columns="_atom_site_occupancy\n")).n_sites == 1


def test_occupancy_refined_to_slightly_more_is_full():
    assert one(cif("Mg1 0 0 0 1.012", columns="_atom_site_occupancy\n")).is_ordered


def test_disorder_is_said_in_its_kinds():
    columns = "_atom_site_occupancy\n_atom_site_disorder_group\n"
    rows = "Na1 0 0 0 0.5 .\nNa2 0 0 0.05 0.5 .\nMg1 0 0 0.5 0.7 1\nFe1 0 0 0.5 0.3 2"
    for lines, kinds in [
        (rows, ["partial occupancy", "mixed occupancy", "split positions", "alternative groups"]),
        ("Na1 0 0 0 0.5 .", ["partial occupancy"]),
        ("Na1 0 0 0 0.5 .\nK1 0 0 0 0.5 .", ["mixed occupancy"]),
        ("Na1 0 0 0 1 .", None),
    ]:
        (parsed,) = list(Cif().parse(Source.of_text(cif(lines, columns=columns))))
        assert parsed.extra.get("disorder") == kinds
        assert parsed.structure.is_ordered == (kinds is None)


def test_split_position_of_a_high_symmetry_site_is_expanded_whole():
    """A site near a fourfold axis whose images lie 0.17 Å apart: four quarters, one atom."""
    quarter = operators("_symmetry_equiv_pos_as_xyz", "x,y,z", "-y,x,z", "-x,-y,z", "y,-x,z")
    structure = one(cif("Na 0.03 0 0 0.25", quarter, columns="_atom_site_occupancy\n"))
    assert structure.n_sites == 4
    assert structure.composition == {"Na": 1.0}


def test_site_whose_images_partly_coincide_is_kept_where_it_can_be():
    """0.08 Å from one of two axes: not moved where that gives no position of the group."""
    group = operators("_symmetry_equiv_pos_as_xyz", "x,y,z", "-y,x,z", "-x,-y,z", "y,-x,z")
    text = cif("Na 0.0177 0 0 0.25", group, columns="_atom_site_occupancy\n")
    assert one(text).n_sites == 4


def test_unoccupied_and_dummy_sites_are_left_out():
    columns = "_atom_site_occupancy\n_atom_site_calc_flag\n"
    rows = "Cu1 0 0 0 1 d\nCu2 0.5 0.5 0.5 0 d\nX1 0.2 0.2 0.2 1 dum"
    assert one(cif(rows, columns=columns)).n_sites == 1


@pytest.mark.parametrize(
    ("label", "formula", "element"),
    [
        ("Fe1A", None, "Fe"),
        ("SiT1", None, "Si"),
        ("O(3)", None, "O"),
        ("Ob1", None, "O"),
        ("OH1", None, "O"),
        ("D1", None, "H"),
        ("CL1", "Na Cl", "Cl"),
        ("CO1", "Ca C O3", "C"),
        ("CO1", "Co O", "Co"),
        ("Wat", "Ca H2 O2", "O"),
        ("Wat1", None, "O"),
        ("W1", "Ca H2 O2", "O"),
        ("W1", None, "W"),
        ("W1", "W O3", "W"),
        ("Wat", "W2 O7 H2", "O"),
        ("TI1", "Ti O2", "Ti"),
        ("Cd1", "C6 H6", "C"),
        ("NH4", "(N H4) Cl", "N"),
    ],
)
def test_element_of_a_label(label, formula, element):
    text = cif(f"{label} 0 0 0", more=f"_chemical_formula_sum '{formula}'\n" if formula else "")
    # every element of the formula must have a site
    rest = set(re.findall(r"[A-Z][a-z]?", formula or "")) - {element, "H"}
    text += "".join(f"{e}9 0.5 0.5 {0.3 * k}\n" for k, e in enumerate(sorted(rest), start=1))
    assert one(text).symbols[0] == element


def test_type_symbol_outweighs_the_label():
    text = cif("Ca1 0 0 0 C4+", columns="_atom_site_type_symbol\n")
    assert one(text).symbols == ["C"]


def test_several_blocks_and_a_citation_for_all():
    citation = "data_global\n_journal_year 1999\nloop_\n_publ_author_name\n'A. Bee'\n'C. Dee'\n"
    first = cif("Cu1 0 0 0").replace("data_x", "data_first\n_chemical_name_mineral Copper")
    second = cif("Au1 0 0 0").replace("data_x", "data_second\n_cod_database_code 123")
    a, b = list(Cif().parse(Source.of_text(citation + first + second)))
    assert (a.name, b.name) == ("Copper", "second")
    assert (
        a.extra["citation"]
        == b.extra["citation"]
        == {"year": 1999, "authors": ["A. Bee", "C. Dee"]}
    )
    assert (b.extra["database"], b.extra["database_code"]) == ("COD", "123")


def test_error_names_its_block_where_there_are_several_and_the_others_are_read():
    good, bad = cif("Cu1 0 0 0"), cif("Cu1 0 0 0\nAu1 0 0 0").replace("data_x", "data_bad")
    rejected, parsed = list(Cif().parse(Source.of_text(bad + good)))
    assert "Block bad: Atom sites Cu1 and Au1 overlap" in str(rejected.error)
    assert parsed.structure.symbols == ["Cu"]


def test_block_with_broken_syntax_leaves_the_others_in():
    good = cif("Cu1 0 0 0").replace("data_x", "data_good")
    broken = cif("Cu1 0 0").replace("data_x", "data_broken")
    unterminated = good.replace("data_good", "data_text\n_publ_section_title\n;\n'")
    for bad in (broken, unterminated):
        found = list(Cif().parse(Source.of_text(good + bad + good)))
        assert [type(one) for one in found] == [Parsed, Rejected, Parsed]
        assert "syntax is broken" in str(found[1].error)
        assert found[1].error.line > good.count("\n")


COD = """\
#------------------------------------------------------------------------------
#$Date: 2016-02-13 21:28:24 +0200 $
#
# This file is available in the Crystallography Open Database (COD),
# http://www.crystallography.net/. The file may be used within the scientific
# community so long as proper attribution is given.
#
"""


@pytest.mark.parametrize(
    ("head", "tag", "licence"),
    [
        ("", "", None),
        ("# Written by a program.\n", "", None),
        (
            COD,
            "",
            "The file may be used within the scientific community so long as proper attribution is "
            "given.",
        ),
        (COD, "_audit_license 'CC BY 4.0'\n", "CC BY 4.0"),
    ],
)
def test_licence_is_kept_where_the_file_states_one(head, tag, licence):
    (parsed,) = list(Cif().parse(Source.of_text(head + cif("Cu1 0 0 0", more=tag))))
    assert parsed.extra.get("licence") == licence


FROM_COD = sorted((Path(ase.test.__file__).parent / "testdata" / "minerals").glob("cod_*.cif"))


def test_files_of_the_cod_state_their_licence():
    assert len(FROM_COD) >= 8
    stated = {read(path)[0].extra["licence"] for path in FROM_COD}
    assert stated == {
        "All data on this site have been placed in the public domain by the contributors.",
        "The file may be used within the scientific community so long as proper attribution is "
        "given to the journal article from which the data were obtained.",
    }


@pytest.mark.parametrize("path", FROM_COD, ids=lambda p: p.stem)
def test_files_of_the_cod_agree_with_ase(path):
    (parsed,) = read(path)
    assert parsed.extra["database"] in {"AMCSD", "COD"}  # what COD took over says so
    if parsed.structure.is_ordered:
        assert_same_atoms(parsed.structure.to_ase(), ase.io.read(path, format="cif"))


def test_numbers_of_sites_and_of_their_coincidences_are_limited():
    grid = "".join(f"Cu 0.{i:03} 0.{j:03} 0.5\n" for i in range(700) for j in range(150))
    wide = CELL.replace("4.0", "4000.0")
    with pytest.raises(ParseError, match="more than 100000 sites"):
        one(cif(grid, cell=wide))
    same = "Cu 0 0 0 0.0001\n" * 6000
    with pytest.raises(ParseError, match="More than 64 atom sites share one position"):
        one(cif(same, columns="_atom_site_occupancy\n"))
    assert one(cif("".join(grid.splitlines(keepends=True)[:6000]), cell=wide)).n_sites == 6000


def test_example_carries_its_provenance():
    (parsed,) = list(Cif().parse(Source.of_text(example("quartz_0006362.cif"))))
    assert parsed.name == parsed.extra["mineral"] == "Quartz"
    assert (parsed.extra["database"], parsed.extra["database_code"]) == ("AMCSD", "0006362")
    citation = parsed.extra["citation"]
    assert citation["authors"] == ["Kihara K"]
    assert (citation["journal"], citation["year"]) == ("European Journal of Mineralogy", 1990)
    assert parsed.extra["stated_space_group"] == "P 32 2 1"


ORDERED = [p for p in sorted(EXAMPLES.glob("*.cif")) if "_atom_site_occupancy" not in p.read_text()]


@pytest.mark.parametrize("path", ORDERED, ids=lambda p: p.stem)
def test_expansion_agrees_with_gemmi(path):
    """gemmi's own expansion of the same file puts the same elements at the same places."""
    ours = one(path.read_text()).to_ase()
    theirs = gemmi.read_small_structure(str(path))
    sites = theirs.get_all_unit_cell_sites()
    expected = Atoms(
        [site.element.name for site in sites],
        scaled_positions=[site.fract.tolist() for site in sites],
        cell=theirs.cell.parameters,
        pbc=True,
    )
    assert_same_atoms(ours, expected)


@pytest.mark.parametrize(
    "name",
    [
        *("calcite_0000984", "quartz_0006362", "rutile_0011762", "hematite_0000143"),
        *("wurtzite-2h_0011556", "gaas_0011523", "zircon_0006906", "brookite_0005160"),
        *("dolomite_0000584", "beryl_0001040", "chalcopyrite_0009476", "ilmenite_0000925"),
    ],
)
def test_expansion_agrees_with_ase(name):
    """ASE knows the settings of these; so does its own CIF reader."""
    path = EXAMPLES / f"{name}.cif"
    assert_same_atoms(one(path.read_text()).to_ase(), ase.io.read(path, format="cif"))


def assert_same_atoms(ours, expected):
    assert ours.get_chemical_formula() == expected.get_chemical_formula()
    np.testing.assert_allclose(ours.cell.cellpar(), expected.cell.cellpar(), atol=1e-9)
    both = ours + expected
    n = len(ours)
    apart = both.get_all_distances(mic=True)[:n, n:]
    nearest = apart.argmin(axis=1)
    assert sorted(nearest) == list(range(n))
    assert apart.min(axis=1).max() < 2e-3  # special positions are printed with 4 digits or more
    assert all(a == expected[j].symbol for a, j in zip(ours.symbols, nearest, strict=True))


def test_reading_twice_gives_the_same_fingerprint():
    text = example("orthoclase_0007928.cif")
    assert fingerprint(one(text)) == fingerprint(one(text))
