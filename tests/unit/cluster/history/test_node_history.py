"""What a node does again and again for the rooms that keep history."""

from __future__ import annotations

import pytest

from crosswire import MemoryBus, Node
from crosswire.cluster.history.rooms import OpenRooms
from tests.support.aio import wait_until
from tests.support.loops import on_instant_loop


@on_instant_loop
async def test_a_look_at_the_rooms_that_fails_does_not_end_them_all(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    looks = 0

    def fail_at_first(_rooms: OpenRooms) -> None:
        nonlocal looks
        looks += 1
        if looks == 1:
            raise ValueError("a bug")

    monkeypatch.setattr(OpenRooms, "read_pending", fail_at_first)
    node = Node("a", bus=MemoryBus())
    node.history("chat")
    async with node:
        await wait_until(lambda: looks > 2)
    assert [record.getMessage() for record in caplog.records] == ["looking after the rooms that keep history failed"]
