"""SevenNet, an equivariant graph network trained on the Materials Project."""

from __future__ import annotations

import warnings
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nanoos.engines import trained
from nanoos.engines.ase_calculator import evaluate
from nanoos.engines.engine import Evaluation
from nanoos.errors import EngineUnavailable, UnsupportedByEngine
from nanoos.structures import Structure

WEIGHTS = {
    "7net-0": "pretrained_potentials/SevenNet_0__11Jul2024/checkpoint_sevennet_0.pth",
    "7net-l3i5": "pretrained_potentials/SevenNet_l3i5/checkpoint_l3i5.pth",
}


class SevennetParameters(BaseModel):
    """Which of the weights that come with SevenNet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["7net-0", "7net-l3i5"] = Field(
        default="7net-0", title="Model", description="7net-l3i5 is larger, better and slower."
    )


class Sevennet(trained.TrainedEngine):
    """SevenNet, on the processor. The weights are loaded once in a process and kept.

    Energies are those of the Materials Project's trajectories, U of oxides included, without its
    corrections, in single precision.
    """

    name = "sevennet"
    parameters = SevennetParameters
    licence = "MIT, code and weights"
    potential = "SevenNet: Y. Park et al., J. Chem. Theory Comput. 20, 4857 (2024)"
    code = "SevenNet"
    package = "sevenn"
    weights = WEIGHTS

    def __init__(self, parameters: SevennetParameters | None = None) -> None:
        super().__init__((parameters or SevennetParameters()).model)

    def calculate(self, structure: Structure) -> Evaluation:
        """Return energy, forces and, for a periodic structure, stress.

        Raises
        ------
        UnsupportedByEngine
            If it refuses the structure.
        EngineUnavailable
            If SevenNet is not installed.
        EngineError
            If the numbers are not finite.
        """
        if reason := self.refuses(structure):
            raise UnsupportedByEngine(reason)
        if reason := self.probe():
            raise EngineUnavailable(reason)
        return evaluate(structure, _calculator(self._model), "SevenNet")


@cache
def _calculator(model: str) -> Any:
    """Return the calculator, which keeps its weights as long as the process lives."""
    from sevenn.calculator import SevenNetCalculator

    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # it asks for accelerators that need a graphics processor
        path = trained.file_of("sevenn", WEIGHTS[model])
        return SevenNetCalculator(path, device="cpu")
