"""Any calculator of ASE, by the path under which Python imports it."""

from __future__ import annotations

import json
from collections.abc import Mapping
from functools import cache
from importlib import import_module
from importlib.metadata import packages_distributions
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field

from nanoos.canonical import canonical_json
from nanoos.engines import trained
from nanoos.engines.ase_calculator import evaluate
from nanoos.engines.engine import UNITS, UNKNOWN, Evaluation, refusal_of_elements, version_of
from nanoos.errors import EngineUnavailable, UnsupportedByEngine
from nanoos.methods import Method
from nanoos.structures import Structure
from nanoos.structures.structure import ELEMENTS

UNNAMED = "name a calculator of ASE: --engine-param calculator=module:Class"


class AseParameters(BaseModel):
    """Which calculator, and what it is made with."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    calculator: str | None = Field(
        default=None,
        pattern=r"^\w+(\.\w+)*:\w+$",
        title="Calculator",
        description="Module and class, as in mace.calculators:MACECalculator.",
    )
    arguments: Mapping[str, Any] = Field(
        default={}, title="Arguments", description="Keyword arguments for it, as JSON."
    )
    weights: Mapping[str, Path] = Field(
        default={},
        title="Weights",
        description="Files by the keyword argument that takes their path, as JSON; the method has "
        "their sha256.",
    )


class Ase:
    """Any calculator of ASE that is installed: every new potential on the day it appears.

    It is made once in a process and kept. Which elements it knows ASE cannot say: of others it
    fails when it runs. Whoever may submit jobs may run any installed class with it.
    """

    name = "ase"
    parameters = AseParameters
    licence = "LGPL-2.1-or-later; the calculator's own is not known here"

    def __init__(self, parameters: AseParameters | None = None) -> None:
        self._chosen = parameters or AseParameters()
        self.elements = frozenset(ELEMENTS if self._chosen.calculator else ())

    @property
    def potential(self) -> str:
        """Where the calculator is imported from, and who made the interface."""
        interface = "A. H. Larsen et al., J. Phys.: Condens. Matter 29, 273002 (2017)"
        return f"{self._chosen.calculator or 'any calculator of ASE'} ({interface})"

    @property
    def properties(self) -> frozenset[str]:
        """What the class says it gives; all, where it only says so when it is made.

        Raises EngineUnavailable if it cannot be imported.
        """
        if self._chosen.calculator is None:
            return frozenset(UNITS)
        said = getattr(_imported(self._chosen.calculator), "implemented_properties", ())
        return frozenset(UNITS) & frozenset(said or UNITS)

    @property
    def version(self) -> str:
        """The version of the package that has the calculator."""
        return _version((self._chosen.calculator or "ase:").partition(":")[0].partition(".")[0])

    def method(self, structure: Structure | None = None) -> Method:
        """Return the class, its package's version, its arguments and the hashes of its weights."""
        chosen = self._chosen
        weights = {name: trained.sha256(path) for name, path in chosen.weights.items()}
        further = {"arguments": dict(chosen.arguments), "weights_sha256": weights}
        return Method(
            code=chosen.calculator or "ASE",
            code_version=self.version,
            functional=(chosen.calculator or "").partition(":")[2] or None,
            further={name: value for name, value in further.items() if value},
        )

    def probe(self) -> str | None:
        """Return why not: no calculator is named, or it or its weights are not here."""
        if self._chosen.calculator is None:
            return UNNAMED
        for path in self._chosen.weights.values():
            if not path.is_file():
                return f"there is no file {path} here"
        try:
            _imported(self._chosen.calculator)
        except EngineUnavailable as error:
            return str(error)
        return None

    def refuses(self, structure: Structure) -> str | None:
        """Return why not: no calculator is named, or there are mixed sites."""
        if self._chosen.calculator is None:
            return UNNAMED
        return refusal_of_elements("ASE", self.elements, structure)

    def calculate(self, structure: Structure) -> Evaluation:
        """Return energy, forces and, for a periodic structure and where it can, stress.

        Raises
        ------
        UnsupportedByEngine
            If it refuses the structure, or the calculator lacks energy or forces.
        EngineUnavailable
            If the calculator cannot be imported.
        EngineError
            If the numbers are not finite. What the calculator raises is not changed.
        """
        from ase.calculators.calculator import PropertyNotImplementedError

        if (reason := self.refuses(structure)) or (name := self._chosen.calculator) is None:
            raise UnsupportedByEngine(reason)
        keywords = {
            **self._chosen.arguments,
            **{k: str(p) for k, p in self._chosen.weights.items()},
        }
        calculator = _made(name, canonical_json(keywords))
        with_stress = "stress" in (calculator.implemented_properties or UNITS)
        try:
            return evaluate(structure, calculator, name, stress=with_stress)
        except PropertyNotImplementedError as error:
            raise UnsupportedByEngine(f"{name} gives no {error}") from error


@cache
def _imported(path: str) -> type[Any]:
    """Return the class. Raises EngineUnavailable if it is not there or no calculator."""
    from ase.calculators.abc import GetPropertiesMixin
    from ase.calculators.calculator import BaseCalculator

    module, _, name = path.partition(":")
    try:
        found = getattr(import_module(module), name)
    except (ImportError, AttributeError) as error:
        raise EngineUnavailable(f"{path} cannot be imported here: {error}") from error
    if not (isinstance(found, type) and issubclass(found, BaseCalculator | GetPropertiesMixin)):
        raise EngineUnavailable(f"{path} is no calculator of ASE.")
    return found


@cache
def _made(path: str, keywords: str) -> Any:
    """Return the calculator, made once in a process."""
    return _imported(path)(**json.loads(keywords))


@cache
def _version(package: str) -> str:
    """Return the version of what ``package`` was installed with."""
    distributions = packages_distributions().get(package)
    return version_of(distributions[0]) if distributions else UNKNOWN
