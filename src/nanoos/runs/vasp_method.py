"""The method of a VASP run, from its parameters.

Tags and their meaning: VASP manual, "GGA", "METAGGA", "Hybrid functionals: formalism", "Nonlocal
vdW-DF functionals", "IVDW", "LDAUTYPE", "ISMEAR".
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np

from nanoos.methods import Method, Potential
from nanoos.methods.method import Spin
from nanoos.runs.k_points import grid_spacing_per_a, list_spacing_per_a
from nanoos.runs.vasp_output import Output
from nanoos.structures.geometry import cell_heights
from nanoos.structures.structure import MIN_CELL_HEIGHT_A

_GGA = {
    "CA": "LDA",
    "PZ": "LDA",
    "NO": "LDA",
    "91": "PW91",
    "PE": "PBE",
    "RE": "revPBE",
    "RP": "RPBE",
    "PS": "PBEsol",
    "AM": "AM05",
    "B3": "B3LYP",
    "B5": "B3LYP (VWN5)",
    "BF": "BEEF",
    "CX": "cx13",
    "VW": "LDA-VWN",
    "HL": "LDA-HL",
    "WI": "LDA-Wigner",
}
_LEXCH = {2: "CA", 7: "91", 8: "PE", 9: "RP", 14: "PS", 13: "AM", 40: "RE"}
"""VASP's number of a functional, as OUTCAR has it, → what GGA would be."""
_POTCAR_GGA = {
    "PAW_PBE": "PE",
    "PAW_GGA": "91",
    "PAW": "CA",
    "US": "CA",
    "NC": "CA",
    "PAW_LDA": "CA",
}
_VDW_DF = {  # GGA, whether Zab_vdW is that of the second version
    ("RE", False): "vdW-DF",
    ("OR", False): "optPBE-vdW",
    ("BO", False): "optB88-vdW",
    ("MK", False): "optB86b-vdW",
    ("CX", False): "vdW-DF-cx",
    ("ML", True): "vdW-DF2",
    ("MK", True): "rev-vdW-DF2",
    ("BF", True): "BEEF-vdW",
}
_META_GGA = {
    "TPSS": "TPSS",
    "RTPSS": "revTPSS",
    "M06L": "M06-L",
    "MBJ": "TB-mBJ",
    "SCAN": "SCAN",
    "RSCAN": "rSCAN",
    "R2SCA": "r2SCAN",  # five letters are printed in OUTCAR
    "MS0": "MS0",
    "MS1": "MS1",
    "MS2": "MS2",
}
_HYBRIDS = {  # base, exact exchange, screening in 1/Å
    ("PBE", 0.25, 0.0): "PBE0",
    ("PBE", 0.25, 0.2): "HSE06",
    ("PBE", 0.25, 0.21): "HSE06",
    ("PBE", 0.25, 0.207): "HSE06",
    ("PBE", 0.25, 0.3): "HSE03",
    ("PBEsol", 0.25, 0.2): "HSEsol",
    ("SCAN", 0.25, 0.0): "SCAN0",
    ("B3LYP", 0.2, 0.0): "B3LYP",
    ("B3LYP (VWN5)", 0.2, 0.0): "B3LYP (VWN5)",
}
_DISPERSION = {
    1: "D2",
    10: "D2",
    11: "D3",
    12: "D3(BJ)",
    13: "D4",
    2: "TS",
    20: "TS",
    21: "TS/HI",
    202: "MBD@rsSCS",
    263: "MBD@rsSCS/FI",
    3: "ULG",
    4: "dDsC",
}
_PRECISION = {
    "A": "Accurate",
    "N": "Normal",
    "S": "Single",
    "L": "Low",
    "M": "Medium",
    "H": "High",
}
_ORBITALS = "spdf"
_DEFAULTS: Mapping[str, Any] = {
    "LASPH": False,
    "ADDGRID": False,
    "LREAL": False,
    "GGA_COMPAT": True,
    "VOSKOWN": 0,
    "LDIPOL": False,
    "IDIPOL": 0,
    "EFIELD": 0.0,
    "NUPDOWN": -1.0,
    "LMODELHF": False,
    "LTHOMAS": False,
    "LSPIRAL": False,
    "LSOL": False,
    "I_CONSTRAINED_M": 0,
    "LMAXPAW": -100,
}
"""What changes energies, and what it is unless an INCAR says otherwise."""
_RADII = ("VDW_S6", "VDW_S8", "VDW_SR", "VDW_A1", "VDW_A2", "VDW_RADIUS")


def method(output: Output, hashes: Mapping[str, str]) -> Method:
    """Return the method of a run; ``hashes`` are of potentials, by title."""
    said = output.parameters
    functional, dispersion = _functional(output)
    smearing, width = _smearing(said)
    return Method(
        code="VASP",
        code_version=output.version,
        functional=functional,
        dispersion=dispersion,
        hubbard_ev=dict(_hubbard(output)),
        potentials=_potentials(output, hashes),
        cutoff_ev=said.get("ENMAX", said.get("ENCUT")),
        k_spacing_per_a=_k_spacing(output),
        smearing=smearing,
        smearing_width_ev=width,
        spin=_spin(said),
        spin_orbit=said.get("LSORBIT"),
        relativistic="scalar",
        further=dict(_further(output)),
    )


