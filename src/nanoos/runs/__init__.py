"""Finished calculations of other programs, read from the files that they left."""

from nanoos.runs.run import End, Problem, Run, RunFolder, RunReader, Step

__all__ = ["End", "Problem", "Run", "RunFolder", "RunReader", "Step"]
