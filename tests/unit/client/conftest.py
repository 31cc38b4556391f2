from __future__ import annotations

from collections.abc import Iterator

import pytest

from crosswire.runtime import environment
from tests.unit.client.fake_client import FakeClient


@pytest.fixture(autouse=True, scope="package")
def no_network() -> Iterator[None]:
    """Clients connect to what the test says."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("crosswire.client.client.connect", FakeClient.dial)
        yield


@pytest.fixture
def half_jitter(monkeypatch: pytest.MonkeyPatch) -> None:
    """Every random delay is half as long as it may be."""
    monkeypatch.setattr(environment, "random", lambda: 0.5)
