"""The Valkeys that the nodes meet through: two, so that one can be killed and no message is lost."""

from __future__ import annotations

import asyncio
import re
import signal

from examples.processes import Program, Programs

from crosswire.testing.reserved_port import ReservedPort
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
        # Clients look for one where it was, so nobody else may get its port: neither before it starts nor between.
        self._ports = {name: ReservedPort() for name in NAMES}
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
        program = await self._programs.start(name, "valkey.py", "--port", str(self._ports[name].number))
        self._running[name] = program
        return program


def _address(name: str, told: re.Match[str]) -> Address:
    return Address(name, told[1], int(told[2]))
