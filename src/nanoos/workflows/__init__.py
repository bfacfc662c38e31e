"""Workflows: sequences of evaluations by an engine that give materials properties."""

from nanoos.workflows.workflow import Outcome, Progress, Workflow, read_parameters, refusal

__all__ = ["Outcome", "Progress", "Workflow", "read_parameters", "refusal"]
