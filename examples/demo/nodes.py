"""The nodes of the demo: each is a process of its own, and is started again when it has died."""

from __future__ import annotations

import asyncio
import signal
from collections.abc import Sequence
from dataclasses import dataclass

from examples.processes import Program, Programs

from crosswire import Node
from restarts import StartError, keep_running
from terminal import Address, Terminal
from vitals import Up

NAMES = ("node-1", "node-2", "node-3")


@dataclass(frozen=True)
class Options:
    """Options of the nodes.

    Attributes:
        host: address to listen on.
        port: port of the first node; those of the others follow. 0: each takes a free one.
        redis: URLs of the Redis.
        prefix: prefix of their channels.
        bot_key: secret by which the scripted clients prove that they are bots.
        killable: names of the nodes and the Redis that the page may kill.
        restart_after: seconds before a node that died is started again, the first time.
    """

    host: str
    port: int
    redis: Sequence[str]
    prefix: str
    bot_key: str
    killable: Sequence[str]
    restart_after: float


class Nodes:
    """The nodes, as seen by the process that starts them.

    Args:
        options: options of the nodes.
        programs: starts their processes.
        cluster: this process as a member of the cluster, to which the nodes announce themselves.
        terminal: log of what happens.
    """

    def __init__(self, options: Options, programs: Programs, cluster: Node, terminal: Terminal) -> None:
        self._options = options
        self._programs = programs
        self._terminal = terminal
        self._running: dict[str, Program] = {}
        self._up: dict[str, Up] = {}
        self._all_up = asyncio.Event()
        cluster.on("up", self._is_up)

    async def start(self) -> list[Address]:
        """Start all nodes, wait until they are up, and return their addresses.

        Raises:
            StartError: one can't be started.
        """
        for name in NAMES:
            await self._start(name)
        up, end = asyncio.create_task(self._all_up.wait()), asyncio.create_task(self._programs.first_end())
        try:
            await asyncio.wait([up, end], return_when=asyncio.FIRST_COMPLETED)
            if end.done():
                raise StartError(f"{end.result()[0].name} can't be started: its output says why")
        finally:
            up.cancel()
            end.cancel()
        return [self._address(name) for name in NAMES]

    async def keep(self) -> None:
        """Start nodes again when they die, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for program in self._running.values():
                group.create_task(keep_running(program, self._start, self._terminal, self._options.restart_after))

    def kill(self, name: str) -> None:
        """Kill a node, as by kill -9."""
        self._running[name].signal(signal.SIGKILL)

    async def _start(self, name: str) -> Program:
        options = self._options
        self._running[name] = program = await self._programs.start(
            name,
            "node.py",
            *("--name", name, "--host", options.host, "--port", str(self._port(name))),
            *("--redis", *options.redis, "--prefix", options.prefix, "--killable", *options.killable),
            own_terminal=True,
            env={"DEMO_BOT_KEY": options.bot_key},
        )
        return program

    def _port(self, name: str) -> int:
        if name in self._up:  # its clients expect it at the same port again
            return self._up[name].port
        return self._options.port + NAMES.index(name) if self._options.port else 0

    def _is_up(self, name: str, up: Up) -> None:
        came_back = name in self._up
        self._up[name] = up
        if came_back:
            self._terminal.node_is_back(self._address(name))
        elif len(self._up) == len(NAMES):
            self._all_up.set()

    def _address(self, name: str) -> Address:
        up, host = self._up[name], self._options.host
        reachable = "127.0.0.1" if host in ("", "0.0.0.0") else host
        shown = f"[{reachable}]" if ":" in reachable else reachable
        return Address(name, f"http://{shown}:{up.port}", up.pid)
