"""Restarts of programs that have died, after delays that grow if they die again and again."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable

from examples.processes import Program

from terminal import Terminal

MAX_DELAY = 30.0
"""Seconds of the longest delay before a restart."""
STABLE_AFTER = 10.0
"""Seconds after which a program works: its next death counts as the first one."""


class StartError(Exception):
    """A node or a Valkey can't be started when the demo starts."""


async def keep_running(
    program: Program, start: Callable[[str], Awaitable[Program]], terminal: Terminal, restart_after: float
) -> None:
    """Start a program again whenever it has ended, until cancelled.

    Args:
        program: its first run.
        start: starts the program with a name.
        terminal: log of what happens.
        restart_after: seconds before the first restart.
    """
    delay = restart_after
    while True:
        began = time.monotonic()
        code = await program.ended()
        if time.monotonic() - began > STABLE_AFTER:
            delay = restart_after
        terminal.died(program.name, code, delay)
        await asyncio.sleep(delay)
        delay = min(delay * 2, MAX_DELAY)
        program = await start(program.name)
