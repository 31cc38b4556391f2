"""Many clients of rooms with history come back at once to servers that have just started."""

from __future__ import annotations

import asyncio
import signal
from collections import Counter
from contextlib import AsyncExitStack
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crosswire import Client
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from crosswire.types import RoomState
from tests.faults.history.workload import RoomWorkload, user
from tests.faults.programs import Program
from tests.soak.outcome import Outcome
from tests.support.aio import wait_until

TITLE = (
    "two servers end, and two others start in their place; all clients come back at once, each to one room that keeps "
    "history, in which a third server has said something meanwhile"
)
CLIENTS = 2000
ROOMS = 100
SERVERS = 2
MESSAGES = 3
"""Messages of each room that the clients have missed, at least."""
READS = 2
"""Reads of the log that a server may make for a room."""
_TIMEOUT = 120.0
"""Seconds in which all clients must be in their rooms, at the beginning and after the storm."""
_CONNECTS = 50
"""Clients that connect at the same time at the beginning."""


class Crowd:
    """Clients with one room each.

    Attributes:
        states: what each was told, in order.
        heard: messages that came.
    """

    def __init__(self, port: int, count: int, rooms: int) -> None:
        self.states: list[list[RoomState]] = [[] for _ in range(count)]
        self.heard = 0
        self.clients = [self._make(port, number, str(number % rooms)) for number in range(count)]

    async def connect(self, at_once: int) -> None:
        """Connect all, and return when each has been told of its room once more."""
        free, before = asyncio.Semaphore(at_once), [len(each) for each in self.states]

        async def one(client: Client) -> None:
            async with free:
                await client.connect()

        async with asyncio.timeout(_TIMEOUT):
            await asyncio.gather(*map(one, self.clients))
        news = zip(self.states, before, strict=True)
        waiting = [(states, told) for states, told in news if len(states) <= told]
        await wait_until(lambda: all(len(states) > told for states, told in waiting), _TIMEOUT)

    async def close(self) -> None:
        """Close all."""
        await asyncio.gather(*[client.close() for client in self.clients])

    def _make(self, port: int, number: int, room: str) -> Client:
        client = Client(f"ws://127.0.0.1:{port}/", params={"id": user(number)}, call_timeout=_TIMEOUT)

        @client.on("n")
        def hear(_message: Any) -> None:
            self.heard += 1

        @client.on_room
        def be_told(state: RoomState) -> None:
            self.states[number].append(state)

        @client.on_open
        async def join() -> None:
            await client.call("join", room)

        return client


class Servers:
    """The processes of servers, with the history of all rooms.

    Args:
        folder: for their logs.
        stack: which ends them.
        url: of Redis.
        workload: the rooms.
    """

    def __init__(self, folder: Path, stack: AsyncExitStack, url: str, workload: RoomWorkload) -> None:
        self._folder = folder
        self._stack = stack
        self._url = url
        self._workload = workload
        self._count = 0

    async def start(self, port: int) -> Program:
        """Start a server; return when it listens."""
        number, self._count = self._count, self._count + 1
        options = {
            "name": f"server{number}",
            "life": number,
            "port": port,
            "urls": [self._url],
            "delivery": "fast",
            "workload": self._workload.encode(),
            "log": str(self._folder / f"{number}.published"),
        }
        log = self._folder / f"{number}.stderr"
        program = await Program.start("tests.faults.history.node_program", options, log)
        self._stack.push_async_callback(program.kill)
        await program.until(lambda: program.all("ready"))
        return program


def scripts_run(redis: RedisProcess) -> int:
    """Return the number of scripts that Redis has run: each append is one, and each read of a log."""
    stats = str(redis.command("INFO", "commandstats")).splitlines()
    line = next((line for line in stats if line.startswith("cmdstat_evalsha:")), "calls=0,")
    return int(line.partition("calls=")[2].partition(",")[0])


async def run(clients: int = CLIENTS, rooms: int = ROOMS) -> Outcome:
    """Let all clients come back at once."""
    outcome = Outcome("storm", TITLE)
    workload = RoomWorkload(clients=clients, rooms=rooms, rate=0, size=100)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="crosswire-storm-")))
        place, speaker_place = ReservedPort(), ReservedPort()
        for each in (place, speaker_place):
            stack.callback(each.close)
        redis = RedisProcess()
        stack.callback(redis.stop)
        await asyncio.to_thread(redis.start)
        servers = Servers(folder, stack, redis.url, workload)
        speaker = await servers.start(speaker_place.number)
        first = [await servers.start(place.number) for _ in range(SERVERS)]
        crowd = Crowd(place.number, clients, rooms)
        stack.push_async_callback(crowd.close)
        await crowd.connect(_CONNECTS)
        await crowd.close()
        for program in first:
            program.signal(signal.SIGTERM)
            await program.wait_ended()
        for _ in range(MESSAGES):
            await speaker.ask("last", "last")
        for _ in range(SERVERS):
            await servers.start(place.number)
        await _judge(outcome, crowd, redis, clients, rooms)
    return outcome


async def _judge(outcome: Outcome, crowd: Crowd, redis: RedisProcess, clients: int, rooms: int) -> None:
    loop = asyncio.get_running_loop()
    before, begun = await asyncio.to_thread(scripts_run, redis), loop.time()
    await crowd.connect(clients)
    took, after = loop.time() - begun, await asyncio.to_thread(scripts_run, redis)
    await wait_until(lambda: crowd.heard >= clients * MESSAGES, _TIMEOUT)
    outcome.note("clients, rooms and servers", f"{clients:,}, {rooms}, {SERVERS}")
    outcome.note("seconds until all were in their rooms again", f"{took:.1f} s")
    outcome.limit("scripts run by Redis, which all read logs", after - before, READS * rooms * SERVERS)
    answers = Counter(str(states[-1].recovered) for states in crowd.states)
    outcome.require("answers to them", dict(answers), {"True": clients})
    outcome.require("messages that they got", crowd.heard, clients * MESSAGES)
