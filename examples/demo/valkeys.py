"""The Valkeys of the demo: two, so that one can be killed and no message is lost."""

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
    """The Valkeys, as seen by the process that starts them.

    Args:
        programs: starts their processes.
        terminal: log of what happens.
        restart_after: seconds before a Valkey that died is started again, the first time.
    """

    def __init__(self, programs: Programs, terminal: Terminal, restart_after: float) -> None:
        self._programs = programs
        self._terminal = terminal
        self._restart_after = restart_after
        # The nodes expect a Valkey at the same port again, so no other program may get it, not even in between.
        self._ports = {name: ReservedPort() for name in NAMES}
        self._running: dict[str, Program] = {}

    async def start(self) -> list[Address]:
        """Start all Valkeys, wait until they answer, and return their addresses.

        Raises:
            StartError: one can't be started.
        """
        programs = [await self._start(name) for name in NAMES]
        try:
            told = [await program.says(r"(redis://\S+)  pid (\d+)") for program in programs]
        except RuntimeError as error:
            raise StartError(f"{error}: its output says why") from None
        return [_address(name, match) for name, match in zip(NAMES, told, strict=True)]

    async def keep(self) -> None:
        """Start Valkeys again when they die, until cancelled."""
        async with asyncio.TaskGroup() as group:
            for program in self._running.values():
                group.create_task(keep_running(program, self._start, self._terminal, self._restart_after))

    def kill(self, name: str) -> None:
        """Kill a Valkey, as by kill -9."""
        self._running[name].signal(signal.SIGTERM)  # valkey.py kills its Valkey then

    async def _start(self, name: str) -> Program:
        program = await self._programs.start(name, "valkey.py", "--port", str(self._ports[name].number))
        self._running[name] = program
        return program


def _address(name: str, told: re.Match[str]) -> Address:
    return Address(name, told[1], int(told[2]))
