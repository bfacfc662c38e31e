"""Work in other processes, which a hostile input may crash, hang or fill: only itself is lost."""

from nanoos.processes.messages import Failure, Limits
from nanoos.processes.pool import Answer, Pool

__all__ = ["Answer", "Failure", "Limits", "Pool"]
