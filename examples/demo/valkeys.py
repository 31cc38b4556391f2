"""The Valkeys that the nodes meet through: two, so that one can be killed and no message is lost."""

from __future__ import annotations

import asyncio
import re
import signal
import socket
from contextlib import ExitStack

from examples.processes import Program, Programs

from restarts import StartError, keep_running
from terminal import Address, Terminal

NAMES = ("redis-1", "redis-2")


class Valkeys:
    """The Valkeys, seen from the process that starts them.

    Args:
        programs: starts their processes.
        terminal: gets the news.
        restart_after: seconds before one that died is started again, the first time.
    """

    def __init__(self, programs: Programs, terminal: Terminal, restart_after: float) -> None:
        self._programs = programs
        self._terminal = terminal
        self._restart_after = restart_after
        # Clients look for one where it was.
        self._ports: dict[str, int] = dict(zip(NAMES, _free_ports(len(NAMES)), strict=True))
        self._running: dict[str, Program] = {}

    async def start(self) -> list[Address]:
        """Start them, and return when they answer; tell where they are.

        Raises:
            StartError: one can't be started.
        """
        programs = [await self._start(name) for name in NAMES]
        try:
            told = [await program.says(r"(redis://\S+)  pid (\d+)") for program in programs]
        except RuntimeError as error:
            raise StartError(f"{error}: it has said why") from None
        return [_address(name, match) for name, match in zip(NAMES, told, strict=True)]

    async def keep(self) -> None:
        """Start again those that die, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for program in self._running.values():
                group.create_task(keep_running(program, self._start, self._terminal, self._restart_after))

    def kill(self, name: str) -> None:
        """Kill one of them, as by kill -9."""
        self._running[name].signal(signal.SIGTERM)  # the program around it does the rest

    async def _start(self, name: str) -> Program:
        program = await self._programs.start(name, "valkey.py", "--port", str(self._ports[name]))
        self._running[name] = program
        return program


def _free_ports(count: int) -> list[int]:
    """Find ports that nobody listens on; each is another one, as all are held until all are found."""
    with ExitStack() as held:
        probes = [held.enter_context(socket.socket()) for _ in range(count)]
        for probe in probes:
            probe.bind(("127.0.0.1", 0))
        return [probe.getsockname()[1] for probe in probes]


def _address(name: str, told: re.Match[str]) -> Address:
    return Address(name, told[1], int(told[2]))
