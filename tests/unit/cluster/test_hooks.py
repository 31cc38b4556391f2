from __future__ import annotations

import pytest

from crosswire.cluster.hooks import NodeHooks
from crosswire.runtime.tasks import Tasks
from crosswire.types import GapInfo, SubscriptionFailure


@pytest.fixture
def hooks() -> NodeHooks:
    return NodeHooks(Tasks(), lambda: None, lambda name: None)


@pytest.mark.parametrize("hooked", [True, False])
def test_a_gap_and_a_channel_that_is_not_heard_are_logged_with_and_without_hooks(
    hooks: NodeHooks, hooked: bool, caplog: pytest.LogCaptureFixture
) -> None:
    told: list[object] = []
    if hooked:
        hooks.on_gap(told.append)
        hooks.on_subscription_error(told.append)
    hooks.fire_gap(GapInfo("redis://a", 1, 3.5))
    hooks.fire_subscription_error(SubscriptionFailure("redis://a", "cw:u:1\n", "NOPERM no"))
    assert [record.levelname for record in caplog.records] == ["WARNING"] * 2
    gap, failure = [record.getMessage() for record in caplog.records]
    assert "missed within 2.5 s, over redis://a" in gap
    assert "redis://a refuses the subscription to 'cw:u:1\\n'" in failure
    assert len(told) == 2 * hooked
