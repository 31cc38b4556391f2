"""The faults that rooms with history go through."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable
from typing import NamedTuple

from tests.faults.history.cluster import RoomCluster
from tests.faults.history.workload import NODES, RoomWorkload

CUT_INTERVAL = 1.0
"""Seconds between two cuts of all connections to a Redis."""
_FLUSH_INTERVAL = 0.2
"""Seconds between two commands that make a Redis forget its scripts."""
_BETWEEN_NODES = 0.5
"""Seconds from the return of a server to the end of the next one."""
_HALF = 0.5


class Form(NamedTuple):
    """Length and size of a run.

    Attributes:
        workload: of the cluster.
        before: seconds of publishing before the fault.
        after: seconds of publishing after it; a room that was void begins anew some six seconds after the log is back.
        stay: seconds for which a client keeps a connection at most, where clients drop them all the time.
        away: seconds for which it is away then at most.
    """

    workload: RoomWorkload
    before: float
    after: float
    stay: float
    away: float


SHORT = Form(RoomWorkload(clients=18, rooms=6, rate=150, size=500), before=1.0, after=9.0, stay=2.0, away=1.0)
LONG = Form(RoomWorkload(clients=60, rooms=20, rate=600, size=1000), before=3.0, after=12.0, stay=6.0, away=4.0)

Act = Callable[[RoomCluster, float], Awaitable[None]]


class RoomScenario(NamedTuple):
    """A fault.

    Attributes:
        name: in a word or two, for the command line.
        title: what is done.
        act: does and undoes it; takes the seconds that it is to last.
        short: these seconds, in the tests.
        long: the same in ``make faults``.
        forgets: whether Redis loses the rooms: every client must be told so, and nobody who was away is recovered.
        redis: number of Redis.
        proxied: whether they are behind proxies.
        drops: number of drops of connections that must have been made in the long form.
        stay: as in :class:`Form`, where the long form has another; None for the same.
        away: as ``stay``.
    """

    name: str
    title: str
    act: Act
    short: float
    long: float
    forgets: bool = False
    redis: int = 1
    proxied: bool = False
    drops: int = 0
    stay: float | None = None
    away: float | None = None


async def _restart_all_servers(cluster: RoomCluster, _seconds: float) -> None:
    for life in cluster.living:
        await cluster.terminate(life)
        new = await cluster.start_server()
        new.program.command("publish")
        await asyncio.sleep(_BETWEEN_NODES)


async def _kill_server(cluster: RoomCluster, _seconds: float) -> None:
    cluster.kill(cluster.living[0], time.time())


async def _kill_redis(cluster: RoomCluster, seconds: float) -> None:
    """Kill Redis, which starts empty, while half of the clients are away."""
    redis = cluster.redis[0]
    await cluster.leave(_HALF)
    await asyncio.to_thread(redis.kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(redis.start)
    cluster.come_back()


async def _restart_from_older_dump(cluster: RoomCluster, seconds: float) -> None:
    """Let half of the clients leave before a dump that Redis restarts from, after more was said."""
    redis = cluster.redis[0]
    await cluster.leave(_HALF)
    await asyncio.to_thread(redis.command, "SAVE")
    await asyncio.sleep(seconds)
    await asyncio.to_thread(redis.restart)
    if not await asyncio.to_thread(redis.command, "DBSIZE"):
        raise AssertionError("Redis has not loaded the dump")
    cluster.come_back()


async def _stop_redis(cluster: RoomCluster, seconds: float) -> None:
    await asyncio.to_thread(cluster.redis[0].pause)
    await asyncio.sleep(seconds)
    cluster.redis[0].resume()


async def _cut_links(cluster: RoomCluster, seconds: float) -> None:
    for _ in range(round(seconds / CUT_INTERVAL)):
        cluster.proxies[0].cut()
        await asyncio.sleep(CUT_INTERVAL)


async def _flush_and_fill(cluster: RoomCluster, seconds: float) -> None:
    """Let Redis forget its scripts again and again, and in the middle third of the time keep nothing more."""
    redis = cluster.redis[0]
    rounds = round(seconds / _FLUSH_INTERVAL)
    for number in range(rounds):
        await asyncio.to_thread(redis.command, "SCRIPT", "FLUSH")
        if number == rounds // 3:
            await asyncio.to_thread(redis.command, "CONFIG", "SET", "maxmemory", "1")
        elif number == rounds * 2 // 3:
            await asyncio.to_thread(redis.command, "CONFIG", "SET", "maxmemory", "0")
        await asyncio.sleep(_FLUSH_INTERVAL)


async def _wait(_cluster: RoomCluster, seconds: float) -> None:
    await asyncio.sleep(seconds)


async def _kill_one_of_two(cluster: RoomCluster, seconds: float) -> None:
    await asyncio.to_thread(cluster.redis[0].kill)
    await asyncio.sleep(seconds)
    await asyncio.to_thread(cluster.redis[0].start)


SCENARIOS = (
    RoomScenario(
        "rooms-restart-servers",
        f"all {NODES} servers get SIGTERM, one after the other, and new ones take their places",
        _restart_all_servers,
        short=0,
        long=0,
    ),
    RoomScenario(
        "rooms-kill-server",
        "one server is killed (SIGKILL); its clients go to the others",
        _kill_server,
        short=0,
        long=0,
    ),
    RoomScenario(
        "rooms-kill-redis",
        "Redis is killed, and started empty; half of the clients are away meanwhile",
        _kill_redis,
        short=2.5,
        long=10,
        forgets=True,
    ),
    RoomScenario(
        "rooms-older-dump",
        "half of the clients leave, Redis saves a dump, and later it is killed and started from it",
        _restart_from_older_dump,
        short=1.5,
        long=8,
        forgets=True,
    ),
    RoomScenario(
        "rooms-stop-redis",
        "Redis hangs (SIGSTOP) and goes on",
        _stop_redis,
        short=3,
        long=10,
    ),
    RoomScenario(
        "rooms-cut-links",
        "all connections to Redis are cut once a second",
        _cut_links,
        short=3,
        long=20,
        proxied=True,
    ),
    RoomScenario(
        "rooms-flush-and-fill",
        "Redis forgets its scripts (SCRIPT FLUSH) five times a second, and is full (maxmemory) for a third of the time",
        _flush_and_fill,
        short=3,
        long=15,
    ),
    RoomScenario(
        "rooms-drops",
        "1,000 times a client loses its connection and is away for 0.1 to 60 s",
        _wait,
        short=3,
        long=190,
        drops=1000,
        stay=2.0,
        away=60.0,
    ),
    RoomScenario(
        "rooms-kill-one-of-two",
        "one of two Redis is killed, and started empty",
        _kill_one_of_two,
        short=2.5,
        long=10,
        redis=2,
    ),
)
