"""Workflow templates: what the installed workflows offer, kept by version."""

from __future__ import annotations

from typing import Any

from sqlalchemy import select
from sqlalchemy.dialects.postgresql import insert
from sqlalchemy.ext.asyncio import AsyncSession

from api.errors import Conflict, NotFound
from api.models import WorkflowTemplate
from api.schemas.simulation import WorkflowDetail, WorkflowSummary
from nanoos import plugins
from nanoos.workflows import Composite


async def register(session: AsyncSession) -> None:
    """Store a template for each installed workflow that has none yet.

    Raises Conflict where a workflow's parameters changed but its version did not.
    """
    for workflow in plugins.load("nanoos.workflows").values():
        row = _template(workflow())
        await session.execute(insert(WorkflowTemplate).values(row).on_conflict_do_nothing())
        stored = await _find(session, row["name"], row["version"])
        if stored is None or stored.parameters_schema != row["parameters_schema"]:
            raise Conflict(
                f"Workflow {row['name']} version {row['version']} is stored with other parameters:"
                " a changed workflow needs a new version."
            )


def _template(workflow: Any) -> dict[str, Any]:
    return {
        "name": workflow.name,
        "version": int(workflow.version),
        "title": workflow.title,
        "description": (workflow.__doc__ or "").strip(),
        "engine": workflow.default_engine,
        "steps": _steps(workflow),
        "parameters_schema": workflow.parameters.model_json_schema(),
        "defaults": workflow.parameters().model_dump(mode="json"),
        "resources": {"cores": 1},
    }


def _steps(workflow: Any) -> list[dict[str, Any]]:
    if not isinstance(workflow, Composite):
        return [{"workflow": workflow.name, "needs": sorted(workflow.needs)}]
    return [
        {"workflow": step.workflow, "structure_of": step.structure_of}
        for step in workflow.steps(workflow.parameters())
    ]


async def _find(session: AsyncSession, name: str, version: int) -> WorkflowTemplate | None:
    found: WorkflowTemplate | None = await session.scalar(
        select(WorkflowTemplate).where(
            WorkflowTemplate.name == name, WorkflowTemplate.version == version
        )
    )
    return found


async def newest(session: AsyncSession, name: str) -> WorkflowTemplate:
    """Return the newest active template of that name; NotFound names what there is."""
    await register(session)
    template = await session.scalar(
        select(WorkflowTemplate)
        .where(WorkflowTemplate.name == name, WorkflowTemplate.is_active)
        .order_by(WorkflowTemplate.version.desc())
        .limit(1)
    )
    if template is None:
        known = await session.scalars(
            select(WorkflowTemplate.name).distinct().order_by(WorkflowTemplate.name)
        )
        raise NotFound(f"No workflow {name!r}. There are: {', '.join(known)}.")
    return template


async def list_(session: AsyncSession) -> list[WorkflowSummary]:
    """Return all templates, by name and version."""
    await register(session)
    rows = await session.scalars(
        select(WorkflowTemplate).order_by(WorkflowTemplate.name, WorkflowTemplate.version)
    )
    return [WorkflowSummary.model_validate(row, from_attributes=True) for row in rows]


async def show(session: AsyncSession, name: str) -> WorkflowDetail:
    """Return the newest template of that name with its parameters."""
    return WorkflowDetail.model_validate(await newest(session, name), from_attributes=True)
