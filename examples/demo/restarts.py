"""What keeps programs running: one that has died is started again, soon at first, later if it dies again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from examples.processes import Program

from terminal import Terminal

LONGEST_DELAY = 30.0
"""Seconds before a program that dies again and again is started once more."""
STABLE = 10.0
"""Seconds after which a program has proved that it works: its death is the first one again."""


class StartError(Exception):
    """A node or a Valkey does not start, the first time."""


async def keep_running(
    program: Program, start: Callable[[str], Awaitable[Program]], terminal: Terminal, restart_after: float
) -> None:
    """Start a program again whenever it has ended, until cancelled.

    Args:
        program: the first run of it.
        start: starts the program of a name.
        terminal: gets the news.
        restart_after: seconds before it is started again, the first time.
    """
    delay = restart_after
    while True:
        began = time.monotonic()
        code = await program.ended()
        if time.monotonic() - began > STABLE:
            delay = restart_after
        terminal.died(program.name, code, delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, LONGEST_DELAY)
        program = await start(program.name)
