"""Workflows: sequences of evaluations by an engine that give materials properties."""

from nanoos.workflows.composite import Composite, Step
from nanoos.workflows.workflow import Outcome, OutputFile, Progress, Workflow, refusal

__all__ = ["Composite", "Outcome", "OutputFile", "Progress", "Step", "Workflow", "refusal"]
