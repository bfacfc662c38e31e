"""What engines with trained weights share: the engine itself, where weights lie, and their hash."""

from __future__ import annotations

import hashlib
from collections.abc import Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import ClassVar

from ase.data import chemical_symbols

from nanoos.engines.engine import refusal_of_elements, version_of
from nanoos.errors import EngineUnavailable
from nanoos.methods import Method
from nanoos.structures import Structure

MPTRJ_ELEMENTS = frozenset(chemical_symbols[1:95]) - {"Po", "At", "Rn", "Fr", "Ra"}
"""The 89 elements of the Materials Project's trajectories, on which they were trained.

B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023). What CHGNet has for others was never trained.
"""


class TrainedEngine:
    """A network whose weights come with its package; see `nanoos.engines.Engine`.

    The class of one names its package and weights, and calculates.
    """

    name: str
    code: ClassVar[str]
    """What it is called in messages and methods."""
    package: ClassVar[str]
    """The package that brings it."""
    weights: ClassVar[Mapping[str, str]]
    """By the model's name, the file within the package."""
    elements = MPTRJ_ELEMENTS
    properties = frozenset({"energy", "forces", "stress"})

    def __init__(self, model: str) -> None:
        self._model = model

    @property
    def version(self) -> str:
        """The version of the package; unknown where it is not installed."""
        return version_of(self.package)

    def method(self, structure: Structure | None = None) -> Method:
        """Return package, version, model and the hash of its weights."""
        return Method(
            code=self.code,
            code_version=self.version,
            functional=f"{self.code} {self._model}",
            further={"weights_sha256": sha256(file_of(self.package, self.weights[self._model]))},
        )

    def probe(self) -> str | None:
        """Return how to get it where it is not installed."""
        if find_spec(self.package) is None:
            return f"{self.code} is not installed: pip install 'nano-os[{self.name}]'"
        return None

    def refuses(self, structure: Structure) -> str | None:
        """Return why not: other elements, or mixed sites."""
        return refusal_of_elements(self.code, self.elements, structure)


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
