"""A cluster under test: two Redis, three nodes and all their clients, each a process of its own."""

from __future__ import annotations

import asyncio
from contextlib import AsyncExitStack
from pathlib import Path
from typing import Any, Self

from crosswire.testing.proxy import ProxiedConnection, TcpProxy
from crosswire.testing.redis_process import RedisProcess
from tests.faults.logs import Arrivals, read_published, read_received
from tests.faults.programs import Program
from tests.faults.redis_servers import start_proxies, start_servers, urls_of
from tests.faults.workload import NODES, Workload, node_name

REDIS = 2
_QUIET_TIME = 3.0
"""Seconds without a message after which no more will come; messages wait less long for missing ones."""
_POLL_INTERVAL = 0.1
"""Seconds between two looks at the logs."""


class Cluster:
    """The processes, and what the test does with them; they run while the context is entered.

    Args:
        directory: an empty one, for what they write.
        delivery: of the nodes.
        workload: how many clients there are, and how much is said.
        proxied: put a proxy in front of each Redis.

    Attributes:
        redis: the servers.
        proxies: in front of them, if there are any.
        nodes: the programs of the nodes.
        load: the program of the clients.
    """

    def __init__(self, directory: Path, delivery: str, workload: Workload, *, proxied: bool = False) -> None:
        self.redis = [RedisProcess() for _ in range(REDIS)]
        self.proxies: list[TcpProxy] = []
        self.nodes: list[Program] = []
        self.load: Program
        self.workload = workload
        self._directory = directory
        self._delivery = delivery
        self._proxied = proxied
        self._stack = AsyncExitStack()

    async def __aenter__(self) -> Self:
        try:
            await self._start()
        except BaseException:
            await self._stack.aclose()
            raise
        return self

    async def __aexit__(self, *exception: object) -> None:
        await self._stack.aclose()

    async def publish(self) -> None:
        """Let the nodes begin to publish."""
        for node in self.nodes:
            node.command("publish")

    async def drain(self) -> None:
        """Let the living nodes publish no more, and wait until all has come, or nothing more does."""
        await asyncio.gather(*[node.ask("pause", "paused") for node in self.nodes if not node.killed])
        loop = asyncio.get_running_loop()
        expected, before, quiet_since = self.expected(), -1, loop.time()
        while loop.time() - quiet_since < _QUIET_TIME:
            count = (await self.load.ask("count", "count"))["count"]
            if count == expected:
                return
            if count != before:
                before, quiet_since = count, loop.time()
            await asyncio.sleep(_POLL_INTERVAL)

    async def finish(self) -> list[int]:
        """Ask for the last reports and let all processes end. Return which clients had lost their connection."""
        lost = (await self.load.ask("report", "report"))["lost"]
        living = [node for node in self.nodes if not node.killed]
        await asyncio.gather(*[node.ask("report", "report") for node in living])
        await self.load.finish()
        await asyncio.gather(*[node.finish() for node in living])
        return list(lost)

    # What was written down

    def published(self) -> dict[int, list[float]]:
        """Times at which the messages of each stream were published."""
        return read_published([self._published_log(node) for node in range(NODES)])

    def received(self) -> dict[tuple[int, int], Arrivals]:
        """Arrivals of each client, by stream."""
        return read_received(self._received_log)

    def expected(self) -> int:
        """Number of messages that the clients of living nodes must have received by now."""
        counts = {stream: len(times) for stream, times in self.published().items()}
        of_target = [
            sum(counts.get(self.workload.stream(node, target), 0) for node in range(NODES))
            for target in range(self.workload.targets)
        ]
        return sum(of_target[target] for client in self.living_clients for target in self.workload.targets_of(client))

    @property
    def living_clients(self) -> list[int]:
        """The clients of nodes that were not killed."""
        clients = range(self.workload.clients * NODES)
        return [client for client in clients if not self.nodes[self.workload.node_of(client)].killed]

    # Parts

    def subscriber_of(self, node: int, redis: int) -> ProxiedConnection:
        """The connection over which a node listens on a Redis; there must be proxies."""
        name = f"crosswire:{node_name(node)}:sub".encode()
        return next(link for link in self.proxies[redis].links if name in link.first_bytes)

    async def _start(self) -> None:
        urls = await start_servers(self.redis, self._stack)
        if self._proxied:
            self.proxies = await start_proxies(self.redis, self._stack)
            urls = urls_of(self.proxies)
        for node in range(NODES):
            self.nodes.append(await self._run_node(node, urls))
        for node in range(NODES):
            await self._met(node)
        self.load = await self._run_load()
        await self.load.until(lambda: self.load.all("ready"))

    async def _met(self, number: int) -> None:
        node = self.nodes[number]
        others = {node_name(each) for each in range(NODES)} - {node_name(number)}
        await node.until(lambda: node.all("ready") and {line["name"] for line in node.all("join")} >= others)

    async def _run_node(self, node: int, urls: list[str]) -> Program:
        options: dict[str, Any] = {
            "node": node,
            "urls": urls,
            "delivery": self._delivery,
            "workload": self.workload.encode(),
            "log": str(self._published_log(node)),
        }
        return await self._run("tests.faults.node_program", options, f"node{node}")

    async def _run_load(self) -> Program:
        ports = [node.all("ready")[0]["port"] for node in self.nodes]
        options: dict[str, Any] = {"ports": ports, "workload": self.workload.encode(), "log": str(self._received_log)}
        return await self._run("tests.faults.load_program", options, "load")

    async def _run(self, module: str, options: dict[str, Any], name: str) -> Program:
        program = await Program.start(module, options, self._directory / f"{name}.stderr")
        self._stack.push_async_callback(program.kill)
        return program

    def _published_log(self, node: int) -> Path:
        return self._directory / f"node{node}.published"

    @property
    def _received_log(self) -> Path:
        return self._directory / "load.received"
