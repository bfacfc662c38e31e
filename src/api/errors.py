"""The platform's own errors, and what each error of any layer means to the outside.

``OUTCOMES`` is the one table that maps an error class to its HTTP status, the
exit code of ``nano-os``, and whether trying again later can help. The closest
class in an error's ancestry decides; a test asserts that every class is covered
on purpose, not by the root's entry alone.
"""

from __future__ import annotations

from typing import NamedTuple

from nanoos import errors as science
from pgsteady import errors as steady


class PlatformError(science.NanoError):
    """The platform could not do what was asked."""


class NotFound(PlatformError):
    """There is no such record, or it is not yours to see."""


class Conflict(PlatformError):
    """A record like this exists already."""


class MixedMethods(PlatformError):
    """Energies of methods that cannot be compared were to be combined."""


class NotAllowed(PlatformError):
    """Your role may not do this."""


class WrongUsage(PlatformError):
    """The command was given something it cannot use."""


class QueryNotUnderstood(PlatformError):
    """The query is not written by its rules, or names what is not there."""


class QueryNotSupported(PlatformError):
    """The query is written well, but asks for an optional feature that is not offered."""


class QueryTooLarge(PlatformError):
    """The query asks for more at once than is given."""


class QueryTooSlow(PlatformError):
    """The query took too long and was stopped."""


class VersionNotSupported(PlatformError):
    """This version of the interface is not offered."""


class SchemaNotReady(PlatformError):
    """The database has not been migrated to what this version of the code needs."""


class DatabaseFull(PlatformError):
    """The database has no room left: its disk is full."""


class ArtifactDamaged(PlatformError):
    """The content of an artifact is not what was stored."""


class ArtifactsUnavailable(PlatformError):
    """The place where artifacts lie cannot be reached."""


class UnderMaintenance(PlatformError):
    """The platform is under maintenance."""


class NotListening(PlatformError):
    """The server cannot listen on this address."""


class Cancelled(PlatformError):
    """The job was cancelled."""


class WorkerLost(PlatformError):
    """The worker died or fell silent while the job ran."""


class AllocationLost(PlatformError):
    """The allocation that the job ran in is lost."""


class ClusterUnavailable(PlatformError):
    """The cluster takes no jobs."""


class LostLease(PlatformError):
    """Another worker has taken this job over; the result was not stored."""


class Outcome(NamedTuple):
    """What an error means outside: HTTP status, exit code, worth another try."""

    http_status: int
    exit_code: int
    retry: bool = False


FAILURE, USAGE, ENVIRONMENT = 1, 2, 3

OUTCOMES: dict[type[Exception], Outcome] = {
    science.NanoError: Outcome(500, FAILURE),
    science.StructureError: Outcome(422, FAILURE),
    science.ParseError: Outcome(422, FAILURE),
    science.UnknownFormat: Outcome(415, FAILURE),
    science.SymmetryError: Outcome(422, FAILURE),
    science.NotWritten: Outcome(500, FAILURE),
    science.PluginNotFound: Outcome(404, USAGE),
    science.EngineError: Outcome(500, FAILURE),
    science.EngineCrashed: Outcome(500, FAILURE, retry=True),
    science.EngineUnavailable: Outcome(503, ENVIRONMENT),
    science.Interrupted: Outcome(503, FAILURE, retry=True),
    science.NotConverged: Outcome(500, FAILURE),
    science.WallTimeExceeded: Outcome(500, FAILURE),
    science.MemoryExceeded: Outcome(500, FAILURE),
    science.DiskFull: Outcome(507, ENVIRONMENT, retry=True),
    science.UnsupportedByEngine: Outcome(422, FAILURE),
    science.WorkflowError: Outcome(500, FAILURE),
    science.ThermodynamicsError: Outcome(422, FAILURE),
    science.ReferencesMissing: Outcome(422, FAILURE),
    science.MethodError: Outcome(422, FAILURE),
    science.InvalidParameters: Outcome(422, USAGE),
    science.EmbeddingError: Outcome(422, FAILURE),
    science.ProcessesError: Outcome(500, ENVIRONMENT),
    PlatformError: Outcome(500, FAILURE),
    NotFound: Outcome(404, FAILURE),
    Conflict: Outcome(409, FAILURE),
    MixedMethods: Outcome(409, FAILURE),
    NotAllowed: Outcome(403, FAILURE),
    WrongUsage: Outcome(422, USAGE),
    QueryNotUnderstood: Outcome(400, USAGE),
    QueryNotSupported: Outcome(501, USAGE),
    QueryTooLarge: Outcome(403, USAGE),
    QueryTooSlow: Outcome(503, FAILURE),
    VersionNotSupported: Outcome(553, USAGE),
    SchemaNotReady: Outcome(503, ENVIRONMENT),
    DatabaseFull: Outcome(507, ENVIRONMENT),
    ArtifactDamaged: Outcome(500, FAILURE),
    ArtifactsUnavailable: Outcome(503, ENVIRONMENT, retry=True),
    UnderMaintenance: Outcome(503, ENVIRONMENT, retry=True),
    NotListening: Outcome(503, ENVIRONMENT),
    Cancelled: Outcome(409, FAILURE),
    WorkerLost: Outcome(500, FAILURE),
    AllocationLost: Outcome(500, FAILURE, retry=True),
    ClusterUnavailable: Outcome(503, ENVIRONMENT),
    LostLease: Outcome(409, FAILURE),
    steady.PgSteadyError: Outcome(500, FAILURE),
    steady.UrlError: Outcome(500, ENVIRONMENT),
    steady.EnvironmentFault: Outcome(503, ENVIRONMENT),
    steady.ProjectUnreadable: Outcome(500, ENVIRONMENT),
    steady.ServerUnreachable: Outcome(503, ENVIRONMENT, retry=True),
    steady.AuthenticationFailed: Outcome(503, ENVIRONMENT),
    steady.DatabaseMissing: Outcome(503, ENVIRONMENT),
    steady.SchemaBusy: Outcome(503, ENVIRONMENT, retry=True),
    steady.ExtensionMissing: Outcome(503, ENVIRONMENT),
    steady.PoolerInTheWay: Outcome(503, ENVIRONMENT),
    steady.ClusterError: Outcome(503, ENVIRONMENT),
    steady.StateUnavailable: Outcome(503, ENVIRONMENT),
    steady.RevisionUnknown: Outcome(404, USAGE),
    steady.RevisionFailed: Outcome(500, FAILURE),
    steady.WrongAllowance: Outcome(500, USAGE),
    steady.ModelsFailed: Outcome(500, FAILURE),
    steady.ReplayFailed: Outcome(500, FAILURE),
    steady.LockTimeout: Outcome(503, FAILURE, retry=True),
    steady.BackupFailed: Outcome(500, FAILURE),
    steady.BackupDamaged: Outcome(500, FAILURE),
    steady.RestoreFailed: Outcome(500, FAILURE),
    steady.WrongDeclaration: Outcome(500, USAGE),
    steady.RehearsalFailed: Outcome(500, FAILURE),
    steady.GateClosed: Outcome(500, FAILURE),
    steady.UpgradeStopped: Outcome(500, FAILURE),
    steady.WouldLoseRows: Outcome(500, FAILURE),
    steady.RepairFailed: Outcome(500, FAILURE),
}


def outcome(error: Exception) -> Outcome:
    """Return what ``error`` means outside; an unknown class is an internal failure."""
    for ancestor in type(error).__mro__:
        if ancestor in OUTCOMES:
            return OUTCOMES[ancestor]
    return Outcome(500, FAILURE)
