"""A cluster whose rooms keep history: its Redis, its servers on one port, and all clients."""

from __future__ import annotations

import asyncio
import json
import signal
import time
from contextlib import AsyncExitStack
from itertools import count
from math import inf
from pathlib import Path
from typing import Any, Self

from crosswire.testing.proxy import TcpProxy
from crosswire.testing.redis_process import RedisProcess
from crosswire.testing.reserved_port import ReservedPort
from tests.faults.history.checker import Event
from tests.faults.history.diary import read_diary
from tests.faults.history.workload import NODES, RoomWorkload
from tests.faults.logs import read_published
from tests.faults.programs import Line, Program
from tests.faults.redis_servers import start_proxies, start_servers, urls_of


class Life:
    """A process of a server, from its start to its end.

    Attributes:
        number: of the process in the run.
        program: the process.
        has_ended: whether the test has let it end.
        killed_at: when it was killed, in seconds of real time; None if it was not.
    """

    def __init__(self, number: int, program: Program) -> None:
        self.number = number
        self.program = program
        self.has_ended = False
        self.killed_at: float | None = None


class RoomCluster:
    """The processes, and what the test does with them; they run while the context is entered.

    Args:
        directory: an empty one, for what they write.
        workload: the rooms and the clients.
        redis: number of Redis.
        delivery: of the servers.
        proxied: put a proxy in front of each Redis.

    Attributes:
        redis: the Redis.
        proxies: in front of them, if there are any.
        lives: all processes of servers, in the order of their starts.
        load: the program of the clients.
        away_in_fault: the clients that lost their network on purpose before a fault.
        back_at: when they had it again, in seconds of real time.
    """

    def __init__(
        self, directory: Path, workload: RoomWorkload, *, redis: int = 1, delivery: str = "fast", proxied: bool = False
    ) -> None:
        self.redis = [RedisProcess() for _ in range(redis)]
        self.proxies: list[TcpProxy] = []
        self.lives: list[Life] = []
        self.load: Program
        self.away_in_fault = range(0)
        self.back_at = inf
        self.workload = workload
        self._directory = directory
        self._delivery = delivery
        self._proxied = proxied
        self._urls: list[str] = []
        self._numbers = count()
        self._place = ReservedPort()
        self._stack = AsyncExitStack()
        self._stack.callback(self._place.close)

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    @property
    def living(self) -> list[Life]:
        """The servers that run."""
        return [life for life in self.lives if not life.has_ended]

    # Servers

    async def start_server(self) -> Life:
        """Start a server, and return when all servers know each other."""
        number = next(self._numbers)
        options: dict[str, Any] = {
            "name": f"life{number}",
            "life": number,
            "port": self._place.number,
            "urls": self._urls,
            "delivery": self._delivery,
            "workload": self.workload.encode(),
            "log": str(self._published_log(number)),
        }
        program = await self._run("tests.faults.history.node_program", options, f"life{number}")
        started = Life(number, program)
        self.lives.append(started)
        await program.until(lambda: program.all("ready"))
        for life in self.living:
            await self._met(life)
        return started

    async def terminate(self, life: Life) -> None:
        """Let a server end as a deploy does, with SIGTERM."""
        life.program.signal(signal.SIGTERM)
        life.has_ended = True
        await life.program.wait_ended()

    def kill(self, life: Life, when: float) -> None:
        """Kill a server with SIGKILL."""
        life.killed_at = when
        life.has_ended = True
        life.program.signal(signal.SIGKILL)

    # Messages and clients

    def publish(self) -> None:
        """Let the servers begin to publish."""
        for life in self.living:
            life.program.command("publish")

    def roam(self, stay: float, away: float) -> None:
        """Let clients drop their connections again and again."""
        self.load.command(f"roam {stay} {away}")

    async def leave(self, share: float) -> None:
        """Let some clients lose their network; others drop no connection any more."""
        await self.load.ask(f"leave {share}", "left")
        self.away_in_fault = range(int(self.workload.clients * share))

    def come_back(self) -> None:
        """Let the clients that have left come back."""
        self.back_at = time.time()
        self.load.command("return")

    async def drain(self) -> list[str]:
        """Let all publish no more, and wait until all clients have everything; return what did not come to pass."""
        outside = (await self.load.ask("settle", "settled"))["outside"]
        programs = [life.program for life in self.living]
        await asyncio.gather(*[program.ask("pause", "paused") for program in programs])
        lines = await asyncio.gather(*[program.ask("last", "last") for program in programs])
        finals = [message for line in lines for message in line["messages"]]
        missing = (await self.load.ask(f"finals {json.dumps(finals)}", "complete"))["missing"]
        problems = {
            f"{outside} clients are not in their rooms in the end": outside,
            f"{missing} of the last messages had not come in the end": missing,
        }
        return [problem for problem, count in problems.items() if count]

    async def finish(self) -> Line:
        """Ask for the last reports, and let all processes end. Return the clients' report."""
        report = await self.load.ask("report", "report")
        await asyncio.gather(*[life.program.ask("report", "report") for life in self.living])
        await self.load.finish()
        await asyncio.gather(*[life.program.finish() for life in self.living])
        return report

    # What was written down

    def published(self) -> dict[int, list[float]]:
        """Times at which the messages of each stream were said."""
        return read_published([self._published_log(life.number) for life in self.lives])

    def events(self) -> dict[tuple[int, int], list[Event]]:
        """Events of each client in each room."""
        rooms = {client: self.workload.rooms_of(client) for client in range(self.workload.clients)}
        return read_diary(self._directory / "diary", rooms)

    # Parts

    async def _start(self) -> None:
        self._urls = await start_servers(self.redis, self._stack)
        if self._proxied:
            self.proxies = await start_proxies(self.redis, self._stack)
            self._urls = urls_of(self.proxies)
        await asyncio.gather(*[self.start_server() for _ in range(NODES)])
        options = {
            "port": self._place.number,
            "workload": self.workload.encode(),
            "log": str(self._directory / "diary"),
        }
        self.load = await self._run("tests.faults.history.load_program", options, "load")
        await self.load.until(lambda: self.load.all("ready"))

    async def _met(self, life: Life) -> None:
        others = {f"life{each.number}" for each in self.living} - {f"life{life.number}"}
        program = life.program
        await program.until(lambda: {line["name"] for line in program.all("join")} >= others)

    async def _run(self, module: str, options: dict[str, Any], name: str) -> Program:
        program = await Program.start(module, options, self._directory / f"{name}.stderr")
        self._stack.push_async_callback(program.kill)
        return program

    def _published_log(self, life: int) -> Path:
        return self._directory / f"life{life}.published"