def _functional(output: Output) -> tuple[str | None, str | None]:
    """Return functional and dispersion correction by their usual names."""
    said = output.parameters
    gga = _gga(output)
    base = _meta_gga(said) or _GGA.get(gga, gga) or None
    dispersion = _dispersion(said)
    if said.get("LUSE_VDW"):
        of_rvv10 = said.get("IVDW_NL") == 2 or "BPARAM" in output.incar
        if of_rvv10 or base in _META_GGA.values():
            return base, "rVV10"
        is_second = abs((said.get("ZAB_VDW") or -0.8491) + 1.8867) < 0.01
        return _VDW_DF.get((gga, is_second), f"{base}, nonlocal van der Waals"), dispersion
    if said.get("LHFCALC"):
        return _hybrid(base, said), dispersion
    return base, dispersion


def _dispersion(said: Mapping[str, Any]) -> str | None:
    number = said.get("IVDW") or (1 if said.get("LVDW") else 0)
    return _DISPERSION.get(number, f"IVDW = {number}") if number else None


def _gga(output: Output) -> str:
    """Return the tag GGA, of the potentials where it is not set."""
    gga = str(output.parameters.get("GGA") or "").strip().upper()[:2]
    if gga.strip("-"):
        return gga
    lexch = output.parameters.get("LEXCH")
    if lexch in _LEXCH:
        return _LEXCH[lexch]
    kinds = {title.split()[0] for title in output.titles if title.split()}
    return _POTCAR_GGA.get(kinds.pop(), "") if len(kinds) == 1 else ""


def _meta_gga(said: Mapping[str, Any]) -> str | None:
    name = str(said.get("METAGGA") or "").strip().upper()
    if name in {"", "F", "--", "NONE", ".FALSE."}:
        return None
    return _META_GGA.get(name[:5], name)


def _hybrid(base: str | None, said: Mapping[str, Any]) -> str | None:
    exact, screening = said.get("AEXX", 0.25), said.get("HFSCREEN") or 0.0
    if exact == 1 and screening == 0:
        return "HF" if said.get("AGGAC", 0) == 0 and said.get("ALDAC", 0) == 0 else f"HF + {base}"
    named = _HYBRIDS.get((str(base), round(exact, 4), round(screening, 4)))
    return named or f"{base} with {exact:g} of exact exchange, screened by {screening:g} 1/Å"


def _hubbard(output: Output) -> Iterator[tuple[str, float]]:
    """Yield site and shell with U − J of each type of atom that has it (Dudarev)."""
    said = output.parameters
    lists = (said.get("LDAUL"), said.get("LDAUU"), said.get("LDAUJ"))
    if not said.get("LDAU") or not isinstance(lists[0], list) or not isinstance(lists[1], list):
        return
    j_ev = lists[2] if isinstance(lists[2], list) else [0.0] * len(lists[0])
    seen: dict[str, float] = {}
    for place, (element, orbital, u, j) in enumerate(
        zip(output.elements, lists[0], lists[1], j_ev, strict=False), 1
    ):
        if None in (orbital, u, j) or not 0 <= orbital < len(_ORBITALS) or u == j:
            continue
        site = f"{element} {_ORBITALS[int(orbital)]}"
        if seen.setdefault(site, u - j) != u - j:
            site = f"{site} ({place})"
        yield site, u - j


def _potentials(output: Output, hashes: Mapping[str, str]) -> tuple[Potential, ...]:
    known = {**output.hashes, **hashes}
    found = {
        Potential(element, title, known.get(title))
        for element, title in zip(output.elements, output.titles, strict=False)
    }
    return tuple(sorted(found, key=lambda one: (one.element, one.title)))


def _k_spacing(output: Output) -> float | None:
    """Return the distance of k-points, of the mesh or else of what is left of one."""
    cell, points = output.lattice_a, output.k_points
    if cell is None or output.is_line_mode or not cell_heights(cell).min() >= MIN_CELL_HEIGHT_A:
        return None
    if output.divisions:
        return grid_spacing_per_a(cell, output.divisions)
    if points is None:
        return None
    reciprocal = 2 * np.pi * np.linalg.inv(cell).T
    return list_spacing_per_a(cell, points[:, :3] @ reciprocal, points[:, 3])


def _smearing(said: Mapping[str, Any]) -> tuple[str | None, float | None]:
    kind = said.get("ISMEAR")
    if kind is None:
        return None, None
    if kind in (-5, -4):
        return ("tetrahedron" if kind == -5 else "tetrahedron, linear"), None
    if kind == -2:
        return "fixed", None
    named = {-1: "fermi-dirac", 0: "gaussian"}.get(kind)
    if named is None:
        named = f"methfessel-paxton {kind}" if kind > 0 else f"ISMEAR = {kind}"
    return named, said.get("SIGMA")


def _spin(said: Mapping[str, Any]) -> Spin | None:
    if said.get("LNONCOLLINEAR"):
        return "noncollinear"
    return {1: "none", 2: "collinear"}.get(said.get("ISPIN", 0))  # type: ignore[return-value]


def _further(output: Output) -> Iterator[tuple[str, Any]]:
    """Yield the other tags that change energies, where they are not as by default."""
    said = output.parameters
    if precision := _PRECISION.get(str(said.get("PREC") or " ")[0].upper()):
        yield "PREC", precision
    for name, default in _DEFAULTS.items():
        value = said.get(name)
        if value is not None and value != default:
            yield name, value
    if (said.get("ICHARG") or 0) >= 10:
        yield "ICHARG", said["ICHARG"]
    if said.get("LDAU") and said.get("LDAUTYPE", 2) != 2:
        yield from ((name, said.get(name)) for name in ("LDAUTYPE", "LDAUU", "LDAUJ"))
    yield from ((name, said[name]) for name in _RADII if said.get(name) is not None)
    electrons = said.get("NELECT")
    if electrons is not None and len(output.valences) == len(output.counts) > 0:
        charge = float(np.dot(output.valences, output.counts)) - electrons
        if abs(charge) > 1e-3:
            yield "charge", round(charge, 4)
