"""What a query says of results, in SQL."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from sqlalchemy import ColumnElement, func, or_

from api.errors import WrongUsage
from api.models import SimulationJob, SimulationResult
from api.models.simulation_result import QUANTITIES
from api.schemas.search import Query
from api.services import methods
from api.services.ranges import within

FINAL: ColumnElement[Any] = func.coalesce(
    SimulationResult.output_structure_id, SimulationJob.structure_id
)
"""The structure that a result's numbers belong to: the one that its run ended with."""


def of_a_result(query: Query) -> Iterator[ColumnElement[bool]]:
    """Yield what the query says of a result: its quantities, and its method.

    Raises WrongUsage for a quantity that results do not have.
    """
    if unknown := set(query.quantities) - set(QUANTITIES):
        known = ", ".join(QUANTITIES)
        raise WrongUsage(
            f"{min(unknown)!r} is no quantity of results (--result, quantities=); "
            f"those are {known}."
        )
    for name, wanted in query.quantities.items():
        yield from within(getattr(SimulationResult, name), wanted)
    if query.method:
        yield or_(*map(methods.begins, query.method))
