"""Sentinels that are in a hurry, and still find a replica that they may elect."""

from __future__ import annotations

import time

from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.sentinels import SentinelGroup

OLD = 600
"""Milliseconds; a sentinel that asks a replica ten times a second, as while its master lives, knows nothing so old."""


def replica_of(group: SentinelGroup, sentinel: RedisProcess) -> dict[str, str]:
    """Return what a sentinel knows of the only replica."""
    (flat,) = sentinel.command("SENTINEL", "REPLICAS", group.service)
    return dict(zip(flat[::2], flat[1::2], strict=True))


def wait_until_old(group: SentinelGroup, sentinel: RedisProcess) -> None:
    """Wait until a sentinel has not heard for a while how a replica does, and still takes it for alive."""
    deadline = time.monotonic() + 15
    while int((known := replica_of(group, sentinel))["info-refresh"]) < OLD or known["flags"] != "slave":
        assert time.monotonic() < deadline, known
        time.sleep(0.01)


def test_a_replica_is_elected_whenever_the_election_comes() -> None:
    """While the master is down, a replica is asked once a second how it does; it may be elected between two answers."""
    with SentinelGroup() as group:
        master, replica = group.servers
        sentinel, *others = group.sentinels
        for other in others:  # or they would elect the replica at once
            other.kill()
        master.kill()
        wait_until_old(group, sentinel)
        sentinel.command("SENTINEL", "FAILOVER", group.service)
        deadline = time.monotonic() + 15
        while group.master is not replica:
            assert time.monotonic() < deadline, group.logs
            time.sleep(0.01)
        assert "+promoted-slave" in group.logs
    assert "+" not in group.logs
