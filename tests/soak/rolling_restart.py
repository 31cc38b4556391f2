"""A rolling restart of three nodes under load, with drain: clients come back spread out."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire import Client
from crosswire.errors import CrosswireError
from crosswire.testing.reserved_port import ReservedPort
from crosswire.types import Close
from tests.faults.programs import Program
from tests.soak.nodes import meet, nodes
from tests.soak.outcome import Outcome

TITLE = (
    "three nodes on one port (SO_REUSEPORT) are restarted one after the other with `stop(drain=…)`, while each says "
    "ten messages a second to a room of all clients; every client is a `crosswire.Client` with the defaults"
)
NAMES = ("a", "b", "c")
CLIENTS = 300
DRAIN = 10.0
"""Seconds that each node has to drain."""
WINDOW = 0.1
"""Seconds in which connections that end are counted together."""
MAX_SHARE = 0.05
"""Share of the clients that may lose their connection in any such window."""
BACK_TIMEOUT = 30.0
"""Seconds in which all clients must be back after the end of a node."""


class Crowd:
    """Clients that join the room of all whenever they are connected.

    Attributes:
        ends: when connections ended, in seconds of loop time.
        codes: with which.
        heard: messages that came, by client.
    """

    def __init__(self, port: int, count: int) -> None:
        self.ends: list[float] = []
        self.codes: set[int] = set()
        self.heard = [0] * count
        self._open: set[int] = set()
        self.clients = [self._make(port, number) for number in range(count)]

    async def connect(self) -> None:
        """Connect all clients."""
        for client in self.clients:
            await client.connect()

    async def close(self) -> None:
        """Close all clients."""
        await asyncio.gather(*[client.close() for client in self.clients])

    async def back(self) -> float:
        """Wait until all clients are connected; return the seconds that took."""
        loop = asyncio.get_running_loop()
        begun = loop.time()
        while missing := len(self.clients) - len(self._open):
            if loop.time() - begun > BACK_TIMEOUT:
                raise AssertionError(f"{missing} clients did not come back")
            await asyncio.sleep(0.05)
        return loop.time() - begun

    def share_in_a_window(self) -> float:
        """Return the largest share of the clients that lost their connection within one window."""
        ends, first, most = sorted(self.ends), 0, 0
        for last, end in enumerate(ends):
            while end - ends[first] > WINDOW:
                first += 1
            most = max(most, last - first + 1)
        return most / len(self.clients)

    def _make(self, port: int, number: int) -> Client:
        client = Client(f"ws://127.0.0.1:{port}/", params={"id": f"client{number}"})

        @client.on_open
        async def opened() -> None:
            self._open.add(number)
            await _join(client)

        @client.on_close
        def closed(close: Close) -> None:
            self._open.discard(number)
            self.ends.append(asyncio.get_running_loop().time())
            self.codes.add(int(close.code))

        def hear(_message: Any) -> None:
            self.heard[number] += 1

        client.on("n", hear)
        return client


async def _join(client: Client) -> None:
    try:
        await client.call("join", "all")
    except CrosswireError:
        return  # the connection is gone already; it joins after the next one is made


async def run(clients: int = CLIENTS, drain: float = DRAIN) -> Outcome:
    """Restart all nodes, one after the other."""
    outcome = Outcome("rolling-restart", TITLE)
    place = ReservedPort()
    async with nodes() as started:
        redis = await started.redis()
        options = {"urls": [redis.url], "port": place.number}
        programs: dict[str, Program] = dict(zip(NAMES, await started.start_all(NAMES, **options), strict=True))
        crowd = Crowd(place.number, clients)
        await crowd.connect()
        saying = asyncio.create_task(_say(programs))
        slowest = 0.0
        try:
            for name in NAMES:
                program = programs.pop(name)
                program.command(f"stop {drain}")
                await program.until(lambda: program.all("stopped"), drain + 30)  # noqa: B023 - it is called here
                programs[name] = await started.start(name, **options)
                await meet(programs[name], NAMES)
                slowest = max(slowest, await crowd.back())
                await asyncio.sleep(2)
        finally:
            saying.cancel()
            await asyncio.wait([saying])
        _judge(outcome, crowd, drain, slowest, saying)
        await crowd.close()
    place.close()
    return outcome


async def _say(programs: dict[str, Program]) -> None:
    while True:
        for program in list(programs.values()):
            program.command("say 1")
        await asyncio.sleep(WINDOW)


def _judge(outcome: Outcome, crowd: Crowd, drain: float, slowest: float, saying: asyncio.Task[None]) -> None:
    count = len(crowd.clients)
    ended = list(crowd.ends)
    outcome.note("clients, and connections that ended", f"{count}, {len(ended)}; {drain:g} s of drain for each node")
    share = crowd.share_in_a_window() * 100
    outcome.limit(f"clients that lost their connection in any {WINDOW * 1000:.0f} ms", share, MAX_SHARE * 100, " %", 1)
    outcome.require("codes with which connections ended", sorted(crowd.codes), [1001])
    outcome.limit("seconds until all were back after a node had stopped", slowest, BACK_TIMEOUT, " s", 1)
    heard, best = sum(crowd.heard), max(crowd.heard)
    outcome.note("messages that the client which heard most has heard", f"{best:,}")
    missed = 100 * (1 - heard / (best * count)) if best else 100.0
    outcome.note("messages that clients missed while they were not connected; rooms keep no history", f"{missed:.1f} %")
    outcome.require("the nodes spoke to the end", saying.cancelled(), True)
