"""What it costs the nodes of a cluster to show each other that they are alive: many of them in one process.

They run on a loop whose clock waits for nobody, so that the CPU that they use in a second of it is known, whether or
not this machine could run them in that second.
"""

from __future__ import annotations

import asyncio
import logging
import time
from typing import NamedTuple

from bench.native import BenchError
from crosswire import MemoryBus, Node
from crosswire.cluster.interface import PortEvents
from crosswire.cluster.memory import MemoryPort
from crosswire.cluster.send_buffer import Budget
from crosswire.core import membership
from crosswire.testing import virtual_clock

SETTLING = 3.0
"""Seconds in which the last nodes stop to beat as often as new ones do."""


class Beats(NamedTuple):
    """What the nodes did while none came or went.

    Attributes:
        nodes: their number.
        received: messages about membership that each node received in a second.
        cpu: microseconds of CPU for one of them, its share of timers and of sending included.
        share: part of a core for each node.
        join: microseconds for a node that joins, of each member.
    """

    nodes: int
    received: float
    cpu: float
    share: float
    join: float


def measure_beats(nodes: int, seconds: float, *, often: bool = False) -> Beats:
    """Run so many nodes on a bus in memory, and measure them.

    Args:
        nodes: their number.
        seconds: for which they are measured.
        often: whether each beats twice a second, however many there are.
    """
    logging.getLogger("crosswire").setLevel(logging.ERROR)
    usual = membership.MAX_BEATS
    membership.MAX_BEATS = 10**9 if often else usual
    try:
        return virtual_clock.run(_measure(nodes, seconds))
    finally:
        membership.MAX_BEATS = usual


async def _measure(count: int, seconds: float) -> Beats:
    bus = _CountingBus()
    nodes = [Node(f"node-{number}", bus=bus) for number in range(count)]
    cpu = time.process_time()
    for node in nodes:
        await node.start()
    await asyncio.sleep(SETTLING)
    missing = [node.name for node in nodes if len(node.nodes) < count]
    if missing:
        raise BenchError(f"{', '.join(missing)} did not get to know all")
    joined = time.process_time() - cpu
    messages, cpu = bus.delivered, time.process_time()
    await asyncio.sleep(seconds)
    cpu = time.process_time() - cpu
    received, share = (bus.delivered - messages) / seconds / count, cpu / seconds / count
    for node in nodes:
        await node.stop()
    return Beats(count, received, share / received * 1e6, share, joined / count / count * 1e6)


class _CountingBus(MemoryBus):
    """A bus in memory that counts what it delivers.

    Attributes:
        delivered: messages, each as often as ports received it.
    """

    def __init__(self) -> None:
        super().__init__()
        self.delivered = 0

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> MemoryPort:
        """Make the port of a node."""
        return _CountingPort(self, events)


class _CountingPort(MemoryPort):
    """A port that has its bus count what comes."""

    __slots__ = ("_counter",)

    def __init__(self, bus: _CountingBus, events: PortEvents) -> None:
        super().__init__(bus, events)
        self._counter = bus

    def _receive(self, channel: bytes, message: bytes) -> None:
        self._counter.delivered += 1
        super()._receive(channel, message)
