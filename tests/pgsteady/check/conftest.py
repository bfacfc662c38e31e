"""A live, filled schema for each project and major version."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any

import alembic.command
import pytest
from alembic.config import Config
from foreign_project import ForeignProject
from live_schema import Live, live_schema
from mutations import FILL_PLATFORM, FILL_SHOP

ROOT = Path(__file__).parents[3]


@pytest.fixture(scope="session")
def platform(external_server: Callable[[int], Any]) -> Callable[[int], Live]:
    """Return the live, filled schema of this project on a server of that major version."""
    made: dict[int, Live] = {}

    def live(major: int) -> Live:
        if major not in made:
            server = external_server(major)
            url = server.url(server.create("platform_live"))
            with pytest.MonkeyPatch.context() as environment:
                environment.setenv("DATABASE_URL", url)
                alembic.command.upgrade(Config(ROOT / "alembic.ini"), "head")
            made[major] = live_schema(server, ROOT / "alembic.ini", url, FILL_PLATFORM)
        return made[major]

    return live


@pytest.fixture(scope="session")
def shop(
    external_server: Callable[[int], Any], tmp_path_factory: pytest.TempPathFactory
) -> Callable[[int], Live]:
    """Return the live, filled schema of the foreign project ``shop``, likewise."""
    made: dict[int, Live] = {}

    def live(major: int) -> Live:
        if major not in made:
            server = external_server(major)
            url = server.url(server.create("shop_live"))
            folder = tmp_path_factory.mktemp("shop")
            foreign = ForeignProject("shop", folder, url)
            foreign.run("alembic", "upgrade", "head")
            with pytest.MonkeyPatch.context() as path:
                path.syspath_prepend(str(folder))
                path.delitem(sys.modules, "models", raising=False)
                made[major] = live_schema(server, foreign.ini, url, FILL_SHOP)
        return made[major]

    return live
