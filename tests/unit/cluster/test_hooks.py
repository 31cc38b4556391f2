from __future__ import annotations

import pytest

from crosswire.cluster.hooks import NodeHooks
from crosswire.runtime.tasks import Tasks
from crosswire.types import GapInfo


@pytest.fixture
def hooks() -> NodeHooks:
    return NodeHooks(Tasks(), lambda: None, lambda name: None)


@pytest.mark.parametrize("hooked", [True, False])
def test_a_gap_is_logged_with_and_without_a_hook(
    hooks: NodeHooks, hooked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    if hooked:
        hooks.on_gap(told.append)
    hooks.fire_gap(GapInfo("redis://a", 1, 3.5))
    (gap,) = caplog.records
    assert gap.levelname == "WARNING"
    assert "missed within 2.5 s, over redis://a" in gap.getMessage()
    assert len(told) == hooked
