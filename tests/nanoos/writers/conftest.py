from pathlib import Path

import pytest


@pytest.fixture(scope="session")
def examples() -> list[Path]:
    return sorted((Path(__file__).parents[3] / "examples" / "crystals").iterdir())
