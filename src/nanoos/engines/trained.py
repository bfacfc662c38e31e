"""What engines with trained weights share: where these lie, their hash, the elements of MPtrj."""

from __future__ import annotations

import hashlib
from functools import cache
from importlib.util import find_spec
from pathlib import Path

from ase.data import chemical_symbols

from nanoos.errors import EngineUnavailable

MPTRJ_ELEMENTS = frozenset(chemical_symbols[1:95]) - {"Po", "At", "Rn", "Fr", "Ra"}
"""The 89 elements of the Materials Project's trajectories, on which they were trained.

B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023). What CHGNet has for others was never trained.
"""


def is_installed(package: str) -> bool:
    """Return whether ``package`` is there, without importing it."""
    return find_spec(package) is not None


def file_of(package: str, name: str) -> Path:
    """Return the path of a file within a package, which is not imported.

    Raises EngineUnavailable if it is not installed.
    """
    spec = find_spec(package)
    if spec is None or spec.origin is None:
        raise EngineUnavailable(f"{package} is not installed.")
    return Path(spec.origin).parent / name


@cache
def sha256(path: Path) -> str:
    """Return the hash of a file's content; asked again, as it was at first."""
    with path.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
