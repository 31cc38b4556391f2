"""A bus for nodes of one process and event loop: for tests, and for a node that is alone."""

from __future__ import annotations

from collections.abc import Collection

from crosswire.cluster.interface import PortEvents, Receive
from crosswire.cluster.log.interface import LogEvents
from crosswire.cluster.log.memory import MemoryLog, new_epoch
from crosswire.cluster.log.memory_rooms import MemoryRooms
from crosswire.cluster.send_buffer import Budget, Overflow
from crosswire.runtime.loop_thread import running_loop


class MemoryBus:
    """Carries messages between the nodes that are given the same ``MemoryBus``.

    Example::

        bus = MemoryBus()
        a, b = Node("a", bus=bus), Node("b", bus=bus)
    """

    prefix = "cw:"
    buffer = 16 * 1024 * 1024
    overflow: Overflow = "drop"

    def __init__(self) -> None:
        self.ports: dict[bytes, dict[MemoryPort, None]] = {}
        self.rooms = MemoryRooms(new_epoch)

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> MemoryPort:
        """Make the port of a node; see :class:`~crosswire.cluster.interface.Bus`."""
        return MemoryPort(self, events)


class MemoryPort:
    """A ``Port`` of a :class:`MemoryBus`. Messages arrive in a later turn of the event loop, as from a network."""

    __slots__ = ("_bus", "_events", "_receivers", "available")

    reorders = False
    hold_time = 0.0
    paths = ()

    def __init__(self, bus: MemoryBus, events: PortEvents) -> None:
        self._bus = bus
        self._events = events
        self._receivers: dict[bytes, Receive] = {}
        self.available = False

    async def start(self) -> None:
        self.available = True
        for channel in self._receivers:
            self._bus.ports.setdefault(channel, {})[self] = None
        self._events.resume_publishing()

    async def stop(self) -> None:
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
        loop = running_loop()
        for port in self._bus.ports.get(channel, ()):
            if echo or port is not self:
                loop.call_soon(port._receive, channel, message)

    def _receive(self, channel: bytes, message: bytes) -> None:
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
        return len(self._bus.ports.get(channel, ()))

    def open_log(self, events: LogEvents) -> MemoryLog:
        """Open the logs of rooms, which the ports of the bus share."""
        return MemoryLog(self._bus.rooms, self.publish_plain, events)
