"""What a project declares about its data, so that a change of it can be verified.

A revision declares in plain module attributes, so that no import is needed:

    changes = {"jobs.cost": "price * 100", "jobs": "NOT archived"}
    invariants = {"costs are positive": "SELECT id FROM jobs WHERE cost < 0"}
    irreversible = "the archived jobs"

An invariant holds from its revision on, until one after it gives None or another SELECT under
the same name. A model declares in ``info`` of its table or of the MetaData: ``invariants``
likewise, and ``hot_queries``, the queries that must not become slow.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from typing import Any

from pgsteady.errors import WrongDeclaration
from pgsteady.project import Project
from pgsteady.status import ancestors

Rules = Mapping[str, str | None]
"""What a revision may change.

``"table.column"``: the SQL expression over the old row that the new value equals, None for
any. ``"table"``: the SQL condition of the old rows that stay, None if rows may come and go; for
a table that is renamed, under its new name, the old one.
"""


@dataclass(frozen=True)
class Change:
    """What one revision declares that it changes."""

    revision: str
    rules: Rules


@dataclass(frozen=True)
class Declarations:
    """What models and revisions declare.

    ``changes`` are in the order in which the revisions are applied. ``invariants`` are
    named SELECTs that return the rows that break them; ``irreversible`` says for each
    revision that cannot be undone what is lost; ``hot_queries`` are named.
    """

    changes: tuple[Change, ...] = ()
    invariants: Mapping[str, str] = field(default_factory=dict)
    irreversible: Mapping[str, str] = field(default_factory=dict)
    hot_queries: Mapping[str, str] = field(default_factory=dict)


def declared(project: Project, revision_ids: Iterable[str]) -> Declarations:
    """Return what the models and these revisions declare.

    Raises:
        WrongDeclaration: a declaration has not the form that it should have.
    """
    wanted = set(revision_ids)
    scripts = [s for s in project.script.walk_revisions() if s.revision in wanted][::-1]
    changes, irreversible = [], {}
    invariants: dict[str, str | None] = {}
    for script in scripts:
        place = f"revision {script.revision}"
        if rules := _mapping(script.module, "changes", place):
            changes.append(Change(script.revision, rules))
        invariants |= _mapping(script.module, "invariants", place)
        lost = getattr(script.module, "irreversible", "")
        if not isinstance(lost, str):
            raise WrongDeclaration(f"{place}: irreversible must be a text that says what is lost.")
        if lost:
            irreversible[script.revision] = lost
    lasting = {name: sql for name, sql in invariants.items() if sql is not None}
    return Declarations(
        tuple(changes),
        lasting | _of_models(project, "invariants"),
        irreversible,
        _of_models(project, "hot_queries"),
    )


def declared_by(project: Project, heads: Iterable[str]) -> Declarations:
    """Return what the models declare, and all revisions up to ``heads``; as :func:`declared`."""
    known = {script.revision for script in project.script.walk_revisions()}
    return declared(project, ancestors(project, [head for head in heads if head in known]))


def _of_models(project: Project, name: str) -> dict[str, str]:
    """Collect ``info[name]`` of each MetaData and each of its tables."""
    found: dict[str, str] = {}
    for metadata in project.metadata:
        for place, info in [
            ("the MetaData", metadata.info),
            *((f"table {table.fullname}", table.info) for table in metadata.sorted_tables),
        ]:
            said = _mapping(info, name, f"info of {place}")
            found |= {title: sql for title, sql in said.items() if sql is not None}
    return found


def _mapping(holder: Any, name: str, place: str) -> Rules:
    """Return the attribute or entry ``name``, a dict from names to SQL or None."""
    said = holder.get(name, {}) if isinstance(holder, Mapping) else getattr(holder, name, {})
    if not isinstance(said, Mapping) or not all(
        isinstance(key, str) and isinstance(sql, str | None) for key, sql in said.items()
    ):
        raise WrongDeclaration(f"{place}: {name} must be a dict from names to SQL or None.")
    return dict(said)
