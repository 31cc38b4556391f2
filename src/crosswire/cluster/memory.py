"""A bus for nodes of one process and event loop: for tests, and for a node that is alone."""

from __future__ import annotations

from collections.abc import Collection

from crosswire.cluster.interface import PortEvents, Receive
from crosswire.runtime.loop_thread import running_loop


class MemoryBus:
    """Carries messages between the nodes that are given the same one.

    Example::

        bus = MemoryBus()
        a, b = Node("a", bus=bus), Node("b", bus=bus)
    """

    prefix = "cw:"

    def __init__(self) -> None:
        self.receivers: dict[bytes, dict[MemoryPort, Receive]] = {}

    def attach(self, owner: PortEvents, name: str, origin: bytes) -> MemoryPort:
        """Make the port of a node; see :class:`~crosswire.cluster.interface.Bus`."""
        return MemoryPort(self, origin)


class MemoryPort:
    """A ``Port`` of a :class:`MemoryBus`. Messages arrive in a later turn of the event loop, as from a network."""

    __slots__ = ("_bus", "_channels", "_started", "dropped", "gaps", "origin", "refused")

    def __init__(self, bus: MemoryBus, origin: bytes) -> None:
        self._bus = bus
        self._channels: dict[bytes, Receive] = {}
        self._started = False
        self.origin = origin
        self.dropped = self.gaps = self.refused = 0

    @property
    def available(self) -> bool:
        """It always is, once it has been started."""
        return self._started

    @property
    def paths(self) -> tuple[str, ...]:
        """There is one, and it has no name."""
        return ()

    async def start(self) -> None:
        """Begin."""
        self._started = True
        for channel, receive in self._channels.items():
            self._bus.receivers.setdefault(channel, {})[self] = receive

    async def stop(self) -> None:
        """End."""
        for channel in list(self._channels):
            self.unsubscribe(channel)
        self._started = False

    def use_paths(self, common: Collection[str] | None) -> None:
        """Do nothing: there is one path."""

    def publish(self, channel: bytes, body: bytes, *, plain: bool = False) -> None:
        """Hand over a message."""
        receivers = self._bus.receivers.get(channel)
        if receivers is None or not self._started:
            return
        loop = running_loop()
        for port in receivers:
            if plain or port is not self:
                loop.call_soon(port.deliver, channel, body)

    def require_room(self, sizes: Collection[int]) -> None:
        """Do nothing: there is room for everything."""

    def announce(self, channel: bytes, body: bytes) -> None:
        """Hand over a message."""
        self.publish(channel, body)

    def deliver(self, channel: bytes, body: bytes) -> None:
        """Take a message, unless nobody listens any more."""
        receive = self._channels.get(channel)
        if receive is not None:
            receive(body)

    def subscribe(self, channel: bytes, receive: Receive, *, plain: bool = False) -> None:
        """Listen."""
        self._channels[channel] = receive
        if self._started:
            self._bus.receivers.setdefault(channel, {})[self] = receive

    def unsubscribe(self, channel: bytes) -> None:
        """Listen no more."""
        self._channels.pop(channel, None)
        receivers = self._bus.receivers.get(channel)
        if receivers is not None:
            receivers.pop(self, None)
            if not receivers:
                del self._bus.receivers[channel]

    def is_listening(self, channel: bytes) -> bool:
        """Whether it does."""
        return channel in self._channels

    async def listening(self, channel: bytes) -> None:
        """Do not wait: it listens at once."""

    async def listeners(self, channel: bytes) -> int:
        """Count the ports that listen."""
        return len(self._bus.receivers.get(channel, {}))

    def forget(self, origin: bytes) -> None:
        """Do nothing: nothing is remembered."""
