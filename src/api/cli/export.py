"""Writing structures to files: into one, or one each, and never half."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    pass

SUFFIXES = {"cif": ".cif", "extxyz": ".extxyz", "poscar": ".vasp"}
