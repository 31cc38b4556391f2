"""All clients of a run, as one process: ``python -m tests.faults.history.load_program JSON``.

They are a ``crosswire.Client`` each, behind a proxy that can cut their connections. Commands on stdin, a line each:

- ``roam STAY AWAY``: every client drops its connection again and again, after up to STAY seconds, for up to AWAY
- ``leave SHARE``: that share of the clients loses its network, until ``return``
- ``settle``: drop nothing more, and wait until all are in their rooms
- ``finals JSON``: wait until all have got these messages, a list of pairs of stream and number
- ``report``: tell how often connections were dropped

It ends when stdin is closed.
"""

from __future__ import annotations

import asyncio
import json
import random
import sys
from pathlib import Path
from typing import Any

from crosswire.runtime import loops
from crosswire.testing.proxy import TcpProxy
from tests.faults.history.diary import Diary
from tests.faults.history.roaming_client import RoamingClient
from tests.faults.history.workload import RoomWorkload
from tests.faults.lines import print_line, stdin_lines

SETTLE_TIMEOUT = 20.0
"""Seconds in which all clients must be in their rooms, or have the last messages, once nothing is broken any more."""
_POLL_INTERVAL = 0.02
"""Seconds between two looks at the clients."""
_SHORTEST_AWAY = 0.1
"""Seconds that a client that drops its connection is away at least."""


class Crowd:
    """All clients.

    Args:
        workload: says which rooms they are in.
        proxy: in front of the servers.
        diary: where they write.
    """

    def __init__(self, workload: RoomWorkload, proxy: TcpProxy, diary: Diary) -> None:
        self._workload = workload
        self._random = random.Random(1)
        self._roaming: list[asyncio.Task[None]] = []
        numbers = range(workload.clients)
        self.clients = [RoamingClient(each, workload, proxy, diary) for each in numbers]

    async def connect(self) -> None:
        """Connect all, and return when they are in their rooms."""
        for client in self.clients:
            await client.client.connect()
        await self._until_joined()

    def roam(self, stay: float, away: float) -> None:
        """Let all that are not away drop their connections again and again."""
        present = [client for client in self.clients if not client.is_away]
        self._roaming += [asyncio.create_task(self._roam(client, stay, away)) for client in present]

    async def leave(self, share: float) -> None:
        """Let some clients lose their network; nobody else drops a connection from then on."""
        await self._stop_roaming()
        self.come_back()
        for client in self.clients[: int(len(self.clients) * share)]:
            await client.drop(politely=False)

    def come_back(self) -> None:
        """Let all clients that are away come back."""
        for client in self.clients:
            client.come_back()

    async def settle(self) -> int:
        """Drop nothing more; return how many clients are not in their rooms when time is over."""
        await self._stop_roaming()
        self.come_back()
        return await self._until_joined()

    async def wait_for(self, finals: list[tuple[int, int]]) -> int:
        """Return how many of these messages did not reach their clients when time is over."""
        due = [
            (client, stream, number)
            for client in self.clients
            for stream, number in finals
            if self._workload.room(stream) in client.rooms
        ]
        deadline = asyncio.get_running_loop().time() + SETTLE_TIMEOUT
        while due and asyncio.get_running_loop().time() < deadline:
            due = [each for each in due if each[0].latest.get(each[1], -1) < each[2]]
            await asyncio.sleep(_POLL_INTERVAL)
        return len(due)

    async def close(self) -> None:
        """Close all clients."""
        await self._stop_roaming()
        await asyncio.gather(*[client.client.close() for client in self.clients])

    async def _roam(self, client: RoamingClient, stay: float, away: float) -> None:
        while True:
            await asyncio.sleep(self._random.uniform(0, stay))
            await client.drop(politely=self._random.random() < 0.5)
            # Short times are as likely as long ones: as often from 0.1 to 1 s as from 1 to 10 s.
            await asyncio.sleep(_SHORTEST_AWAY * (away / _SHORTEST_AWAY) ** self._random.random())
            client.come_back()

    async def _stop_roaming(self) -> None:
        tasks, self._roaming = self._roaming, []
        for task in tasks:
            task.cancel()
        await asyncio.gather(*tasks, return_exceptions=True)
        for task in tasks:
            if not task.cancelled() and (error := task.exception()) is not None:
                raise error

    async def _until_joined(self) -> int:
        deadline = asyncio.get_running_loop().time() + SETTLE_TIMEOUT
        while outside := sum(not client.has_joined for client in self.clients):
            if asyncio.get_running_loop().time() > deadline:
                break
            await asyncio.sleep(_POLL_INTERVAL)
        return outside


async def obey(crowd: Crowd, diary: Diary) -> None:
    """Obey commands until stdin is closed."""
    async for command in stdin_lines():
        word, _, rest = command.partition(" ")
        if word == "roam":
            crowd.roam(*map(float, rest.split()))
        elif word == "leave":
            await crowd.leave(float(rest))
            print_line("left")
        elif word == "return":
            crowd.come_back()
        elif word == "settle":
            print_line("settled", outside=await crowd.settle())
        elif word == "finals":
            print_line("complete", missing=await crowd.wait_for(json.loads(rest)))
        elif word == "report":
            diary.flush()
            drops = sum(client.drops for client in crowd.clients)
            print_line("report", drops=drops, ended=sum(client.ended for client in crowd.clients))


async def serve(workload: RoomWorkload, port: int, diary: Diary) -> None:
    """Connect, obey, and close."""
    async with TcpProxy("127.0.0.1", port) as proxy:
        crowd = Crowd(workload, proxy, diary)
        try:
            await crowd.connect()
            print_line("ready")
            await obey(crowd, diary)
        finally:
            await crowd.close()


def main(options: dict[str, Any]) -> None:
    """Connect the clients, and write down what they hear until the test ends them."""
    with Path(options["log"]).open("xb") as file:
        loops.run(serve(RoomWorkload(**options["workload"]), options["port"], Diary(file)))


if __name__ == "__main__":
    main(json.loads(sys.argv[1]))
