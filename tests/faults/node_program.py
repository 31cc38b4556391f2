"""A server of the cluster under test, as a process: ``python -m tests.faults.node_program JSON``.

It reads a command a line from stdin, ``publish``, ``pause`` or ``report``, ends when that is closed, and writes what
happens to it to stdout, as a JSON object a line.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import sys
import time
from collections.abc import Sequence
from itertools import cycle
from pathlib import Path
from typing import Any

from crosswire import Handshake, Redis, Server, Socket
from crosswire.runtime import loops
from crosswire.types import GapInfo, LinkStatus, NodeInfo
from tests.faults.lines import print_line, stdin_lines
from tests.faults.logs import PUBLISHED
from tests.faults.workload import NODES, ROOM, Workload, node_name, user

_TICK_INTERVAL = 0.01
"""Seconds between two rounds of publishing."""
_STALL_TIME = 0.5
"""Seconds of a standstill after which the missed messages are not published in a burst."""


class Publisher:
    """Publishes numbered messages at a steady rate.

    Args:
        streams: the number of each stream, and the audience that it goes to.
        order: in which something is said to them, over and over: indexes of ``streams``.
        rate: messages a second.
        log: where each message is written down.
    """

    def __init__(self, streams: Sequence[tuple[int, Any]], order: Sequence[int], rate: float, log: Path) -> None:
        self._streams = streams
        self._order = cycle(order)
        self._numbers = [0] * len(streams)
        self._rate = rate
        self._log = os.open(log, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Start publishing."""
        self._task = asyncio.create_task(self._run())

    async def stop(self) -> None:
        """Stop publishing, and raise the error of a publisher that failed."""
        if self._task is not None:
            self._task.cancel()
            await asyncio.wait((self._task,))
            if not self._task.cancelled():
                self._task.result()
            self._task = None

    async def _run(self) -> None:
        loop = asyncio.get_running_loop()
        began, said = loop.time(), 0
        while True:
            await asyncio.sleep(_TICK_INTERVAL)
            due = int((loop.time() - began) * self._rate)
            if due - said > _STALL_TIME * self._rate:
                began, said = loop.time(), 0
                continue
            self._say([next(self._order) for _ in range(due - said)])
            said = due

    def say_last(self) -> list[tuple[int, int]]:
        """Say one more message of each stream; return the streams and the numbers of these messages."""
        last = [(stream, number) for (stream, _), number in zip(self._streams, self._numbers, strict=True)]
        self._say(range(len(self._streams)))
        return last

    def _say(self, chosen: Sequence[int]) -> None:
        messages: list[tuple[int, int]] = []
        for index in chosen:
            messages.append((self._streams[index][0], self._numbers[index]))
            self._numbers[index] += 1
        now = time.time()
        # Logged before they are published: a process that is killed in between has sent less than it logged, not more.
        os.write(self._log, b"".join([PUBLISHED.pack(*message, now) for message in messages]))
        for index, message in zip(chosen, messages, strict=True):
            self._streams[index][1].send("n", message)


def make_publisher(server: Server, node: int, workload: Workload, log: Path) -> Publisher:
    """Make the publisher of a node's streams."""
    rooms = [server.room(ROOM, str(room)) for room in range(workload.rooms)]
    users = map(workload.user_of, range(workload.rooms, workload.targets - 1))
    targets = [*rooms, *[server.user(user(client)) for client in users if client is not None], server.everyone]
    streams = [(workload.stream(node, target), audience) for target, audience in enumerate(targets)]
    return Publisher(streams, workload.cycle(), workload.rate / NODES, log)


def make_server(node: int, redis: Redis) -> Server:
    """Make the server, which tells of all that an application is told of."""
    server = Server(node_name(node), port=0, redis=redis)
    add_handlers(server)
    return server


def add_handlers(server: Server) -> None:
    """Let the server know its clients, let them into rooms, answer them, and tell of what its node is told."""

    @server.authenticate
    def who(handshake: Handshake) -> str:
        return handshake.query["id"]

    @server.on("join")
    async def join(socket: Socket, room: str) -> bool:
        await socket.join(ROOM, room)
        return True

    @server.on("echo")
    def echo(_socket: Socket, data: Any) -> Any:
        return data

    @server.cluster.on_join
    def joined(info: NodeInfo) -> None:
        print_line("join", name=info.name)

    @server.cluster.on_leave
    def left(info: NodeInfo, reason: str) -> None:
        print_line("leave", name=info.name, reason=reason)

    @server.cluster.on_gap
    def gap(info: GapInfo) -> None:
        print_line("gap", **info._asdict())

    @server.cluster.on_bus_health
    def health(status: LinkStatus) -> None:
        print_line("health", **status._asdict())


async def main(options: dict[str, Any]) -> None:
    """Serve until stdin is closed."""
    server = make_server(options["node"], Redis(options["urls"], delivery=options["delivery"]))
    speaker = make_publisher(server, options["node"], Workload(**options["workload"]), Path(options["log"]))
    async with server:
        print_line("ready", port=server.port)
        async for command in stdin_lines():
            if command == "publish":
                speaker.start()
            elif command == "pause":
                await speaker.stop()
                print_line("paused")
            elif command == "report":
                cluster = server.cluster
                print_line("report", gaps=cluster.gaps, dropped=cluster.dropped, refused=cluster.refused)
        await speaker.stop()


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(levelname)s %(name)s: %(message)s")
    loops.run(main(json.loads(sys.argv[1])))
