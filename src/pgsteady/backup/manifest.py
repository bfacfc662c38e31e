"""What a backup says of itself, in ``manifest.json``."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from typing import Any, Self

from pgsteady.backup.packing import Packed
from pgsteady.backup.surroundings import Surroundings
from pgsteady.errors import BackupDamaged
from pgsteady.fingerprints import Fingerprint
from pgsteady.verify import Evidence

FORMAT = 1
"""Of the manifest; a newer one is not read."""


@dataclass(frozen=True)
class Proof:
    """That the backup was restored and found to be what was backed up: when, and where."""

    at: datetime
    server_version: str


@dataclass(frozen=True)
class Manifest:
    """What was backed up, when and how, and what it must be when it is restored.

    ``catalog`` is the fingerprint of the schema. ``sizes`` are those of tables, indexes and
    the constraints that indexes are for, in bytes, by object identifier. Nothing in it is
    secret.
    """

    database: str
    address: str
    made_at: datetime
    made_by: str
    pg_dump: str
    form: str
    surroundings: Surroundings
    catalog: Fingerprint
    evidence: Evidence
    sizes: Mapping[str, int]
    files: Mapping[str, Packed]
    proof: Proof | None = None

    @property
    def revisions(self) -> tuple[str, ...]:
        """Alembic's, as the version table named them."""
        return self.evidence.revisions

    @property
    def rows(self) -> Mapping[str, int]:
        """The number of rows of each table."""
        return self.evidence.rows

    @property
    def proved(self) -> bool:
        """Whether it was restored and compared."""
        return self.proof is not None

    @property
    def bytes(self) -> int:
        """The size of its files."""
        return sum(file.bytes for file in self.files.values())

    @property
    def raw_bytes(self) -> int:
        """The size of what its files hold."""
        return sum(file.raw_bytes for file in self.files.values())

    def as_text(self) -> str:
        """Return it as JSON that holds its own checksum."""
        document = {"format": FORMAT} | asdict(self) | {"evidence": self.evidence.as_json()}
        document = json.loads(json.dumps(document, default=_text))
        return json.dumps(document | {"sha256": _sha256(document)}, indent=1) + "\n"

    @classmethod
    def from_text(cls, text: str) -> Self:
        """Read what :meth:`as_text` wrote.

        Raises:
            BackupDamaged: it is something else, or was changed since.
        """
        try:
            document = json.loads(text)
            stated = document.pop("sha256")
        except (ValueError, KeyError, AttributeError, TypeError) as error:
            raise BackupDamaged("It is no manifest of a backup.") from error
        if stated != _sha256(document):
            raise BackupDamaged("It was changed after it was written.")
        if document.pop("format") != FORMAT:
            raise BackupDamaged("A newer pgsteady made it.", hint="Use that one to restore it.")
        proof = document.pop("proof")
        return cls(
            made_at=datetime.fromisoformat(document.pop("made_at")),
            surroundings=Surroundings.from_json(document.pop("surroundings")),
            evidence=Evidence.from_json(document.pop("evidence")),
            files={name: Packed(**file) for name, file in document.pop("files").items()},
            proof=proof and Proof(datetime.fromisoformat(proof["at"]), proof["server_version"]),
            **document,
        )


def _sha256(document: Mapping[str, Any]) -> str:
    plain = json.dumps(document, sort_keys=True, separators=(",", ":"))
    return hashlib.sha256(plain.encode()).hexdigest()


def _text(value: datetime) -> str:
    return value.isoformat()
