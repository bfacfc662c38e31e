"""Which revision a live schema is the work of, told by the fingerprints kept of each."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from pgsteady.doctor.examination import Patient
from pgsteady.fingerprints import Fingerprint, live_fingerprint, recorded

SHOWN = 5
"""Names that are listed before an ellipsis."""


@dataclass(frozen=True)
class Recognition:
    """The revisions whose schema this is, oldest first; or the nearest one.

    Several have one schema when those between change data alone. ``differing`` says in
    what the nearest one differs. Both are empty where no fingerprints are kept.
    """

    revisions: tuple[str, ...]
    differing: tuple[str, ...] = ()
    is_head: bool = False

    @property
    def exact(self) -> bool:
        """Whether the schema is a revision's in every detail."""
        return bool(self.revisions) and not self.differing

    @property
    def told(self) -> str:
        """Say it in a sentence."""
        if not self.revisions:
            return (
                "Which revision it is of cannot be told: no fingerprints are kept; "
                "`python -m pgsteady catalog` records them."
            )
        if self.exact:
            return f"The schema is exactly that of {' and '.join(self.revisions)}."
        return (
            f"The schema is that of no revision here; nearest is {self.revisions[0]}, "
            f"but for {some(self.differing)}."
        )

    def stamp(self, options: str = "") -> str:
        """Return the command that writes the recognised revision to the version table."""
        then = "" if self.is_head else " && alembic upgrade head"
        return f"alembic stamp {options}{self.revisions[0]}{then}"


def recognise(patient: Patient) -> Recognition:
    """Compare the live schema with the fingerprint of each revision."""
    kept = recorded(patient.project)
    history = [r.revision for r in patient.script.walk_revisions()][::-1]
    known = [revision for revision in history if revision in kept]
    if not known:
        return Recognition(())
    live = live_fingerprint(patient.project, patient.connection)
    differing = {revision: _differing(live, kept[revision]) for revision in known}
    exact = tuple(revision for revision in known if not differing[revision])
    nearest = min(reversed(known), key=lambda revision: len(differing[revision]))
    revisions = exact or (nearest,)
    return Recognition(
        revisions, differing[revisions[0]], revisions[0] in patient.script.get_heads()
    )


def some(names: Sequence[str]) -> str:
    """List the first names, and say how many more there are."""
    shown = ", ".join(names[:SHOWN])
    return f"{shown} and {len(names) - SHOWN} more" if len(names) > SHOWN else shown


def _differing(live: Fingerprint, kept: Fingerprint) -> tuple[str, ...]:
    missing = [f"{name} (missing)" for name in kept if name not in live]
    changed = [f"{name} (different)" for name in kept if live.get(name, kept[name]) != kept[name]]
    extra = [f"{name} (extra)" for name in live if name not in kept]
    return (*missing, *changed, *extra)
