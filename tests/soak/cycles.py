"""A million cycles of connecting, joining, leaving and going, half of them broken off: nothing is left of them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from tempfile import TemporaryDirectory

from tests.faults.programs import Program
from tests.soak.nodes import nodes, state
from tests.soak.outcome import Outcome

TITLE = "clients connect, join a room, leave it and close; half of them are broken off with an RST, at four points"
CYCLES = 1_000_000
SECONDS = 300.0
"""Seconds after which no more cycles begin, however many there were."""
MAX_GROWTH = 1024 * 1024
"""Bytes by which the server may grow in 100,000 cycles."""
WARM_UP = 0.1
"""Share of the cycles after which the server has its size."""
CLIENTS = 2
"""Processes with clients."""
EMPTY_TIMEOUT = 30.0
"""Seconds after the last cycle in which everything must be gone, timers of the heartbeats too."""
_EMPTY = ("sessions", "sockets", "rooms", "members", "teardowns", "timers")


async def run(cycles: int = CYCLES, seconds: float = SECONDS, *, growth: bool = True) -> Outcome:
    """Run cycles.

    Args:
        cycles: number of them.
        seconds: after which no more begin.
        growth: whether there are enough to tell how the server grows.
    """
    outcome = Outcome("cycles", TITLE)
    async with nodes() as started:
        server = await started.start("soak")
        before = await state(server)
        with TemporaryDirectory() as folder:
            clients = await _clients(Path(folder), started.ports["soak"], cycles, seconds)
            try:
                warm = await _size_at(server, clients, int(cycles * WARM_UP))
                for client in clients:
                    await client.until(lambda: client.all("done"), seconds + 60)  # noqa: B023 - it is called here
            finally:
                for client in clients:
                    await client.kill()
        done = sum(client.all("done")[0]["count"] for client in clients)
        after = await _emptied(server, before["tasks"])
        failed = sum(client.all("done")[0]["failed"] for client in clients)
    outcome.note("cycles", f"{done:,} of {cycles:,}")
    outcome.require("cycles in which the server broke off", failed, 0)
    for what in _EMPTY:
        outcome.require(f"{what} in the end", after[what], 0)
    outcome.limit("tasks in the end", after["tasks"], before["tasks"])
    if growth:
        counted, size = warm
        grown = (after["memory"] - size) / max(done - counted, 1) * 100_000
        outcome.limit("growth in 100,000 cycles", grown / 1024, MAX_GROWTH / 1024, " KiB")
    return outcome


async def _clients(folder: Path, port: int, cycles: int, seconds: float) -> list[Program]:
    return [
        await Program.start(
            "tests.soak.cycle_program",
            {"port": port, "first": number, "step": CLIENTS, "cycles": cycles // CLIENTS, "seconds": seconds},
            folder / f"clients-{number}.stderr",
        )
        for number in range(CLIENTS)
    ]


async def _size_at(server: Program, clients: list[Program], cycles: int) -> tuple[int, int]:
    """Wait until there were that many cycles; return how many there were, and the bytes of the server."""
    done = 0
    while done < cycles and not any(client.all("done") for client in clients):
        await asyncio.sleep(0.5)
        counts = [(await client.ask("count", "count"))["count"] for client in clients if not client.all("done")]
        done = sum(counts)
    return done, (await state(server))["memory"]


async def _emptied(server: Program, tasks: int) -> dict[str, int]:
    """Wait until nothing is left; return the state, whether or not something is."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + EMPTY_TIMEOUT
    while True:
        now = await state(server)
        if loop.time() > deadline or (not any(now[what] for what in _EMPTY) and now["tasks"] <= tasks):
            return now
        await asyncio.sleep(0.2)
