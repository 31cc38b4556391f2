"""The faults: the process and the action, and what must hold in spite of it."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.faults.cluster import Cluster
from tests.faults.workload import Workload

VICTIM = 0
"""The Redis, and the node, that things are done to."""

DELIVERIES = ("redundant", "fast")


class Length(NamedTuple):
    """Length and size of a run.

    Attributes:
        workload: of the cluster.
        before: seconds of publishing before the fault.
        after: seconds of publishing after it.
    """

    workload: Workload
    before: float
    after: float


SHORT = Length(Workload(clients=20, rate=400), before=1.0, after=4.0)
LONG = Length(Workload(clients=200, rate=2000), before=3.0, after=8.0)

Act = Callable[[Cluster], Awaitable[None]]


class Scenario(NamedTuple):
    """A fault.

    Attributes:
        name: in a word or two, for the command line.
        title: what is done.
        begin: does it.
        end: undoes it.
        short: seconds from the one to the other, in the tests.
        long: the same in ``make faults``.
        lossless: whether redundant delivery must lose nothing.
        victim: node that falls silent; None for none.
        returns: whether it comes back.
        proxied: whether the Redis are behind proxies.
    """

    name: str
    title: str
    begin: Act
    end: Act
    short: float
    long: float
    lossless: bool = False
    victim: int | None = None
    returns: bool = False
    proxied: bool = False


async def _nothing(_cluster: Cluster) -> None:
    """Leave the fault as it is."""


async def _kill_redis(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.redis[VICTIM].kill)


async def _restart_redis(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.redis[VICTIM].restart)


async def _pause_redis(cluster: Cluster) -> None:
    await asyncio.to_thread(cluster.redis[VICTIM].pause)


async def _resume_redis(cluster: Cluster) -> None:
    cluster.redis[VICTIM].resume()


async def _kill_all(cluster: Cluster) -> None:
    await asyncio.gather(*[asyncio.to_thread(redis.kill) for redis in cluster.redis])


async def _restart_all(cluster: Cluster) -> None:
    await asyncio.gather(*[asyncio.to_thread(redis.restart) for redis in cluster.redis])


async def _blackhole(cluster: Cluster) -> None:
    cluster.proxies[VICTIM].blackhole(cluster.subscriber_of(VICTIM, VICTIM))


async def _kill_node(cluster: Cluster) -> None:
    cluster.nodes[VICTIM].signal(signal.SIGKILL)


async def _stop_node(cluster: Cluster) -> None:
    cluster.nodes[VICTIM].signal(signal.SIGSTOP)


async def _continue_node(cluster: Cluster) -> None:
    cluster.nodes[VICTIM].signal(signal.SIGCONT)


SCENARIOS = (
    Scenario(
        "kill-redis",
        "one Redis is killed (SIGKILL) and started again",
        _kill_redis,
        _restart_redis,
        short=1.5,
        long=10,
        lossless=True,
    ),
    Scenario(
        "stop-redis",
        "one Redis hangs (SIGSTOP) and goes on",
        _pause_redis,
        _resume_redis,
        short=3,
        long=10,
        lossless=True,
    ),
    Scenario(
        "kill-both",
        "both Redis are killed and started again",
        _kill_all,
        _restart_all,
        short=2,
        long=10,
    ),
    Scenario(
        "blackhole",
        "a node's connection that listens on one Redis loses everything",
        _blackhole,
        _nothing,
        short=0,
        long=0,
        lossless=True,
        proxied=True,
    ),
    Scenario("kill-node", "one node is killed", _kill_node, _nothing, short=0, long=0, victim=VICTIM),
    Scenario(
        "stop-node",
        "one node hangs (SIGSTOP) and goes on",
        _stop_node,
        _continue_node,
        short=4,
        long=15,
        victim=VICTIM,
        returns=True,
    ),
)
