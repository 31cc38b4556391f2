"""Many clients of rooms with history come back at once to servers that have just started."""

from __future__ import annotations

import asyncio
import os
import signal
from collections import Counter
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from pathlib import Path
from tempfile import TemporaryDirectory

from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from tests.faults.history.workload import RoomWorkload
from tests.faults.programs import WAIT_TIMEOUT, Line, Program
from tests.soak.log_reads import LogReads
from tests.soak.outcome import Outcome
from tests.soak.storm_program import TIMEOUT
from tests.support.attacks import Latencies, Witness, witness_at

TITLE = (
    "two servers end, and two others start in their place; all clients come back at once, each to one room that keeps "
    "history, in which a third server has said something meanwhile. At each server a client of a process of its own "
    "calls every 3 ms; the calls that it could not make while it waited for an answer count too. The clients that come "
    "back have one processor, and servers, Redis and those that call the others"
)
CLIENTS = 2000
ROOMS = 100
SERVERS = 2
MESSAGES = 3
"""Messages of each room that the clients have missed, at least."""
READS = 2
"""Reads of the log that a server may make for a room."""
CROWDS = 2
"""Processes that the clients are divided among."""
STORMS = 4
"""Storms, one after the other, so that there are enough calls for a p99."""
MAX_P99 = 100.0
"""Milliseconds that one in a hundred calls of a client that stayed may take during the storm."""
_CONNECTS = 50
"""Clients that connect at the same time at the beginning."""


class Crowd:
    """The clients that come back, in processes of their own, on a processor of their own."""

    def __init__(self, programs: Sequence[Program]) -> None:
        self._programs = programs

    @classmethod
    async def start(cls, folder: Path, stack: AsyncExitStack, ports: Sequence[int], clients: int, rooms: int) -> Crowd:
        """Start the processes."""
        programs: list[Program] = []
        for first in range(CROWDS):
            options = {"ports": ports, "clients": clients, "first": first, "step": CROWDS, "rooms": rooms}
            program = await Program.start("tests.soak.storm_program", options, folder / f"crowd{first}.stderr")
            stack.push_async_callback(program.kill)
            pin(program.pid, crowded=True)
            programs.append(program)
        return cls(programs)

    async def connect(self, at_once: int) -> None:
        """Connect all, so many at a time, and return when all were told of their rooms."""
        await self._ask(f"connect {at_once // CROWDS}", "connected")

    async def close(self) -> None:
        """Close all."""
        await self._ask("close", "closed")

    async def heard(self, messages: int) -> tuple[int, dict[str, int]]:
        """Wait until that many messages have come; return their number, and how often each answer was the last."""
        lines = await self._ask(f"hear {messages // CROWDS}", "heard")
        answers = sum([Counter(line["answers"]) for line in lines], Counter[str]())
        return sum(line["messages"] for line in lines), dict(answers)

    async def _ask(self, command: str, answer: str) -> list[Line]:
        return await asyncio.gather(*[each.ask(command, answer, TIMEOUT + WAIT_TIMEOUT) for each in self._programs])


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

    async def start(self, ports: Sequence[int]) -> list[Program]:
        """Start a server on each port; return when they listen."""
        return await asyncio.gather(*map(self._start, ports))

    async def _start(self, port: int) -> Program:
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
        pin(program.pid, crowded=False)
        await program.until(lambda: program.all("ready"))
        return program


def pin(process: int, *, crowded: bool) -> None:
    """Leave the last processor to the clients that come back, and the others to all else, if there are several."""
    *others, last = sorted(os.sched_getaffinity(0))
    if others:
        os.sched_setaffinity(process, [last] if crowded else others)


def scripts_run(redis: RedisProcess) -> int:
    """Return the number of scripts that Redis has run: each append is one, and each read of a log."""
    stats = str(redis.command("INFO", "commandstats")).splitlines()
    line = next((line for line in stats if line.startswith("cmdstat_evalsha:")), "calls=0,")
    return int(line.partition("calls=")[2].partition(",")[0])


