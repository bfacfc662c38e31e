"""Work in other processes, which a hostile input may crash, hang or fill: only itself is lost."""

from nanoos.processes.at_once import at_once
from nanoos.processes.cores import cores
from nanoos.processes.messages import Failure, Limits
from nanoos.processes.pool import ONE_THREAD, Answer, Pool

__all__ = ["ONE_THREAD", "Answer", "Failure", "Limits", "Pool", "at_once", "cores"]
