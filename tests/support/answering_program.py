"""Runs a Python program that answers each line on its standard input with a line of JSON."""

from __future__ import annotations

import asyncio
import json
import os
import sys
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager, suppress
from pathlib import Path
from typing import Any

from tests.support.aio import within

ROOT = Path(__file__).parents[2]
ANSWER_TIMEOUT = 30
"""Seconds in which a program answers, and an attacker's operation is done."""
LINE_LIMIT = 64 * 1024 * 1024
"""Bytes of the longest answer: a server's has its log."""


@asynccontextmanager
async def running_program(
    module: str, argument: str, environment: Mapping[str, str] | None = None
) -> AsyncIterator[asyncio.subprocess.Process]:
    """Run a module with one argument, and more variables in its environment; end it with the context."""
    process = await asyncio.create_subprocess_exec(
        sys.executable,
        "-m",
        module,
        argument,
        stdin=asyncio.subprocess.PIPE,
        stdout=asyncio.subprocess.PIPE,
        cwd=ROOT,
        env={**os.environ, **(environment or {})},
        limit=LINE_LIMIT,
    )
    try:
        yield process
    finally:
        with suppress(ProcessLookupError):
            process.kill()
        await process.communicate()


async def ask(process: asyncio.subprocess.Process, question: str) -> dict[str, Any]:
    """Send a question, and return the answer."""
    assert process.stdin is not None
    process.stdin.write(question.encode() + b"\n")
    await process.stdin.drain()
    return await read_answer(process)


async def read_answer(process: asyncio.subprocess.Process) -> dict[str, Any]:
    """Return the next line, which is there within the timeout."""
    assert process.stdout is not None
    async with within(ANSWER_TIMEOUT, lambda: f"a line from {process}"):
        line = await process.stdout.readline()
    assert line, "the process has ended"
    answer: dict[str, Any] = json.loads(line)
    return answer
