"""Clients of a storm, as a process: ``python -m tests.soak.storm_program JSON``.

They are a ``crosswire.Client`` each, with one room that keeps history. Commands on stdin, a line each:

- ``connect NUMBER``: connect all, that many at a time; it says so once each has been told of its room again
- ``hear NUMBER``: wait until that many messages have come, and tell what the clients were told last
- ``close``: close all

It ends when stdin is closed.
"""

from __future__ import annotations

import asyncio
import json
import sys
from collections import Counter
from collections.abc import Sequence
from typing import Any

from crosswire import Client
from crosswire.runtime import loops
from crosswire.types import RoomState
from tests.faults.history.workload import user
from tests.faults.lines import print_line, stdin_lines
from tests.support.aio import wait_until

TIMEOUT = 120.0
"""Seconds in which all clients must be in their rooms, or have heard what they have missed."""


class Crowd:
    """Clients with one room each.

    Args:
        ports: of the servers; the clients of a room are at all of them.
        numbers: of the clients.
        rooms: number of rooms.

    Attributes:
        states: what each was told, in order.
        heard: messages that came.
    """

    def __init__(self, ports: Sequence[int], numbers: Sequence[int], rooms: int) -> None:
        self.states: list[list[RoomState]] = []
        self.heard = 0
        self.clients = [
            self._make(ports[number // rooms % len(ports)], number, str(number % rooms)) for number in numbers
        ]

    async def connect(self, at_once: int) -> None:
        """Connect all, and return when each has been told of its room once more."""
        free, before = asyncio.Semaphore(at_once), [len(each) for each in self.states]

        async def one(client: Client) -> None:
            async with free:
                await client.connect()

        async with asyncio.timeout(TIMEOUT):
            await asyncio.gather(*map(one, self.clients))
        news = zip(self.states, before, strict=True)
        waiting = [(states, told) for states, told in news if len(states) <= told]
        await wait_until(lambda: all(len(states) > told for states, told in waiting), TIMEOUT)

    async def hear(self, number: int) -> int:
        """Wait until so many messages have come; return their number."""
        await wait_until(lambda: self.heard >= number, TIMEOUT)
        return self.heard

    def answers(self) -> dict[str, int]:
        """Return how often each answer was the last that a client got."""
        return dict(Counter(str(states[-1].recovered) for states in self.states))

    async def close(self) -> None:
        """Close all."""
        await asyncio.gather(*[client.close() for client in self.clients])

    def _make(self, port: int, number: int, room: str) -> Client:
        client = Client(f"ws://127.0.0.1:{port}/", params={"id": user(number)}, call_timeout=TIMEOUT)
        told: list[RoomState] = []
        self.states.append(told)
        client.on_room(told.append)

        @client.on("n")
        def hear(_message: Any) -> None:
            self.heard += 1

        @client.on_open
        async def join() -> None:
            await client.call("join", room)

        return client


async def main(options: dict[str, Any]) -> None:
    """Obey commands until stdin is closed."""
    crowd = Crowd(options["ports"], range(options["first"], options["clients"], options["step"]), options["rooms"])
    print_line("ready")
    async for command in stdin_lines():
        word, _, number = command.partition(" ")
        if word == "connect":
            await crowd.connect(int(number))
            print_line("connected")
        elif word == "hear":
            print_line("heard", messages=await crowd.hear(int(number)), answers=crowd.answers())
        elif word == "close":
            await crowd.close()
            print_line("closed")
    await crowd.close()


if __name__ == "__main__":
    loops.run(main(json.loads(sys.argv[1])))
