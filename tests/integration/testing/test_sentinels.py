"""Sentinels that are in a hurry, and still find a replica that they may elect."""

from __future__ import annotations

import time

from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.sentinels import SentinelGroup

OLD = 600
"""Milliseconds; a sentinel that asks a replica ten times a second, as while its master lives, knows nothing so old."""


def master_and_replica(group: SentinelGroup, sentinel: RedisProcess) -> tuple[dict[str, str], dict[str, str]]:
    """Return what a sentinel knows of the master and of the only replica."""
    master = sentinel.command("SENTINEL", "MASTER", group.service)
    (replica,) = sentinel.command("SENTINEL", "REPLICAS", group.service)
    return dict(zip(master[::2], master[1::2], strict=True)), dict(zip(replica[::2], replica[1::2], strict=True))


def wait_until_old(group: SentinelGroup, sentinel: RedisProcess) -> None:
    """Wait until a sentinel takes the master for dead, has not heard for a while how a replica does, and trusts it."""
    deadline = time.monotonic() + 15
    while True:
        master, replica = master_and_replica(group, sentinel)
        if "s_down" in master["flags"] and int(replica["info-refresh"]) >= OLD and replica["flags"] == "slave":
            return
        assert time.monotonic() < deadline, (master, replica)
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
