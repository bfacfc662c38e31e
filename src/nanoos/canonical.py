"""Canonical JSON and its hash, by which equal documents are known: parameters, methods, inputs."""

from __future__ import annotations

import hashlib
import json
from typing import Any

_ENCODER = json.JSONEncoder(
    sort_keys=True, separators=(",", ":"), ensure_ascii=False, allow_nan=False
)


def canonical_json(document: Any) -> str:
    """Return ``document`` as JSON with sorted keys and no spaces (as RFC 8785 orders them)."""
    return _ENCODER.encode(document)


def sha256(document: Any) -> str:
    """Return the sha256 of the canonical JSON of ``document``, in hex."""
    return hashlib.sha256(canonical_json(document).encode()).hexdigest()
