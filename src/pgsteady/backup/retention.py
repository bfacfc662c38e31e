"""Which backups may go."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta

from pgsteady.backup.store import Backup
from pgsteady.url import DatabaseUrl


@dataclass(frozen=True)
class Retention:
    """The newest ``count`` backups are kept, and those younger than ``days``.

    The newest proved one is kept whatever else. None says nothing; where both do, either
    keeps a backup.
    """

    count: int | None = None
    days: float | None = None

    def outdated(
        self,
        backups: Iterable[Backup],
        now: datetime | None = None,
        *,
        coming: bool | None = None,
    ) -> list[Backup]:
        """Return which of the backups of one database may go.

        ``coming`` says that one more is about to be made, and whether it will be proved.
        """
        if self.count is None and self.days is None:
            return []
        newest_first = sorted(backups, key=lambda backup: backup.manifest.made_at, reverse=True)
        kept = newest_first[: max(0, (self.count or 0) - (coming is not None))]
        if self.days is not None:
            since = (now or datetime.now(UTC)) - timedelta(days=self.days)
            kept += [backup for backup in newest_first if backup.manifest.made_at > since]
        if not coming:
            kept += [backup for backup in newest_first if backup.manifest.proved][:1]
        return [backup for backup in newest_first if backup not in kept]


def of_database(backups: Sequence[Backup], database: DatabaseUrl) -> list[Backup]:
    """Return which of the backups are of that database."""
    where = (database.url.database, database.address)
    return [b for b in backups if (b.manifest.database, b.manifest.address) == where]
