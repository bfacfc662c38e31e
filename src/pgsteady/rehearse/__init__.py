"""What a change would do, tried on a copy that is proved to be one."""

from pgsteady.rehearse.change import Rehearsed, change_sha256, last_rehearsal
from pgsteady.rehearse.rehearsal import LONGEST_BLOCK_S, PROGRAM, rehearse
from pgsteady.rehearse.report import Rehearsal

__all__ = [
    "LONGEST_BLOCK_S",
    "PROGRAM",
    "Rehearsal",
    "Rehearsed",
    "change_sha256",
    "last_rehearsal",
    "rehearse",
]
