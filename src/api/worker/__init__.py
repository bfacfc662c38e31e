"""The worker: takes jobs from the queue and runs them in other processes."""

from api.worker.loop import Worker

__all__ = ["Worker"]
