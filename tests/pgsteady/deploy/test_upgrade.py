"""The production path, on a project with rows and sessions of others."""

from __future__ import annotations

from collections.abc import Callable

from production import Pgsteady

from toy import Project

Sql = Callable[..., list[tuple[object, ...]]]
ANYHOW = ("--no-rehearsal", "a test", "--accept-lint", "no-lock-timeout")


def test_a_rehearsed_change_is_made(shop: Project, pgsteady: Pgsteady, sql: Sql) -> None:
    pgsteady("rehearse")
    done = pgsteady("upgrade", "--json").json
    assert (done["outcome"], done["current"]) == ("done", ["002_note"])
