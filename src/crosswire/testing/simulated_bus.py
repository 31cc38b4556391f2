"""A bus in memory that loses, delays, doubles and reorders messages, as it is told and as its random numbers fall."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from contextvars import Context, copy_context
from dataclasses import dataclass, replace
from random import Random
from zlib import crc32

from crosswire.cluster.interface import PortEvents, Receive
from crosswire.cluster.log.interface import LogEvents
from crosswire.cluster.send_buffer import Budget, Overflow
from crosswire.core.channel_names import Channels, text_of
from crosswire.testing.partitions import Partitions
from crosswire.testing.simulated_log import SimulatedLog, SimulatedLogs
from crosswire.testing.trace import Trace

OVERTAKEN_FOR = 0.1
"""Seconds by which a message that is overtaken comes later, at most; receivers wait that long for a missing one."""
LOG_HOLDER = "log"
"""The name of the holder of the logs in the trace, and for :meth:`SimulatedBus.between`."""
_STEP = 1e-7
"""Seconds between two messages that must not overtake each other."""


@dataclass(slots=True)
class BusFaults:
    """Faults of messages between nodes; each is a probability, from 0 to 1, but ``delay``.

    Attributes:
        loss: that a message does not come.
        duplicate: that it comes twice.
        reorder: that later ones overtake it, by :data:`OVERTAKEN_FOR` seconds at most.
        delay: seconds that a message takes, at least and at most. Without ``reorder``, those of one node to another
            keep their order.
    """

    loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    delay: tuple[float, float] = (0.0, 0.0)


class SimulatedBus:
    """A bus between the nodes of one process and event loop, whose faults are drawn from a seed.

    Without faults it does what a :class:`~crosswire.MemoryBus` does. Numbers, gaps and order are restored above it, as
    with any bus: the application is told of lost messages by ``on_gap``, gets none twice, and those of one sender on
    one channel in order.

    Args:
        random: source of the random numbers; None for one with the seed 0.
        partitions: who can't hear whom; None if that is the bus' own affair.
        trace: takes what happens to messages; None for none.

    Attributes:
        logs: the logs of rooms that keep history, with faults of their own.
        faults: between all nodes; ``loss``, ``duplicate``, ``reorder`` and ``delay`` are its fields.

    Example::

        bus = SimulatedBus(Random(5))
        bus.loss = 0.1
        a, b = Node("a", bus=bus), Node("b", bus=bus)
    """

    prefix = "cw:"
    buffer = 16 * 1024 * 1024
    overflow: Overflow = "drop"

    def __init__(
        self, random: Random | None = None, partitions: Partitions | None = None, trace: Trace | None = None
    ) -> None:
        self.faults = BusFaults()
        self.random = random or Random(0)
        self.partitions = partitions or Partitions(lambda: None)
        self.trace = trace
        self.ports: dict[bytes, dict[SimulatedPort, None]] = {}
        self.logs = SimulatedLogs(self.random, lambda: self.faults.delay, self.publish_record, self._note_text)
        self.routine = {Channels(self.prefix).nodes}
        self._attached: dict[str, tuple[SimulatedPort, ...]] = {}
        self._between: dict[frozenset[str], BusFaults] = {}
        self._last: dict[tuple[str, str], float] = {}  # when the last message between two nodes comes
        self._late_until = 0.0  # when the last message comes that may be overtaken

    @property
    def loss(self) -> float:
        """Probability that a message is lost."""
        return self.faults.loss

    @loss.setter
    def loss(self, probability: float) -> None:
        self.faults.loss = probability

    @property
    def duplicate(self) -> float:
        """Probability that a message comes twice."""
        return self.faults.duplicate

    @duplicate.setter
    def duplicate(self, probability: float) -> None:
        self.faults.duplicate = probability

    @property
    def reorder(self) -> float:
        """Probability that a message is overtaken by later ones."""
        return self.faults.reorder

    @reorder.setter
    def reorder(self, probability: float) -> None:
        self.faults.reorder = probability

    @property
    def delay(self) -> tuple[float, float]:
        """Seconds that a message takes, at least and at most."""
        return self.faults.delay

    @delay.setter
    def delay(self, bounds: tuple[float, float]) -> None:
        self.faults.delay = bounds

    def between(self, one: str, other: str) -> BusFaults:
        """Return the faults between two nodes, by their names, to be changed; from now on they are their own."""
        pair = frozenset((one, other))
        if pair not in self._between:
            self._between[pair] = replace(self.faults)
        return self._between[pair]

    @property
    def reorders(self) -> bool:
        """Whether messages may be overtaken anywhere."""
        return self.faults.reorder > 0 or any(faults.reorder > 0 for faults in self._between.values())

    @property
    def hold_time(self) -> float:
        """Seconds in which a missing message may still come: also one that was overtaken before ``reorder`` ended."""
        may_be_late = self.reorders or asyncio.get_running_loop().time() <= self._late_until
        return OVERTAKEN_FOR if may_be_late else 0.0

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> SimulatedPort:
        """Make the port of a node; see :class:`~crosswire.cluster.interface.Bus`."""
        port = SimulatedPort(self, events, name)
        self._attached[name] = (*self._attached.get(name, ()), port)
        return port

    def remove(self, name: str) -> None:
        """Remove the ports of a node that is dead."""
        for port in self._attached.pop(name, ()):
            port.die()
        self.logs.close(name)

    def publish_record(self, channel: bytes, record: bytes) -> None:
        """Bring a record of a room's log to all ports that listen, or lose it."""
        for port in list(self.ports.get(channel, ())):
            self.carry(LOG_HOLDER, port, channel, record)

    def carry(self, sender: str, port: SimulatedPort, channel: bytes, message: bytes) -> None:
        """Bring a message to a port, or lose it."""
        receiver = port.name
        if self.partitions.blocks(sender, receiver):
            self._note("cut off", sender, receiver, channel, message)
            return
        faults = self._between.get(frozenset((sender, receiver)), self.faults)
        if faults.loss and self.random.random() < faults.loss:
            self._note("lost", sender, receiver, channel, message)
            return
        self._note("sent", sender, receiver, channel, message)
        self._schedule(faults, sender, port, channel, message)
        if faults.duplicate and self.random.random() < faults.duplicate:
            self._note("doubled", sender, receiver, channel, message)
            self._schedule(faults, sender, port, channel, message)

    def _schedule(self, faults: BusFaults, sender: str, port: SimulatedPort, channel: bytes, message: bytes) -> None:
        loop, link = asyncio.get_running_loop(), (sender, port.name)
        low, high = faults.delay
        overtaken = bool(faults.reorder) and self.random.random() < faults.reorder
        last = self._last.get(link, 0.0)
        now = loop.time()
        if not overtaken and not high and last < now:
            loop.call_soon(port.receive, channel, message, context=port.context)
            return
        when = max(now + (self.random.uniform(low, high) if high else 0.0), last + _STEP)
        self._last[link] = when  # of an overtaken message, too: so none is overtaken for longer
        if overtaken:
            when += self.random.uniform(0, OVERTAKEN_FOR)
            self._late_until = max(self._late_until, when)
            self._note("late", sender, port.name, channel, message)
        loop.call_at(when, port.receive, channel, message, context=port.context)

    def _note_text(self, text: str) -> None:
        if self.trace is not None:
            self.trace.add(text)

    def _note(self, what: str, sender: str, receiver: str, channel: bytes, message: bytes) -> None:
        if self.trace is not None:
            text = f"bus {sender} -> {receiver}: {what} {text_of(channel)} {len(message)} bytes {crc32(message):08x}"
            self.trace.add(text, routine=channel in self.routine)


