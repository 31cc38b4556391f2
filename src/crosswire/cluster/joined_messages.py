"""Messages for one channel that follow one another in a turn of the event loop are published as one."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.cluster.send_buffer import Budget
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
        flusher: flushes them at the end of the turn.
        publish: numbers and publishes the body of a message.
    """

    __slots__ = (
        "_bodies",
        "_budget",
        "_channel",
        "_flusher",
        "_is_scheduled",
        "_kind",
        "_more",
        "_publish",
        "_size",
        "_taken",
    )

    def __init__(self, budget: Budget, flusher: Flusher, publish: Callable[[bytes, bytes], None]) -> None:
        self._budget = budget
        self._flusher = flusher
        self._publish = publish
        self._channel = b""
        self._kind: BatchKind | None = None
        self._bodies: list[bytes] = []
        self._is_scheduled = False
        self._size = self._taken = self._more = 0

    @property
    def uncounted(self) -> int:
        """Number of messages that have no number of their own: those that share one, and those that wait."""
        return self._more + len(self._bodies)

    def add(self, channel: bytes, kind: BatchKind, body: bytes, taken: int) -> None:
        """Publish a message at the end of the turn, or sooner.

        Args:
            channel: its name.
            kind: the batch that the message may be a part of.
            body: of the message.
            taken: bytes that it takes of the budget while it waits.
        """
        bodies, size = self._bodies, len(body)
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
