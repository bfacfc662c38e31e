"""Parameters of workflows and engines: checked against the model that each declares."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any, TypeVar

from pydantic import BaseModel, ValidationError

from nanoos.errors import InvalidParameters

P = TypeVar("P", bound=BaseModel)


def read_parameters(name: str, model: type[P], given: Mapping[str, Any]) -> P:
    """Return the parameters of ``name`` from ``given``, defaults filled in.

    Raises
    ------
    InvalidParameters
        If a name is unknown or a value is of the wrong kind or out of bounds; all are named.
    """
    try:
        return model.model_validate(dict(given))
    except ValidationError as error:
        known = ", ".join(model.model_fields) or "no parameters"
        faults = "; ".join(
            f"{'.'.join(map(str, fault['loc']))}: {fault['msg']}" for fault in error.errors()
        )
        raise InvalidParameters(f"{name}: {faults} (it takes {known})") from None
