"""Messages for one channel that follow one another in a turn of the event loop are published as one."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.cluster.send_buffer import OVERHEAD, Budget, SendBuffer
from crosswire.core.envelopes import MAX_MESSAGES, BatchKind, join
from crosswire.runtime.flusher import Flusher

MAX_JOINED = 64 * 1024
"""Bytes of messages that are joined; a message beyond that begins the next batch, so that large ones are not copied."""


class JoinedMessages:
    """The messages that wait for the end of the turn, or for one that they can't be joined with.

    Only messages that follow one another are joined, so the order of a node's messages, on whatever channels, is that
    in which they were sent.

    Args:
        budget: has the bytes of the messages that wait, until they are published.
        buffer: keeps messages while the bus can't take them; then none waits here.
        flusher: flushes them at the end of the turn.
        admits: decides about a message that does not fit in: returns whether to take it, or raises.
        publish: numbers and publishes the body of a message.

    Attributes:
        joins: whether messages may share one publication: whether all members can read that.
    """

    __slots__ = (
        "_admits",
        "_bodies",
        "_budget",
        "_buffer",
        "_channel",
        "_flusher",
        "_is_scheduled",
        "_kind",
        "_more",
        "_publish",
        "_size",
        "_taken",
        "joins",
    )

    def __init__(
        self,
        budget: Budget,
        buffer: SendBuffer,
        flusher: Flusher,
        admits: Callable[[bytes, int], bool],
        publish: Callable[[bytes, bytes], None],
    ) -> None:
        self._budget = budget
        self._buffer = buffer
        self._flusher = flusher
        self._admits = admits
        self._publish = publish
        self.joins = True
        self._channel = b""
        self._kind: BatchKind | None = None
        self._bodies: list[bytes] = []
        self._is_scheduled = False
        self._size = self._taken = self._more = 0

    @property
    def uncounted(self) -> int:
        """Number of messages that have no number of their own: those that share one, and those that wait."""
        return self._more + len(self._bodies)

    def publish(self, channel: bytes, body: bytes, kind: BatchKind) -> None:
        """Publish a message, at the end of the turn, with those for the same channel that follow it at once.

        They share a number, and what that costs on the way. The messages of a node leave in the order in which they
        were published, in whatever way.

        Args:
            channel: its name.
            body: of the message.
            kind: the batch that the message may be a part of.

        Raises:
            BusUnavailable: too much waits already, and that is the policy.
        """
        size = len(body)
        taken = len(channel) + size + OVERHEAD
        if taken > self._budget.free and not self._admits(channel, taken):
            return
        if not self.joins or self._flusher.ending or self._buffer.paused:
            self.publish_waiting()
            self._publish(channel, body)
            return
        bodies = self._bodies
        if bodies and (
            channel != self._channel
            or kind is not self._kind
            or self._size + size > MAX_JOINED
            or len(bodies) >= MAX_MESSAGES
        ):
            self.publish_waiting()
            bodies = self._bodies
        if not bodies:
            if not self._is_scheduled:
                self._flusher.schedule(self)  # before anything is changed: it may raise
                self._is_scheduled = True
            self._channel, self._kind, self._size = channel, kind, 0
        bodies.append(body)
        self._size += size
        self._taken += taken
        self._budget.free -= taken

    def flush(self) -> None:
        """Publish the messages that wait, as the turn is at its end."""
        self._is_scheduled = False
        self.publish_waiting()

    def publish_waiting(self) -> None:
        """Publish the messages that wait, as another one comes that can't be joined with them."""
        bodies, kind = self._bodies, self._kind
        if not bodies or kind is None:
            return
        self._bodies = []
        self._budget.free += self._taken
        self._taken = 0
        if len(bodies) == 1:
            self._publish(self._channel, bodies[0])
            return
        self._more += len(bodies) - 1
        self._publish(self._channel, join(kind, bodies))
