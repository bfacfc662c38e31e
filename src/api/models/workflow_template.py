"""Workflow templates: what can be computed, with which parameters."""

from __future__ import annotations

from typing import Any

from sqlalchemy import CheckConstraint, UniqueConstraint, text
from sqlalchemy.orm import Mapped, mapped_column

from api.models.base import EMPTY_OBJECT, Base, Created, Identified


class WorkflowTemplate(Identified, Created, Base):
    """One version of a workflow; a changed workflow is a new row, never an UPDATE."""

    __tablename__ = "workflow_templates"
    __table_args__ = (
        UniqueConstraint("name", "version"),
        CheckConstraint("version >= 1", name="version"),
        {"comment": "Simulation workflow definitions"},
    )

    name: Mapped[str]
    version: Mapped[int]
    title: Mapped[str]
    description: Mapped[str] = mapped_column(server_default="")
    engine: Mapped[str] = mapped_column(comment="Used where the job names none")
    steps: Mapped[list[dict[str, Any]]] = mapped_column(comment="What is done, in order")
    parameters_schema: Mapped[dict[str, Any]] = mapped_column(
        comment="JSON Schema of the parameters, with units"
    )
    defaults: Mapped[dict[str, Any]] = mapped_column(server_default=EMPTY_OBJECT)
    resources: Mapped[dict[str, Any]] = mapped_column(
        server_default=EMPTY_OBJECT, comment="What one job needs: cores, memory_gb, wall_time_s"
    )
    is_active: Mapped[bool] = mapped_column(server_default=text("true"))
