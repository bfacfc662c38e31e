"""What a submission asks of each structure: one question a step of its workflow."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from sqlalchemy.ext.asyncio import AsyncSession

from api.models import User
from api.services import workflows
from nanoos import plugins
from nanoos.engines import Engine, capable, make
from nanoos.parameters import read_parameters
from nanoos.structures import Structure
from nanoos.workflows import Composite, Step, Workflow, refusal


@dataclass(frozen=True, slots=True)
class Question:
    """One step: a workflow of a single step, its parameters and its engine.

    ``job`` are the columns that all its jobs have in common; ``structure_of`` names the workflow
    of the step whose relaxed structure it takes.
    """

    workflow: Workflow[Any]
    engine: Engine
    job: Mapping[str, Any]
    structure_of: str | None

    def refuses(self, structure: Structure) -> str | None:
        """Return why it cannot be answered, and which installed engines could instead."""
        reason = refusal(self.workflow, structure, self.engine)
        if reason is None or self.workflow.refuses(structure):
            return reason
        could = ", ".join(capable(structure, self.workflow.needs)) or "no engine that runs here"
        return f"{reason}; {could} can"


async def read(
    session: AsyncSession,
    workflow: str,
    *,
    owner: User,
    engine: str | None,
    parameters: Mapping[str, Any],
    engine_parameters: Mapping[str, Any],
) -> list[Question]:
    """Return the questions in an order in which each comes after those that it needs.

    Raises NotFound for an unknown workflow, PluginNotFound for an unknown engine, and
    InvalidParameters.
    """
    template = await workflows.newest(session, workflow)
    plugin = plugins.get("nanoos.workflows", workflow)()
    given = read_parameters(plugin.name, plugin.parameters, _merged(template.defaults, parameters))
    calculator = make(engine or template.engine, engine_parameters)
    chosen = read_parameters(calculator.name, calculator.parameters, engine_parameters)
    steps = (
        plugin.steps(given)
        if isinstance(plugin, Composite)
        else (Step(workflow, given.model_dump(mode="json")),)
    )
    questions = []
    for step in steps:
        its_template = await workflows.newest(session, step.workflow)
        its_plugin: Workflow[Any] = plugins.get("nanoos.workflows", step.workflow)()
        its = read_parameters(step.workflow, its_plugin.parameters, step.parameters)
        job = {
            "owner_id": owner.id,
            "workflow_template_id": its_template.id,
            "engine": calculator.name,
            "parameters": its.model_dump(mode="json"),
            "engine_parameters": chosen.model_dump(mode="json"),
        }
        questions.append(Question(its_plugin, calculator, job, step.structure_of))
    return questions


def _merged(defaults: Mapping[str, Any], given: Mapping[str, Any]) -> dict[str, Any]:
    """Return ``defaults`` with what is given in their place, within parameters of steps too."""
    merged = dict(defaults)
    for name, value in given.items():
        default = merged.get(name)
        if isinstance(default, Mapping) and isinstance(value, Mapping):
            merged[name] = _merged(default, value)
        else:
            merged[name] = value
    return merged
