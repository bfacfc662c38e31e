"""Workflows: sequences of evaluations by an engine that give materials properties."""

from nanoos.workflows.workflow import Outcome, OutputFile, Progress, Workflow, refusal

__all__ = ["Outcome", "OutputFile", "Progress", "Workflow", "refusal"]
