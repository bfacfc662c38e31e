"""Plug-ins by entry points: engines, workflows, embedders, parsers, writers, readers of runs.

A package adds one with an entry point in the group; what NANO-OS brings comes through the
same door. The table below repeats the project's own entry points, so that they also serve
when the project is not installed.
"""

from __future__ import annotations

import logging
from collections.abc import Mapping
from functools import cache
from importlib.metadata import EntryPoint, entry_points
from types import MappingProxyType
from typing import Any

from nanoos.errors import PluginNotFound

BUILT_IN: Mapping[str, Mapping[str, str]] = {
    "nanoos.engines": {
        "emt": "nanoos.engines.emt:Emt",
        "lj": "nanoos.engines.lj:Lj",
        "lammps": "nanoos.engines.lammps:Lammps",
        "espresso": "nanoos.engines.espresso:Espresso",
        "chgnet": "nanoos.engines.chgnet:Chgnet",
        "sevennet": "nanoos.engines.sevennet:Sevennet",
        "ase": "nanoos.engines.ase:Ase",
    },
    "nanoos.workflows": {
        "convergence": "nanoos.workflows.convergence:Convergence",
        "elastic": "nanoos.workflows.elastic:Elastic",
        "equation_of_state": "nanoos.workflows.equation_of_state:EquationOfState",
        "phonons": "nanoos.workflows.phonons:Phonons",
        "properties": "nanoos.workflows.properties:Properties",
        "relax": "nanoos.workflows.relax:Relax",
        "single_point": "nanoos.workflows.single_point:SinglePoint",
    },
    "nanoos.embedders": {"soap": "nanoos.embedders.soap:Soap"},
    "nanoos.parsers": {
        "cif": "nanoos.parsers.cif:Cif",
        "poscar": "nanoos.parsers.poscar:Poscar",
        "extxyz": "nanoos.parsers.extxyz:ExtendedXyz",
        "ase_db": "nanoos.parsers.ase_db:AseDatabase",
        "ase_json": "nanoos.parsers.ase_json:AseJson",
        "ase_traj": "nanoos.parsers.ase_traj:AseTrajectory",
        "espresso_in": "nanoos.parsers.espresso_in:EspressoInput",
        "espresso_out": "nanoos.parsers.espresso_out:EspressoOutput",
        "aims": "nanoos.parsers.aims:AimsGeometry",
        "jsonl": "nanoos.parsers.record_lines:RecordLines",
        "pymatgen": "nanoos.parsers.pymatgen_json:PymatgenJson",
        "optimade": "nanoos.parsers.optimade_json:OptimadeJson",
    },
    "nanoos.runs": {
        "espresso": "nanoos.runs.espresso:Espresso",
        "vasp": "nanoos.runs.vasp:Vasp",
        "ase": "nanoos.runs.ase:Ase",
        "extxyz": "nanoos.runs.extxyz:ExtendedXyz",
        "gpaw": "nanoos.runs.gpaw:Gpaw",
        "cp2k": "nanoos.runs.cp2k:Cp2k",
        "fhi_aims": "nanoos.runs.fhi_aims:FhiAims",
        "castep": "nanoos.runs.castep:Castep",
        "lammps": "nanoos.runs.lammps:Lammps",
        "aiida": "nanoos.runs.aiida:AiidaArchive",
        "exported": "nanoos.runs.exported:Exported",
        "entries": "nanoos.runs.entries:Entries",
    },
    "nanoos.writers": {
        "cif": "nanoos.writers.cif:CifWriter",
        "poscar": "nanoos.writers.poscar:PoscarWriter",
        "extxyz": "nanoos.writers.extxyz:ExtendedXyzWriter",
        "ase-db": "nanoos.writers.ase_db:AseDatabaseWriter",
        "jsonl": "nanoos.writers.jsonl:JsonLinesWriter",
        "parquet": "nanoos.writers.parquet:ParquetWriter",
    },
}

_log = logging.getLogger(__name__)


@cache
def load(group: str) -> Mapping[str, Any]:
    """Return every plug-in of the group that loads, by name, built-in ones first.

    One that fails to load is logged as a warning and left out. A foreign plug-in cannot take
    the name of a built-in one.
    """
    loaded = {}
    for name, entry in _entries(group).items():
        try:
            loaded[name] = entry.load()
        except Exception as error:  # noqa: BLE001 - importing foreign code may raise anything
            _log.warning("Plug-in %s of %s does not load: %r", name, group, error)
    return MappingProxyType(loaded)


def get(group: str, name: str) -> Any:
    """Return one plug-in. Raises PluginNotFound, which names those there are."""
    plugins = load(group)
    if name in plugins:
        return plugins[name]
    kind = group.removeprefix("nanoos.").removesuffix("s")
    if name in _entries(group):
        raise PluginNotFound(f"The {kind} {name!r} is installed but does not load; see the log.")
    there = ", ".join(plugins) or "none"
    raise PluginNotFound(f"There is no {kind} {name!r}. Installed: {there}.")


def _entries(group: str) -> dict[str, EntryPoint]:
    built_in = BUILT_IN.get(group, {})
    entries = {name: EntryPoint(name, value, group) for name, value in built_in.items()}
    for entry in entry_points(group=group):
        if entry.value != entries.setdefault(entry.name, entry).value:
            _log.warning("Plug-in %s of %s is ignored: the name is taken.", entry.value, group)
    return entries
