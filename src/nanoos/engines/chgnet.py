"""CHGNet, a graph network with charge information, trained on the Materials Project."""

from __future__ import annotations

import io
from contextlib import redirect_stdout
from functools import cache
from typing import Any, Literal

from pydantic import BaseModel, ConfigDict, Field

from nanoos.engines import trained
from nanoos.engines.ase_calculator import evaluate
from nanoos.engines.engine import Evaluation
from nanoos.errors import EngineUnavailable, UnsupportedByEngine
from nanoos.structures import Structure

WEIGHTS = {
    "0.3.0": "pretrained/0.3.0/chgnet_0.3.0_e29f68s314m37.pth.tar",
    "r2scan": "pretrained/r2scan/chgnet_r2scan_transfer_learning_e15f36s161m23.pth.tar",
}


class ChgnetParameters(BaseModel):
    """Which of the weights that come with CHGNet."""

    model_config = ConfigDict(extra="forbid", frozen=True)

    model: Literal["0.3.0", "r2scan"] = Field(
        default="0.3.0",
        title="Model",
        description="0.3.0 is trained on PBE with the Materials Project's U and corrections; "
        "r2scan was trained further on r2SCAN.",
    )


class Chgnet(trained.TrainedEngine):
    """CHGNet, on the processor. The weights are loaded once in a process and kept.

    Crystals only. Energies are those of the Materials Project, corrections and U of oxides
    included, in single precision.
    """

    name = "chgnet"
    parameters = ChgnetParameters
    licence = "BSD-3-Clause-LBNL, code and weights"
    potential = (
        "CHGNet: B. Deng et al., Nat. Mach. Intell. 5, 1031 (2023); r2scan: X. Huang et al., "
        "Cross-functional transferability in foundation machine learning interatomic potentials, "
        "npj Comput. Mater. (2025)"
    )
    code = "CHGNet"
    package = "chgnet"
    weights = WEIGHTS

    def __init__(self, parameters: ChgnetParameters | None = None) -> None:
        super().__init__((parameters or ChgnetParameters()).model)

    def refuses(self, structure: Structure) -> str | None:
        """Return why not: other elements, mixed sites, or no crystal."""
        if reason := super().refuses(structure):
            return reason
        return None if all(structure.periodic) else "CHGNet needs a crystal"

    def calculate(self, structure: Structure) -> Evaluation:
        """Return energy, forces and stress.

        Raises
        ------
        UnsupportedByEngine
            If it refuses the structure, or an atom has no neighbour within 6 Å.
        EngineUnavailable
            If CHGNet is not installed.
        EngineError
            If the numbers are not finite.
        """
        if reason := self.refuses(structure):
            raise UnsupportedByEngine(reason)
        if reason := self.probe():
            raise EngineUnavailable(reason)
        try:
            return evaluate(structure, _calculator(self._model), "CHGNet")
        except ValueError as error:
            if "isolated" in str(error):
                raise UnsupportedByEngine(f"CHGNet: {error}") from error
            raise


@cache
def _calculator(model: str) -> Any:
    """Return the calculator, which keeps its weights as long as the process lives."""
    from chgnet.model.dynamics import CHGNetCalculator
    from chgnet.model.model import CHGNet

    with redirect_stdout(io.StringIO()):  # it says where it runs
        network = CHGNet.load(model_name=model, use_device="cpu", verbose=False)
        return CHGNetCalculator(network, use_device="cpu", on_isolated_atoms="error")
