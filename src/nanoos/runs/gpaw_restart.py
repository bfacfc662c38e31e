"""GPAW's restart files (``.gpw``): geometry, results and parameters of one calculation.

They are ULM files; quantities are in eV and Å, as in ``ase.io.gpw``.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import replace
from typing import Any

from nanoos.errors import ParseError, StructureError
from nanoos.parsers import Source
from nanoos.parsers.ase_atoms import parsed_row, undumped
from nanoos.parsers.ulm import MAGICS, Ulm
from nanoos.runs.ase_method import method, parameters_of
from nanoos.runs.ase_results import number, step
from nanoos.runs.run import Run, RunFolder, Step

_TAG = b"GPAW"
_WANTED = frozenset({"gpaw_version", "atoms", "results", "parameters"})


def is_restart(source: Source) -> bool:
    """Tell a restart file by its beginning."""
    try:
        head = source.head(24)
    except ParseError:
        return False
    return head.startswith(MAGICS) and head[8:].strip() == _TAG


def read(run: RunFolder) -> Iterator[Step | Run]:
    """Yield the one step of a restart file, then its run."""
    ((name, source),) = run.files.items()
    with source.local_path() as path, path.open("rb") as stream:
        ulm = Ulm(stream)
        if not len(ulm):
            raise ParseError("The restart file is empty.")
        item = ulm.item(0, _WANTED)
    atoms, results = _mapping(item, "atoms"), _mapping(item, "results")
    parameters = undumped(_mapping(item, "parameters"))
    try:
        structure = parsed_row(atoms).structure
    except StructureError as error:
        raise ParseError(f"The atoms make no structure: {error}") from error
    found = step(results, structure, 1)
    yield found
    known = method("gpaw", {"xc": "LDA"} | parameters, found.structure, source.sha256)
    version = item.get("gpaw_version")
    yield Run(
        name=run.name,
        method=replace(known, code_version=version if isinstance(version, str) else None),
        task="single_point",
        end="finished",
        parameters=parameters_of(parameters),
        total_magnetization_mu_b=number(results.get("magmom")),
        files={name: source.sha256},
    )


def _mapping(item: Mapping[str, Any], name: str) -> dict[str, Any]:
    found = item.get(name)
    return dict(found) if isinstance(found, Mapping) else {}
