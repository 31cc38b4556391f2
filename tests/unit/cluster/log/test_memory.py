"""The log of a bus in memory; its contract is in tests/contract."""

from __future__ import annotations

from crosswire.cluster.log.memory import HOLDER, new_epoch
from crosswire.cluster.memory import MemoryBus
from crosswire.core.positions import LogPosition, parse_position
from crosswire.testing.log_member import LogMember


def test_the_name_of_an_epoch_is_read_back_and_new_each_time() -> None:
    epochs = {new_epoch() for _ in range(100)}
    assert len(epochs) == 100
    assert all(parse_position(str(LogPosition(epoch, 1))) == (epoch, 1) for epoch in epochs)


async def test_nodes_with_the_same_bus_share_the_logs() -> None:
    bus = MemoryBus()
    members = [LogMember(bus, name) for name in "ab"]
    for member in members:
        await member.start()
    room = members[0].room("1")
    await members[0].append(room, b"x")
    assert await members[1].bodies(room) == [b"x"]
    assert members[1].recorded.holders == [HOLDER]
    other = LogMember(MemoryBus(), "c")
    await other.start()
    assert await other.bodies(room) == []
    for member in (*members, other):
        await member.stop()
