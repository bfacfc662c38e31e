"""What tests of services share."""

from __future__ import annotations

import pytest

from api.services import queue


@pytest.fixture(autouse=True)
def server_up_for_long(monkeypatch: pytest.MonkeyPatch) -> None:
    """No worker may still be on its way back: the tests' server began a moment ago."""
    monkeypatch.setattr(queue, "RETURN_S", 0.0)
