"""Artifacts: files that results have beside their numbers, known by the hash of their content.

They lie in a folder, or wherever a URL of fsspec leads; `store` knows contents, `folder` and
`remote` know the two kinds of place.
"""

from api.artifacts.place import Artifact
from api.artifacts.store import GRACE_S, Artifacts, Incoming

__all__ = ["GRACE_S", "Artifact", "Artifacts", "Incoming"]
