"""The lines that a program of a run reads and writes: commands on stdin, what happened on stdout."""

from __future__ import annotations

import asyncio
import json
import sys
import time
from collections.abc import AsyncIterator
from typing import Any


async def stdin_lines() -> AsyncIterator[str]:
    """Yield what comes on stdin, line by line, until it is closed."""
    reader = asyncio.StreamReader()
    transport, _ = await asyncio.get_running_loop().connect_read_pipe(
        lambda: asyncio.StreamReaderProtocol(reader), sys.stdin
    )
    try:
        while line := await reader.readline():
            yield line.decode().strip()
    finally:
        transport.close()


def print_line(what: str, **more: Any) -> None:
    """Print a line for the test, with the time."""
    print(json.dumps({"what": what, "at": time.time(), **more}), flush=True)
