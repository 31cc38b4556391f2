"""The processes of a scenario: servers, and the Redis that they use."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from itertools import count
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from crosswire.testing.redis_process import RedisProcess
from tests.faults.programs import Program

_runs = count()


class Nodes:
    """Starts servers, and ends them with its context; made by :func:`nodes`."""

    def __init__(self, folder: Path, stack: AsyncExitStack) -> None:
        self._folder = folder
        self._stack = stack
        self.ports: dict[str, int] = {}
        self.urls: list[str] = []

    async def start(self, name: str, **options: Any) -> Program:
        """Start a server; return when it listens."""
        log = self._folder / f"{name}-{next(_runs)}.stderr"
        program = await Program.start("tests.soak.node_program", {"name": name, **options}, log)
        self._stack.push_async_callback(program.kill)
        await program.until(lambda: program.all("ready"))
        self.ports[name] = program.all("ready")[0]["port"]
        return program

    async def start_all(self, names: Sequence[str], **options: Any) -> list[Program]:
        """Start servers, and return when each knows all others."""
        programs = [await self.start(name, **options) for name in names]
        for program in programs:
            await meet(program, names)
        return programs

    async def redis(self) -> RedisProcess:
        """Start a Redis."""
        process = RedisProcess()
        self._stack.callback(process.stop)
        await asyncio.to_thread(process.start)
        self.urls.append(process.url)
        return process


@asynccontextmanager
async def nodes() -> AsyncIterator[Nodes]:
    """Yield what starts servers; they end with the context."""
    with TemporaryDirectory(prefix="crosswire-soak-") as folder:
        async with AsyncExitStack() as stack:
            yield Nodes(Path(folder), stack)


async def state(program: Program) -> dict[str, Any]:
    """Ask a server for its state."""
    return await program.ask("state", "state")


async def meet(program: Program, names: Sequence[str], timeout: float = 15) -> float:
    """Wait until a server knows exactly these nodes; return the seconds that took."""
    loop = asyncio.get_running_loop()
    begun = loop.time()
    while sorted(names) != (known := (await state(program))["nodes"]):
        if loop.time() - begun > timeout:
            raise AssertionError(f"after {timeout} s a server knows {known}, not {sorted(names)}")
        await asyncio.sleep(0.05)
    return loop.time() - begun