class SimulatedPort:
    """A ``Port`` of a :class:`SimulatedBus`.

    Attributes:
        name: of its node.
        context: of its node, in which messages are received.
    """

    __slots__ = ("_bus", "_events", "_receivers", "available", "context", "name")

    paths = ()

    def __init__(self, bus: SimulatedBus, events: PortEvents, name: str) -> None:
        self._bus = bus
        self._events = events
        self._receivers: dict[bytes, Receive] = {}
        self.name = name
        self.context: Context | None = None
        self.available = False

    @property
    def reorders(self) -> bool:
        return self._bus.reorders

    @property
    def hold_time(self) -> float:
        return self._bus.hold_time

    async def start(self) -> None:
        self.context = copy_context()
        self.available = True
        for channel in self._receivers:
            self._bus.ports.setdefault(channel, {})[self] = None
        self._events.resume_publishing()

    async def stop(self) -> None:
        self.die()

    def die(self) -> None:
        """Leave all channels, as a node that is gone."""
        for channel in list(self._receivers):
            self.unsubscribe(channel)
        self.available = False

    def use_paths(self, common: Collection[str] | None) -> None: ...

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        if channel in self._bus.ports:
            self._send(channel, header + body, echo=False)

    def publish_plain(self, channel: bytes, body: bytes) -> None:
        self._send(channel, body, echo=True)

    def announce(self, channel: bytes, header: bytes, body: bytes) -> bool:
        if self.available:
            self._send(channel, header + body, echo=False)
        return self.available

    def _send(self, channel: bytes, message: bytes, *, echo: bool) -> None:
        if not self.available:
            return
        for port in list(self._bus.ports.get(channel, ())):
            if port is not self:
                self._bus.carry(self.name, port, channel, message)
            elif echo:
                asyncio.get_running_loop().call_soon(self.receive, channel, message, context=self.context)

    def receive(self, channel: bytes, message: bytes) -> None:
        """Hand a message to the receiver of its channel."""
        if (receive := self._receivers.get(channel)) is not None:
            receive(message)

    def subscribe(self, channel: bytes, receive: Receive) -> None:
        self._receivers[channel] = receive
        if self.available:
            self._bus.ports.setdefault(channel, {})[self] = None

    def unsubscribe(self, channel: bytes) -> None:
        self._receivers.pop(channel, None)
        ports = self._bus.ports.get(channel, {})
        ports.pop(self, None)
        if not ports:
            self._bus.ports.pop(channel, None)

    def is_listening(self, channel: bytes) -> bool:
        return self.available and channel in self._receivers

    async def wait_listening(self, channel: bytes) -> None: ...

    async def count_listeners(self, channel: bytes) -> int:
        heard = (port for port in self._bus.ports.get(channel, ()) if not self._cut_off(port))
        return sum(1 for _ in heard)

    def open_log(self, events: LogEvents) -> SimulatedLog:
        """Open the logs of rooms; what they publish is carried as other messages are."""
        return self._bus.logs.open(self.name, events)

    def _cut_off(self, port: SimulatedPort) -> bool:
        return self._bus.partitions.blocks(self.name, port.name)
