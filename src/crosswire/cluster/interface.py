"""The interface of a bus, which carries messages between nodes.

An application passes a :class:`Bus`: a :class:`~crosswire.cluster.memory.MemoryBus`, or the options of a Redis. Each
node attaches to it once, and gets a :class:`Port`. Numbers, order, duplicates, missing messages and the buffer are no
concern of a port: :class:`~crosswire.cluster.ordered_port.OrderedPort` adds them to any port. docs/cluster.md describes
what a new bus has to do; the contract suite in ``crosswire.testing`` checks it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection
from typing import Protocol, runtime_checkable

from crosswire.cluster.log.interface import Log, LogEvents
from crosswire.cluster.send_buffer import Budget, Overflow
from crosswire.runtime.flusher import Flusher
from crosswire.types import GapInfo, LinkStatus, SubscriptionFailure

Receive = Callable[[bytes], None]
"""Takes one message of a channel. It must not raise."""


class BusEvents(Protocol):
    """Callbacks for events of a bus that concern the node."""

    def paths_changed(self) -> None:
        """Take note that :attr:`Port.paths` changed."""

    def path_lost(self, path: str) -> None:
        """Take note that a path is gone; other nodes may have lost it too."""

    def restored(self) -> None:
        """Take note that other nodes can be reached again after an outage."""

    def gap(self, info: GapInfo) -> None:
        """Take note that messages may have been missed."""

    def health_changed(self, status: LinkStatus) -> None:
        """Take note that a link became healthy, or is no longer."""

    def subscription_failed(self, failure: SubscriptionFailure) -> None:
        """Take note that a link refuses a subscription."""


class PortEvents(BusEvents, Protocol):
    """Callbacks for what happens to a port. A port calls them in the event loop of its node."""

    def pause_publishing(self) -> None:
        """Keep messages until :meth:`resume_publishing`. A port that has just been made is paused."""

    def resume_publishing(self) -> None:
        """Publish the messages that were kept, and from now on new ones at once."""

    def messages_dropped(self, reason: str | None, count: int = 1) -> None:
        """Count messages that were handed to the port and are lost.

        Args:
            reason: for the log; None if the port has logged it.
            count: the number of messages.
        """


class Port(Protocol):
    """The connection of one node to a bus. Only the coroutines wait.

    A published message reaches every port that listens on its channel, perhaps also the port that published it. A
    message may come twice, too late, or never, except where :attr:`reorders` and :attr:`hold_time` say otherwise.
    """

    @property
    def reorders(self) -> bool:
        """Whether messages of one sender on one channel overtake each other in everyday operation.

        As when they take several paths by turns.
        """
        ...

    @property
    def hold_time(self) -> float:
        """Seconds in which a missing message may still come, as over another path; 0 if messages never come late."""
        ...

    @property
    def available(self) -> bool:
        """Whether other nodes can be reached."""
        ...

    @property
    def paths(self) -> tuple[str, ...]:
        """The names of the paths over which this port receives. Each of several independent Redis is a path.

        A path has the same name on every node. A bus with a single path needs no name for it.
        """
        ...

    async def start(self) -> None:
        """Connect. Return when other nodes can be reached, or after a short while without.

        Raises:
            ConfigError: the options can never work.
        """

    async def stop(self) -> None:
        """Send what was published, if that is possible soon, and disconnect. It may be called twice."""

    def use_paths(self, common: Collection[str] | None) -> None:
        """Publish only over paths in ``common`` that work. If none of them works, or with None, use any path."""

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        """Send ``header + body`` to all ports that listen on a channel.

        It is not called while the port is paused. The port may send a message again if it may have been lost; then it
        may come twice.
        """

    def publish_plain(self, channel: bytes, body: bytes) -> None:
        """Send a body without a header, for programs that know nothing of Crosswire; once at most.

        If this port listens on the channel, the message comes to it too.
        """

    def announce(self, channel: bytes, header: bytes, body: bytes) -> bool:
        """Send ``header + body`` over every path that is connected now, paused or not.

        Returns:
            Whether there is such a path.
        """
        ...

    def subscribe(self, channel: bytes, receive: Receive) -> None:
        """Begin to listen on a channel, without waiting. A later call replaces the receiver of the channel."""

    def unsubscribe(self, channel: bytes) -> None:
        """Leave a channel. Its receiver is not called any more."""

    def is_listening(self, channel: bytes) -> bool:
        """Return whether messages published by any node reach this port now."""
        ...

    async def wait_listening(self, channel: bytes) -> None:
        """Wait until messages reach this port over every path that works; return at once if no path works.

        Raises:
            BusUnavailable: every path that works refuses the subscription.
        """

    async def count_listeners(self, channel: bytes) -> int | None:
        """Count the ports, of any node, that listen on a channel; None if the bus can't know."""
        ...


@runtime_checkable
class LogPort(Protocol):
    """The part of a port that only a bus has that can keep the messages of rooms."""

    def open_log(self, events: LogEvents) -> Log:
        """Open the logs of rooms, as this node uses them; called once at most.

        Args:
            events: called when the holder of logs changes.
        """
        ...


@runtime_checkable
class FlushedPort(Protocol):
    """The part of a port that only a bus has that writes what was published in a turn at the end of the turn.

    Attributes:
        flusher: calls what writes. What its node publishes at the end of a turn leaves in the same write.
    """

    flusher: Flusher


class Bus(Protocol):
    """Makes the ports of nodes."""

    @property
    def prefix(self) -> str:
        """The beginning of the names of all channels; clusters that share a bus have different ones."""
        ...

    @property
    def buffer(self) -> int:
        """Bytes of messages that may wait in one node."""
        ...

    @property
    def overflow(self) -> Overflow:
        """The policy for a message that does not fit in: "drop" counts it, "raise" raises ``BusUnavailable``."""
        ...

    def attach(self, events: PortEvents, name: str, origin: bytes, budget: Budget) -> Port:
        """Make the port of a node.

        Args:
            events: called when something happens to the port.
            name: of the node, to be shown in the bus' list of connections.
            origin: 8 bytes, unique to this run of the node.
            budget: of the messages that wait. A port that keeps messages until they are acknowledged takes their bytes
                from it, and gives them back afterwards.
        """
        ...
