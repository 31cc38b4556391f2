from __future__ import annotations

from time import monotonic, time

import pytest

from crosswire.cluster.redis import port as port_module
from crosswire.cluster.redis.options import Redis
from crosswire.testing.bus_member import BusMember
from tests.support.aio import wait_until


async def test_messages_missed_on_many_channels_are_told_of_at_once_and_then_together(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(port_module, "_OFTEN", 0.02)

    member = BusMember(Redis("redis://127.0.0.1:1"), "node")
    port = member.port
    assert isinstance(port, port_module.RedisPort)
    now, real = monotonic(), time()
    for since in (now - 5, now - 9, now - 7):
        port.messages_missed(since)
    assert port.gaps == 1
    await wait_until(lambda: port.gaps == 2)
    first, second = [value for what, value in member.told if what == "gap"]
    assert [round(real - gap.since) for gap in (first, second)] == [5, 9]  # type: ignore[attr-defined]
    port.messages_missed(now)
    await wait_until(lambda: port.gaps == 3)
    await port.stop()


async def test_the_bus_describes_itself() -> None:
    options = Redis("redis://127.0.0.1:1", prefix="mine:")
    port = BusMember(options, "node").port
    assert options.prefix == "mine:"
    assert (port.available, port.paths) == (False, ())
    assert not port.is_listening(b"c")
    assert await port.listeners(b"c") == 0
