"""How bad a difference is, and what to say of it."""

from __future__ import annotations

from dataclasses import dataclass

from pgsteady.catalog import Catalog
from pgsteady.compare import Difference
from pgsteady.finding import Finding, Severity
from pgsteady.mend import mend, reverse

ERROR, WARNING, INFO = Severity.ERROR, Severity.WARNING, Severity.INFO

_OF_CHANGES = {
    "extra-constraint": ERROR,  # it may refuse what the program writes
    "extra-extension": INFO,
    "extra-index": WARNING,
    "extra-policy": ERROR,
    "extra-rule": ERROR,
    "extra-schema": INFO,
    "extra-trigger": ERROR,
    "missing-index": WARNING,
    "missing-statistics": WARNING,
    "renamed-constraint": INFO,
    "renamed-index": INFO,
}
_OF_FACTS = {
    "access method": WARNING,
    "clustered": INFO,
    "column comments": INFO,
    "comment": INFO,
    "compression": INFO,
    "default": WARNING,
    "grants": WARNING,
    "options": WARNING,
    "owner": WARNING,
    "replica identity": WARNING,
    "schema": WARNING,
    "statistics": INFO,
    "storage": INFO,
    "tablespace": INFO,
    "toast options": INFO,
    "version": WARNING,
}
_ABSENT = {
    "compression": "default",
    "fires": "ENABLE",
    "null": "NULL",
    "persistence": "LOGGED",
    "row security": "off",
    "statistics": "default",
    "storage": "default",
    "triggers": "ENABLED",
}
"""What a fact is called where nothing is said of it, if not "none"."""

NOT_VALID = " NOT VALID"


@dataclass(frozen=True, kw_only=True)
class SchemaFinding(Finding):
    """A difference between the live database and what was expected of it.

    ``sql`` makes the live object as expected, ``undo`` the other way round.
    """

    live: str = ""
    expected: str = ""
    undo: str = ""


def judge(difference: Difference, live: Catalog, expected: Catalog, *, by: str) -> SchemaFinding:
    """Return the finding about a difference from what ``by`` says, such as "the models"."""
    code = code_of(difference)
    return SchemaFinding(
        severity=_severity(difference, code),
        code=code,
        object=str(difference.key),
        message=_message(difference, by),
        sql=_script(_mended(difference, live, expected)),
        undo=_script(reverse(difference, live, expected)),
        live=difference.live,
        expected=difference.expected,
    )


def code_of(difference: Difference) -> str:
    """Name the kind of difference: ``missing-index``, ``column-type``, ``invalid-index``."""
    kind = difference.key.kind.replace(" ", "-")
    if difference.change != "changed":
        return f"{difference.change}-{kind}"
    if difference.fact == "valid":
        return "invalid-index"
    if _only_validity(difference):
        return "not-valid-constraint"
    return f"{kind}-{difference.fact}".replace(" ", "-")


def _severity(difference: Difference, code: str) -> Severity:
    if code == "not-valid-constraint":
        return WARNING
    if code == "missing-index" and difference.expected.startswith("CREATE UNIQUE"):
        return ERROR
    if difference.change == "changed":
        of_index = difference.key.kind == "index" and difference.fact != "valid"
        return WARNING if of_index else _OF_FACTS.get(difference.fact, ERROR)
    return _OF_CHANGES.get(code, WARNING if difference.change == "extra" else ERROR)


def _message(difference: Difference, by: str) -> str:
    match difference.change:
        case "missing":
            return f"{by} have it, the database does not"
        case "extra":
            return f"the database has it, {by} do not"
        case "renamed":
            return f"the database calls it {difference.live}"
    if difference.fact == "valid":
        return "INVALID: it is kept up with every write, and serves no query"
    if _only_validity(difference):
        return "NOT VALID: rows from before it was added may break it"
    absent = _ABSENT.get(difference.fact, "none")
    now, then = difference.live or absent, difference.expected or absent
    return f"{difference.fact}: {now}; {by} say: {then}"


def _only_validity(difference: Difference) -> bool:
    then, now = difference.expected, difference.live
    return then + NOT_VALID == now and difference.key.kind in {"constraint", "column"}


def _mended(difference: Difference, live: Catalog, expected: Catalog) -> list[str]:
    if difference.key.kind == "constraint" and _only_validity(difference):
        add, _, name = mend(difference, live, expected)[-1].partition(" ADD CONSTRAINT ")
        return [f"{add} VALIDATE CONSTRAINT {name.removesuffix(difference.expected).rstrip()}"]
    return mend(difference, live, expected)


def _script(statements: list[str]) -> str:
    return "\n".join(s if s.startswith("-- ") else f"{s};" for s in statements)
