"""By what a schema is recognised: a hash for each object, the same on every major version.

Each revision's are kept beside the revisions, in ``catalog/<revision>.json``, so that a
database that names no revision can be matched against the history without replaying it.
"""

from __future__ import annotations

import hashlib
import json
import re
from pathlib import Path

from sqlalchemy import Connection

from pgsteady.catalog import Catalog, default_schema
from pgsteady.live import read_live
from pgsteady.project import Project
from pgsteady.replay import Surroundings, replay_each
from pgsteady.scope import Scope

Fingerprint = dict[str, str]

_CIRCUMSTANCES = {
    "clustered", "grants", "owner", "statistics", "tablespace", "triggers", "valid", "version",
}  # fmt: skip
"""Facts that say where a schema is used, rather than what it is."""

_ELSEWHERE = {"event trigger", "extension", "publication", "schema"}
"""Kinds that administrators make."""

_VERBATIM = {"comment", "column comments", "labels", "type"}

_BRACKETS_AND_CASTS = re.compile(
    r"""[()\s] | ::(?:"[^"]+"|[\w.])+
    (?:\ varying|\ precision|\ with(?:out)?\ time\ zone)? (?:\([\d,]+\))? (?:\[\])*""",
    re.VERBOSE,
)
"""What a restored dump may have elsewhere in an expression: see :mod:`pgsteady.reread`."""

_DIGITS = 16


def fingerprint(catalog: Catalog) -> Fingerprint:
    """Return a hash of each object of ``catalog``, a table's of everything in it."""
    said: dict[str, list[str]] = {}
    for key, facts in catalog.items():
        if key.kind not in _ELSEWHERE:
            whole = key if not key.table else key._replace(kind="table", table="", name=key.table)
            lasting = sorted((f, _bare(f, text)) for f, text in facts.items())
            lasting = [(f, text) for f, text in lasting if f not in _CIRCUMSTANCES]
            said.setdefault(str(whole), []).append(json.dumps([key, lasting], ensure_ascii=False))
    return {
        name: hashlib.sha256("\n".join(sorted(lines)).encode()).hexdigest()[:_DIGITS]
        for name, lines in sorted(said.items())
    }


def _bare(fact: str, text: str) -> str:
    return text if fact in _VERBATIM else _BRACKETS_AND_CASTS.sub("", text)


def live_fingerprint(project: Project, connection: Connection) -> Fingerprint:
    """Return the fingerprint of the project's database, without the application's indexes."""
    default = default_schema(connection)
    scope = Scope(project, default)
    live = read_live(project, connection, default)
    return fingerprint(scope.of_live(live, scope.schemas_of_models))


def recorded(project: Project) -> dict[str, Fingerprint]:
    """Return the fingerprint on file of each revision that has one."""
    return {
        file.stem: json.loads(file.read_text(encoding="utf-8"))
        for file in sorted(folder(project).glob("*.json"))
    }


def made(project: Project, surroundings: Surroundings | None = None) -> dict[str, Fingerprint]:
    """Return the fingerprint of each revision, by replaying them all.

    Raises:
        ReplayFailed: a revision does not run on an empty database.
        ClusterError: no private server can be had.
    """
    each = replay_each(project, surroundings or Surroundings())
    return {revision: fingerprint(catalog) for revision, catalog in each}


def record(project: Project) -> list[Path]:
    """Write the files anew, and return those that changed; raises as :func:`made`."""
    changed = []
    place = folder(project)
    place.mkdir(exist_ok=True)
    texts = {
        f"{rev}.json": json.dumps(found, indent=1) + "\n" for rev, found in made(project).items()
    }
    for name, text in texts.items():
        file = place / name
        if not file.exists() or file.read_text(encoding="utf-8") != text:
            file.write_text(text, encoding="utf-8")
            changed.append(file)
    for file in place.glob("*.json"):
        if file.name not in texts:
            file.unlink()
            changed.append(file)
    return changed


def folder(project: Project) -> Path:
    """Return where a project's fingerprints are kept."""
    return Path(project.script.dir, "catalog")
