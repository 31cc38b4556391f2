from __future__ import annotations

from crosswire.cluster.redis.options import Redis
from crosswire.cluster.redis.port import RedisPort
from crosswire.testing.bus_member import CHANNEL, BusMember


async def test_the_bus_describes_itself() -> None:
    options = Redis("redis://127.0.0.1:1", prefix="mine:")
    port = BusMember(options, "node").port
    assert options.prefix == "mine:"
    assert (port.available, port.paths) == (False, ())
    assert not port.is_listening(b"c")
    assert await port.count_listeners(b"c") == 0


async def test_unsubscribing_may_keep_the_subscription() -> None:
    for auto_unsubscribe in (True, False):
        member = BusMember(Redis("redis://127.0.0.1:1", auto_unsubscribe=auto_unsubscribe), "node")
        member.subscribe()
        member.port.unsubscribe(CHANNEL)
        port = member.port.bus_port
        assert isinstance(port, RedisPort)
        assert (CHANNEL in port.wanted) is not auto_unsubscribe


async def test_with_a_single_redis_nothing_is_held_back() -> None:
    assert BusMember(Redis("redis://127.0.0.1:1"), "node").port.bus_port.hold_time == 0
