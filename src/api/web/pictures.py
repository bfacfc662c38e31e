"""Pictures of results: each workflow's that has one, drawn from what it stored."""

from __future__ import annotations

from collections.abc import Callable
from io import BytesIO

import numpy as np

from api.artifacts import Artifacts
from api.errors import NotFound, WrongUsage
from api.schemas.simulation import ResultDetail
from api.services import arrays
from nanoos.draw import convergence_svg, equation_of_state_svg, phonons_svg


def picture(result: ResultDetail, artifacts: Artifacts) -> str:
    """Return the picture of a result as an SVG element.

    Raises WrongUsage for one that has none, NotFound and ArtifactDamaged where an artifact that it
    is drawn from is not what it was.
    """
    draw = _DRAWN.get(result.workflow or "")
    if draw is None:
        raise WrongUsage(
            f"There is no picture of {result.workflow or 'imported'} results;"
            f" there is of {', '.join(_DRAWN)}."
        )
    restored = arrays.restore(result.data, artifacts)
    return draw(result.model_copy(update={"data": restored}), artifacts)


def _equation_of_state(result: ResultDetail, _: Artifacts) -> str:
    return equation_of_state_svg(result.data, _title(result))


def _convergence(result: ResultDetail, _: Artifacts) -> str:
    return convergence_svg(result.data, _title(result))


def _phonons(result: ResultDetail, artifacts: Artifacts) -> str:
    sha256 = next((one["sha256"] for one in result.artifacts if one["name"] == "bands.npz"), None)
    if sha256 is None:
        raise NotFound(f"Result {result.id} has no bands.npz, from which its bands are drawn.")
    with np.load(BytesIO(b"".join(artifacts.blocks(sha256)))) as bands:
        return phonons_svg(result.data, bands, _title(result))


def _title(result: ResultDetail) -> str:
    return f"{result.reduced_formula}: {result.method['code']}"


_DRAWN: dict[str, Callable[[ResultDetail, Artifacts], str]] = {
    "equation_of_state": _equation_of_state,
    "phonons": _phonons,
    "convergence": _convergence,
}