@dataclass
class Storms:
    """What was measured in several storms.

    Attributes:
        seconds: of each, until all clients were in their rooms.
        scripts: that Redis has run in each.
        reads: of one room by one server, the most of each.
        by_newcomers: calls of clients that came to the new servers before the storm.
        by_others: calls of clients that stayed at the server that goes on.
        answers: how often each answer was the last that a client got.
        heard: messages that all clients got.
    """

    seconds: list[float] = field(default_factory=list)
    scripts: list[int] = field(default_factory=list)
    reads: list[int] = field(default_factory=list)
    by_newcomers: Latencies = field(default_factory=lambda: Latencies(()))
    by_others: Latencies = field(default_factory=lambda: Latencies(()))
    answers: Counter[str] = field(default_factory=Counter)
    heard: int = 0

    async def measure(self, crowd: Crowd, redis: RedisProcess, witnesses: Sequence[Witness], clients: int) -> None:
        """Let all clients come back at once, and measure that; the last witness is at the server that goes on."""
        loop = asyncio.get_running_loop()
        reads = await LogReads.start(redis.port)
        before = await asyncio.to_thread(scripts_run, redis)
        for witness in witnesses:
            witness.begin_again()
        begun = loop.time()
        await crowd.connect(clients)
        self.seconds.append(loop.time() - begun)
        self.heard, answers = await crowd.heard(clients * MESSAGES * len(self.seconds))
        *newcomers, other = [await witness.result() for witness in witnesses]
        self.by_newcomers = sum(newcomers, self.by_newcomers)
        self.by_others += other
        self.answers += answers
        self.scripts.append(await asyncio.to_thread(scripts_run, redis) - before)
        await reads.stop()
        self.reads.append(max(reads.counts.values()))

    def judge(self, outcome: Outcome, clients: int, rooms: int) -> None:
        """Add all figures to an outcome."""
        storms = len(self.seconds)
        outcome.note("storms, clients, rooms and servers", f"{storms}, {clients:,}, {rooms}, {SERVERS}")
        outcome.note("seconds until all were in their rooms again", f"{max(self.seconds):.1f} s in the longest storm")
        reads = READS * rooms * SERVERS
        outcome.limit("scripts run by Redis in a storm, which all read logs", max(self.scripts), reads)
        outcome.limit("reads of one room by one server", max(self.reads), READS)
        outcome.require("answers to the clients", dict(self.answers), {"True": clients * storms})
        outcome.require("messages that they got", self.heard, clients * MESSAGES * storms)
        for which, latencies in (
            ("the new servers, by clients that came before the storm", self.by_newcomers),
            ("the server that goes on, by a client that stayed", self.by_others),
        ):
            times = f"{latencies.p50:.1f} ms, {latencies.worst:.1f} ms"
            outcome.note(f"calls meanwhile to {which}: number, p50, longest", f"{latencies.calls:,}, {times}")
            outcome.limit("their p99", latencies.p99, MAX_P99, " ms", 1)


async def run(clients: int = CLIENTS, rooms: int = ROOMS, storms: int = STORMS) -> Outcome:
    """Let all clients come back at once, several times."""
    outcome, measured = Outcome("storm", TITLE), Storms()
    workload = RoomWorkload(clients=clients, rooms=rooms, rate=0, size=100)
    async with AsyncExitStack() as stack:
        folder = Path(stack.enter_context(TemporaryDirectory(prefix="crosswire-storm-")))
        speaker_port, *ports = [_reserve(stack) for _ in range(1 + SERVERS)]
        redis = RedisProcess()
        stack.callback(redis.stop)
        await asyncio.to_thread(redis.start)
        pin(redis.pid, crowded=False)
        servers = Servers(folder, stack, redis.url, workload)
        speaker, *running = await servers.start([speaker_port, *ports])
        crowd = await Crowd.start(folder, stack, ports, clients, rooms)
        await crowd.connect(_CONNECTS)
        for _ in range(storms):
            await crowd.close()
            for program in running:
                program.signal(signal.SIGTERM)
                await program.wait_ended()
            for _ in range(MESSAGES):
                await speaker.ask("last", "last")
            running = await servers.start(ports)
            async with AsyncExitStack() as staying:
                witnesses = await _start_witnesses(staying, [*ports, speaker_port])
                for witness in witnesses:
                    pin(witness.pid, crowded=False)
                await measured.measure(crowd, redis, witnesses, clients)
    measured.judge(outcome, clients, rooms)
    return outcome


async def _start_witnesses(stack: AsyncExitStack, ports: Sequence[int]) -> list[Witness]:
    """Start a client that calls the server on each port; return when all were answered."""
    return await asyncio.gather(*[stack.enter_async_context(witness_at(port)) for port in ports])


def _reserve(stack: AsyncExitStack) -> int:
    """Return the number of a port that stays free."""
    place = ReservedPort()
    stack.callback(place.close)
    return place.number
