"""What carries messages between nodes, and what it promises; the contract suite in ``crosswire.testing`` says the rest.

A :class:`Bus` is what an application passes: a :class:`~crosswire.cluster.memory.MemoryBus`, or the options of a Redis.
Every node attaches to it once, and gets a :class:`Port`.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol

from crosswire.types import GapInfo, LinkStatus, SubscriptionFailure

Receive = Callable[[bytes], None]
"""Takes one message of a channel. It must not raise."""


class PortEvents(Protocol):
    """Who a port tells what happens to it."""

    def paths_changed(self) -> None:
        """:attr:`Port.paths` is another."""

    def path_lost(self, path: str) -> None:
        """A way is gone; who listened on it may have lost it too."""

    def restored(self) -> None:
        """Other nodes can be reached, after they could not."""

    def gap(self, info: GapInfo) -> None:
        """Messages may have been missed."""

    def health_changed(self, status: LinkStatus) -> None:
        """A Redis became healthy, or is not any more."""

    def subscription_failed(self, failure: SubscriptionFailure) -> None:
        """A channel can't be heard on a Redis."""


class Port(Protocol):
    """One node's end of the bus.

    A message that was published reaches every port that listens on its channel, except the publisher's own: from one
    publisher on one channel each once, and in order. None of the methods that are no coroutines waits.

    Attributes:
        origin: 8 bytes that this port's messages carry.
        dropped: messages that found the buffer full while no way was open.
        refused: messages that came and were not what they should be.
        gaps: how often messages may have been missed.
    """

    origin: bytes
    dropped: int
    refused: int
    gaps: int

    async def start(self) -> None:
        """Connect. Returns when other nodes can be reached, or after a short while without.

        Raises:
            ConfigError: the options can never work.
        """

    async def stop(self) -> None:
        """Send what waits, if that is possible at once, and disconnect."""

    @property
    def available(self) -> bool:
        """Whether other nodes can be reached."""
        ...

    @property
    def paths(self) -> tuple[str, ...]:
        """The ways over which this port can hear others; names that mean the same everywhere."""
        ...

    def use_paths(self, common: Collection[str] | None) -> None:
        """Publish only over those of these ways that work, if any does; None for no preference."""

    def publish(self, channel: bytes, body: bytes, *, plain: bool = False) -> None:
        """Hand over a message. While no way is open it is kept, up to a limit.

        Args:
            channel: its name.
            body: of the message.
            plain: send the body alone, for programs that know nothing of Crosswire: it may then come twice or not at
                all when a Redis fails, and to the publisher too.

        Raises:
            BusUnavailable: no way is open and the buffer is full, if that is its policy.
        """

    def require_room(self, sizes: Collection[int]) -> None:
        """See, before the first of several messages is published, that none of them will be refused.

        Args:
            sizes: of each message's channel and body together, in bytes.

        Raises:
            BusUnavailable: as :meth:`publish` would for one of them.
        """

    def announce(self, channel: bytes, body: bytes) -> None:
        """As :meth:`publish`, over all ways there are at once and to none that opens later."""

    def subscribe(self, channel: bytes, receive: Receive, *, plain: bool = False) -> None:
        """Listen, soon. A channel has one receiver; ``plain`` as for :meth:`publish`."""

    def unsubscribe(self, channel: bytes) -> None:
        """Listen no more; does nothing if it does not."""

    def is_listening(self, channel: bytes) -> bool:
        """Whether messages published anywhere reach this port now."""
        ...

    async def listening(self, channel: bytes) -> None:
        """Wait until they do, over every way that works; not at all if none does.

        Raises:
            BusUnavailable: every way that works refuses it.
        """

    async def listeners(self, channel: bytes) -> int:
        """Count the ports, of any node, that listen on a channel; 0 if that can't be found out."""
        ...

    def forget(self, origin: bytes) -> None:
        """Forget what is remembered of a port that is gone."""


class Bus(Protocol):
    """Makes ports: one for each node."""

    @property
    def prefix(self) -> str:
        """What the names of its channels begin with."""
        ...

    def attach(self, owner: PortEvents, name: str, origin: bytes) -> Port:
        """Make the port of a node.

        Args:
            owner: is told what happens.
            name: of the node, for whoever looks at the connections.
            origin: 8 bytes, unique to this run of the node.
        """
        ...
