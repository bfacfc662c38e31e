"""Every error pgsteady raises, in one tree; a class's docstring is its default message."""

from __future__ import annotations


class PgSteadyError(Exception):
    """Schema change could not go on.

    ``hint`` is the next step for the reader; it is printed below the message.
    """

    def __init__(self, message: str | None = None, *, hint: str | None = None) -> None:
        super().__init__(message or (type(self).__doc__ or "").strip().splitlines()[0])
        self.hint = hint

    def __str__(self) -> str:
        message = super().__str__()
        return f"{message}\n{self.hint}" if self.hint else message


class UrlError(PgSteadyError):
    """The database URL cannot be used."""


class EnvironmentFault(PgSteadyError):
    """The database or its surroundings are not as needed."""


class ProjectUnreadable(EnvironmentFault):
    """The Alembic project cannot be read."""


class ServerUnreachable(EnvironmentFault):
    """No PostgreSQL server answers at that address."""


class AuthenticationFailed(EnvironmentFault):
    """The server refused the user name or password."""


class DatabaseMissing(EnvironmentFault):
    """The server has no database of that name."""


class SchemaBusy(EnvironmentFault):
    """Another transaction holds a table of the schema."""


class ExtensionMissing(EnvironmentFault):
    """The extension is not installed, or this role may not create it."""


class PoolerInTheWay(EnvironmentFault):
    """A connection pooler stands between the migration and the server."""


class ClusterError(EnvironmentFault):
    """A PostgreSQL cluster could not be created, started or stopped."""


class StateUnavailable(EnvironmentFault):
    """This role cannot keep pgsteady's own records in the database."""


class RevisionUnknown(PgSteadyError):
    """The project has no such revision."""


class RevisionFailed(PgSteadyError):
    """A revision could not be applied."""


class WrongAllowance(PgSteadyError):
    """An entry of the allow-list cannot be used."""


class ModelsFailed(PgSteadyError):
    """The models could not be built for comparison."""


class ReplayFailed(PgSteadyError):
    """The revisions could not be replayed on an empty database.

    ``applied`` is how many were, before one failed.
    """

    def __init__(self, message: str | None = None, *, applied: int = 0) -> None:
        super().__init__(message)
        self.applied = applied


class LockTimeout(RevisionFailed):
    """Another transaction held a lock that the revision needs."""


class BackupFailed(PgSteadyError):
    """No backup could be made that is proved to be good."""


class BackupDamaged(PgSteadyError):
    """The backup is not what was backed up."""


class RestoreFailed(PgSteadyError):
    """The backup could not be restored; the database in use is as it was."""


class WrongDeclaration(PgSteadyError):
    """What a model or a revision declares for verification cannot be used."""


class RehearsalFailed(PgSteadyError):
    """The pending revisions could not be rehearsed."""


class GateClosed(PgSteadyError):
    """The upgrade was not begun: something has to be put right first."""


class UpgradeStopped(PgSteadyError):
    """The upgrade stopped between two revisions."""


class WouldLoseRows(PgSteadyError):
    """The step would destroy rows of which there is no backup."""


class RepairFailed(PgSteadyError):
    """What is half done could not be finished or undone."""
