"""One job in an engine's process: whatever a plug-in does, an answer or an error comes back."""

from __future__ import annotations

import pickle
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import MappingProxyType
from typing import Any
from uuid import uuid4

import numpy as np
import pytest
from samples import metal
from samples import performed as perform

from api.worker import perform as performing
from api.worker.perform import Task
from nanoos import plugins
from nanoos.engines.emt import Emt
from nanoos.errors import EngineError, NanoError, PluginNotFound, UnsupportedByEngine, WorkflowError
from nanoos.structures import Structure
from nanoos.workflows.equation_of_state import EquationOfState

COPPER = Task(uuid4(), "equation_of_state", 1, "emt", {"points_per_side": 2}, {}, metal("Cu"))


class Foreign(Emt):
    """EMT as it would be with a fault."""

    name = "foreign"
    fault: Exception = ValueError("singular matrix")

    def calculate(self, structure: Structure) -> Any:
        raise self.fault


class OfNumpy(EquationOfState):
    """A workflow whose data is not what JSON can hold."""

    name = "of_numpy"
    data: Any = np.float32(1.5)

    def run(self, *arguments: Any) -> Any:
        outcome = super().run(*arguments)
        return replace(outcome, data=outcome.data | {"odd": self.data})


Install = Callable[[str, type], None]


@pytest.fixture
def install(monkeypatch: pytest.MonkeyPatch) -> Install:
    """Install a plug-in for this test, as an entry point of another package would."""
    load = plugins.load

    def add(group: str, class_: Any) -> None:
        there = MappingProxyType({**load(group), class_.name: class_})
        monkeypatch.setattr(plugins, "load", lambda asked: there if asked == group else load(asked))

    return add


def test_a_task_and_its_run_can_travel() -> None:
    run = perform(pickle.loads(pickle.dumps(COPPER)))
    back = pickle.loads(pickle.dumps(run))
    assert back.outcome.quantities == run.outcome.quantities
    assert run.outcome.quantities["bulk_modulus_gpa"] > 0


def test_progress_is_reported(tmp_path: Path) -> None:
    shares: list[float] = []
    performing.perform(COPPER, tmp_path, lambda done, *_, **__: shares.append(done))
    assert shares == sorted(shares)
    assert shares[-1] == 1


@pytest.mark.parametrize(
    ("change", "error"),
    [
        ({"workflow": "alchemy"}, PluginNotFound),
        ({"engine": "oracle"}, PluginNotFound),
        ({"structure": metal("Fe")}, UnsupportedByEngine),
        ({"structure": metal("Cu", a=8.0)}, WorkflowError),
    ],
)
def test_what_cannot_be_done_is_an_error_of_ours(
    change: dict[str, Any], error: type[NanoError]
) -> None:
    with pytest.raises(error):
        perform(replace(COPPER, **change))


def test_a_job_is_not_done_by_another_version_of_its_workflow() -> None:
    """The result would say what was not done."""
    with pytest.raises(WorkflowError, match="version 2"):
        perform(replace(COPPER, workflow_version=2))


class OddError(Exception):
    """An error that cannot be pickled, as some C extensions raise."""

    def __init__(self, what: str, where: object) -> None:
        super().__init__(what)
        self.where = lambda: where


@pytest.mark.parametrize("fault", [ValueError("singular matrix"), OddError("odd", 3)])
def test_an_engine_may_raise_anything(install: Install, fault: Exception) -> None:
    install("nanoos.engines", type("Faulty", (Foreign,), {"fault": fault}))
    with pytest.raises(EngineError, match=str(fault)) as raised:
        perform(replace(COPPER, engine="foreign"))
    assert type(fault).__name__ in str(raised.value)
    assert isinstance(pickle.loads(pickle.dumps(raised.value)), EngineError)


@pytest.mark.parametrize("odd", [np.float32(1.5), float("nan"), {1, 2}, "a\0b"])
def test_an_outcome_that_cannot_be_stored_is_an_error(install: Install, odd: Any) -> None:
    install("nanoos.workflows", type("Odd", (OfNumpy,), {"data": odd}))
    with pytest.raises(WorkflowError, match="cannot be stored"):
        perform(replace(COPPER, workflow="of_numpy"))


def test_an_engine_of_before_methods_is_told(install: Install) -> None:
    said = {"code": "ASE EMT"}
    install("nanoos.engines", type("Old", (Emt,), {"name": "foreign", "method": lambda *_: said}))
    with pytest.raises(WorkflowError, match=r"must return a nanoos\.methods\.Method"):
        perform(replace(COPPER, engine="foreign"))


def test_outside_a_checkout_there_is_no_code_revision(
    monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    """Not even where the folder above is a checkout: that of somebody else's project."""
    performing._code_revision.cache_clear()
    inner = performing.PROJECT_ROOT / "tests"
    monkeypatch.setattr(performing, "PROJECT_ROOT", inner)
    assert perform(COPPER).provenance["code_revision"] is None
    performing._code_revision.cache_clear()


def test_without_git_there_is_no_code_revision(monkeypatch: pytest.MonkeyPatch) -> None:
    performing._code_revision.cache_clear()
    monkeypatch.setenv("PATH", "/nonexistent")
    assert perform(COPPER).provenance["code_revision"] is None
    performing._code_revision.cache_clear()
