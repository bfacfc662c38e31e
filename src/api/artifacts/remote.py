"""Artifacts wherever a URL leads that fsspec knows: S3 and its like, SFTP, WebDAV …

They lie under ``ab/cdef…``, as in a folder. Object stores show a file when it is whole; elsewhere
it is uploaded to ``partial`` and moved. A content that is there is not sent again while it is young
enough not to be removed.

There is no lock: who removes looks at the age once more just before, and the age that `GRACE_S`
leaves is what keeps those apart who add and who remove.
"""

from __future__ import annotations

import re
import tempfile
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any, BinaryIO, cast
from urllib.parse import urlsplit
from uuid import uuid4

from api.artifacts.place import Artifact
from api.errors import ArtifactsUnavailable

_ATOMIC = {"s3", "s3a", "gs", "gcs", "az", "abfs", "adl", "oss", "memory"}
"""Protocols whose files appear when they are whole."""
_SHA256 = re.compile(r"[0-9a-f]{2}/[0-9a-f]{62}")
_BLOCK_BYTES = 8 * 1024**2


class Remote:
    """What lies below a URL. Who it is, and where, the storage's own settings say."""

    def __init__(self, url: str, renewed_s: float) -> None:
        self._shown = _without_password(url)
        self._renewed_s = renewed_s
        self._protocol = urlsplit(url).scheme
        with self._told():
            from fsspec.core import url_to_fs

            self._files, root = url_to_fs(url, use_listings_cache=False)
        self._root = root.rstrip("/")

    @contextmanager
    def partial(self) -> Iterator[tuple[BinaryIO, Path]]:
        """Give a temporary file to write a content to."""
        with tempfile.NamedTemporaryFile(prefix="nano-os-artifact-") as stream:
            yield cast("BinaryIO", stream), Path(stream.name)

    def keep(self, path: Path, artifact: Artifact) -> None:
        """Send it to its place, if it is not there or no longer young."""
        place = self._place(artifact.sha256)
        with self._told():
            if self._is_there(place, artifact) and not self._is_older(place, self._renewed_s):
                return
            if self._protocol in _ATOMIC:
                self._files.put_file(str(path), place)
                return
            partial = f"{self._root}/partial/{uuid4().hex}"
            self._files.makedirs(f"{self._root}/partial", exist_ok=True)
            self._files.makedirs(place.rpartition("/")[0], exist_ok=True)
            self._files.put_file(str(path), partial)
            if self._files.exists(place):
                self._files.rm_file(place)  # not everywhere does a move replace
            self._files.mv(partial, place)

    def _is_there(self, place: str, artifact: Artifact) -> bool:
        try:
            return int(self._files.size(place) or -1) == artifact.size_bytes
        except FileNotFoundError:
            return False

    def _place(self, sha256: str) -> str:
        return f"{self._root}/{sha256[:2]}/{sha256[2:]}"

    @contextmanager
    def open(self, sha256: str) -> Iterator[BinaryIO]:
        """Open a content to be read. Raises FileNotFoundError."""
        with (
            self._told(),
            self._files.open(self._place(sha256), "rb", block_size=_BLOCK_BYTES) as stream,
        ):
            yield cast("BinaryIO", stream)

    def has(self, sha256: str) -> bool:
        """Return whether a content is there."""
        with self._told():
            return bool(self._files.exists(self._place(sha256)))

    def all(self) -> Iterator[Artifact]:
        """Yield what is there, in order of the hash."""
        with self._told():
            found: dict[str, Any] = {}
            if self._files.exists(self._root):
                found = self._files.find(self._root, detail=True)
        for path in sorted(found):
            name = path.removeprefix(self._root).lstrip("/")
            if _SHA256.fullmatch(name):
                yield Artifact(name.replace("/", ""), int(found[path]["size"]))

    def is_old(self, sha256: str, grace_s: float) -> bool:
        """Return whether it is there and was last kept longer ago than ``grace_s``."""
        with self._told():
            try:
                return self._is_older(self._place(sha256), grace_s)
            except FileNotFoundError:
                return False

    def _is_older(self, path: str, than_s: float) -> bool:
        """Return whether it is; raises FileNotFoundError. What tells no age is young."""
        try:
            kept: datetime = self._files.modified(path)
        except NotImplementedError:
            return than_s <= 0 and bool(self._files.exists(path))
        return (datetime.now(UTC) - _utc(kept)).total_seconds() >= than_s

    def remove(self, hashes: Iterable[str], grace_s: float) -> None:
        """Remove contents that are old still, and what broken uploads left."""
        for sha256 in hashes:
            if self.is_old(sha256, grace_s):
                with self._told():
                    self._files.rm_file(self._place(sha256))
        with self._told():
            partial = f"{self._root}/partial"
            left = self._files.find(partial) if self._files.exists(partial) else []
            for path in left:
                if self._is_older(path, grace_s):
                    self._files.rm_file(path)

    def named(self, sha256: str) -> str:
        """Return the URL, without a password."""
        return f"{self._shown.rstrip('/')}/{sha256[:2]}/{sha256[2:]}"

    @contextmanager
    def _told(self) -> Iterator[None]:
        try:
            yield
        except FileNotFoundError:
            raise
        except Exception as error:  # each storage's library raises its own kinds
            raise ArtifactsUnavailable(
                f"The artifacts at {self._shown} are out of reach: {type(error).__name__}: {error}."
                " See NANO_OS_ARTIFACTS, and the settings of that storage."
            ) from error


def _utc(moment: datetime) -> datetime:
    return moment.replace(tzinfo=UTC) if moment.tzinfo is None else moment


def _without_password(url: str) -> str:
    parts = urlsplit(url)
    return parts._replace(netloc=parts.netloc.rpartition("@")[2]).geturl()
