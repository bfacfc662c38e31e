"""The usual names of exchange-correlation functionals, whatever a program calls them."""

from __future__ import annotations

import re
from collections.abc import Mapping

WRITTEN: Mapping[str, tuple[str, ...]] = {
    "LDA": ("lda", "pz", "ca", "ca-pz", "capz", "lda-pz", "sla+pz", "lda_x+lda_c_pz", "pade"),
    "LDA-PW": ("lda-pw", "pw-lda", "lda-pw92", "sla+pw", "lda_x+lda_c_pw"),
    "PBE": (
        *("pbe", "pe", "gga-pbe", "gga_pbe", "perdew-burke-ernzerhof"),
        *("sla+pw+pbx+pbc", "sla+pw+pbe+pbe", "gga_x_pbe+gga_c_pbe"),
    ),
    "PBEsol": ("pbesol", "ps", "pbe-sol", "sla+pw+psx+psc", "gga_x_pbe_sol+gga_c_pbe_sol"),
    "RPBE": ("rpbe", "rp", "gga_x_rpbe+gga_c_pbe"),
    "revPBE": ("revpbe", "re", "sla+pw+revx+pbc", "sla+pw+rpb+pbc", "gga_x_pbe_r+gga_c_pbe"),
    "PW91": ("pw91", "91", "sla+pw+ggx+ggc", "gga_x_pw91+gga_c_pw91"),
    "WC": ("wc", "sla+pw+wcx+pbc", "gga_x_wc+gga_c_pbe"),
    "AM05": ("am05", "am", "gga_x_am05+gga_c_am05"),
    "BP86": ("bp86", "bp", "b88+p86", "gga_x_b88+gga_c_p86"),
    "BLYP": ("blyp", "sla+b88+lyp+blyp", "sla+lyp+b88+blyp", "gga_x_b88+gga_c_lyp"),
    "TPSS": ("tpss", "mgga_x_tpss+mgga_c_tpss"),
    "revTPSS": ("revtpss", "rtpss", "mgga_x_revtpss+mgga_c_revtpss"),
    "M06-L": ("m06l", "m06-l", "mgga_x_m06_l+mgga_c_m06_l"),
    "SCAN": ("scan", "scan+scan", "mgga_x_scan+mgga_c_scan"),
    "rSCAN": ("rscan", "mgga_x_rscan+mgga_c_rscan"),
    "r2SCAN": ("r2scan", "r²scan", "mgga_x_r2scan+mgga_c_r2scan"),
    "HF": ("hf", "hartree-fock", "hyb_gga_xc_hf"),
    "PBE0": ("pbe0", "pbeh", "pb0x+pw+pb0x+pbc", "hyb_gga_xc_pbeh"),
    "HSE03": ("hse03", "hyb_gga_xc_hse03"),
    "HSE06": ("hse06", "hse", "sla+pw+hse+pbc", "hyb_gga_xc_hse06"),
    "B3LYP": ("b3lyp", "b3lp+b3lp+b3lp+b3lp", "hyb_gga_xc_b3lyp"),
    "vdW-DF": ("vdw-df", "vdw-df1", "sla+pw+rpb+vdw1", "sla+pw+revx+vdw1"),
    "vdW-DF2": ("vdw-df2", "sla+pw+rw86+vdw2"),
    "vdW-DF-cx": ("vdw-df-cx", "sla+pw+cx13+vdw1"),
    "optB88-vdW": ("optb88-vdw",),
    "optB86b-vdW": ("optb86b-vdw",),
    "BEEF-vdW": ("beef-vdw",),
}
"""Usual name → how VASP (``GGA = PE``), Quantum ESPRESSO (``SLA PW PBX PBC``, funct.f90), libxc
(``GGA_X_PBE+GGA_C_PBE``), ASE, GPAW, CASTEP and FHI-aims write it."""

_NAMES = {written: name for name, many in WRITTEN.items() for written in many}


def functional_name(written: str) -> str:
    """Return the usual name of a functional; one that is not known stays as it is written.

    ``GGA-PBE``, ``PE``, ``SLA PW PBX PBC`` and ``GGA_X_PBE+GGA_C_PBE`` are ``PBE``.
    """
    parts = re.split(r"[+,\s]+", written.strip().casefold())
    key = "+".join(part for part in parts if part not in {"", "nogx", "nogc"})
    return _NAMES.get(key, " ".join(written.split()))
