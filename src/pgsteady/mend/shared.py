"""Statements about facts that objects of several kinds have."""

from __future__ import annotations

from pgsteady.catalog import Key, quoted
from pgsteady.mend.names import filled, qualified
from pgsteady.mend.templates import NAMED

_LIKE_A_TABLE = {"view", "materialized view", "foreign table"}


def comment(key: Key, _now: str, then: str) -> list[str]:
    """Return the statement that comments an object, or takes its comment away."""
    words = "'{}'".format(then.replace("'", "''")) if then else "NULL"
    return [f"COMMENT ON {_named(key)} IS {words}"]


def grants(key: Key, now: str, then: str) -> list[str]:
    """Return the statements that give and take away rights.

    Each line is ``GRANT … TO …`` or ``REVOKE … FROM …``, relative to what an object of
    that kind is made with.
    """
    old, new = now.splitlines(), then.splitlines()
    undone = [_opposite(line) for line in old if line not in new]
    done = [line for line in new if line not in old]
    return [_about(line, key) for line in (*undone, *done)]


def options(key: Key, now: str, then: str) -> list[str]:
    """Return the statements that set and reset parameters, ``name=value, …``."""
    old, new = (dict(p.split("=", 1) for p in text.split(", ") if p) for text in (now, then))
    alter = f"ALTER {key.kind.upper()} {qualified(key)}"
    if key.kind == "column":
        alter = f"ALTER TABLE {qualified(key)} ALTER COLUMN {quoted(key.name)}"
    gone = ", ".join(name for name in old if name not in new)
    given = ", ".join(f"{n}={value}" for n, value in new.items() if old.get(n) != value)
    statements = [f"{alter} RESET ({gone})"] if gone else []
    return statements + ([f"{alter} SET ({given})"] if given else [])


def owner(key: Key, _now: str, then: str) -> list[str]:
    """Return the statement that hands over an object; nobody means the role that migrates."""
    return [f"ALTER {_named(key)} OWNER TO {quoted(then) if then else 'CURRENT_USER'}"]


def domain_checks(key: Key, now: str, then: str) -> list[str]:
    """Return the statements that change a domain's checks, ``CONSTRAINT name CHECK (…)`` each."""
    old, new, domain = now.splitlines(), then.splitlines(), f"ALTER DOMAIN {qualified(key)}"
    gone = [check.partition(" CHECK ")[0] for check in old if check not in new]
    return [f"{domain} DROP {name}" for name in gone] + [
        f"{domain} ADD {check}" for check in new if check not in old
    ]


def index_statistics(key: Key, now: str, then: str) -> list[str]:
    """Return the statements that set the targets of an index's expressions, ``1: 500, …``."""
    old, new = (dict(p.split(": ") for p in text.split(", ") if p) for text in (now, then))
    alter = f"ALTER INDEX {qualified(key, key.name)} ALTER COLUMN"
    targets = {place: new.get(place, "-1") for place in old | new}
    return [f"{alter} {place} SET STATISTICS {target}" for place, target in targets.items()]


def _named(key: Key) -> str:
    return filled(NAMED.get(key.kind, f"{key.kind.upper()} {{own}}"), key)


def _opposite(line: str) -> str:
    if line.startswith("GRANT"):
        plain = line.removesuffix(" WITH GRANT OPTION")
        return plain.replace("GRANT ", "REVOKE ", 1).replace(" TO ", " FROM ", 1)
    return line.replace("REVOKE ", "GRANT ", 1).replace(" FROM ", " TO ", 1)


def _about(line: str, key: Key) -> str:
    verb, _, rest = line.partition(" ")
    word = " TO " if verb == "GRANT" else " FROM "
    rights, _, who = rest.partition(word)
    target = _named(key)
    if key.kind == "column":
        rights = ", ".join(f"{right} ({quoted(key.name)})" for right in rights.split(", "))
        target = f"TABLE {qualified(key)}"
    elif key.kind in _LIKE_A_TABLE:
        target = f"TABLE {qualified(key)}"
    return f"{verb} {rights} ON {target}{word}{who.replace('OWNER', 'CURRENT_USER')}"
