"""Messages for one channel that follow one another in a turn of the event loop are published as one, at its end."""

from __future__ import annotations

from collections.abc import Callable

from crosswire.cluster.send_buffer import OVERHEAD, Budget, SendBuffer
from crosswire.core.envelopes import MAX_MESSAGES, BatchKind, ClientBatch, ClientMessage, TextBatch, encode, join
from crosswire.runtime.flusher import Flusher

MAX_JOINED = 64 * 1024
"""Bytes of messages that are joined; a message beyond that begins the next batch, so that large ones are not copied."""


class JoinedMessages:
    """The messages that wait for the end of the turn, or for one that must not wait.

    Only messages that follow one another are joined, so the order of a node's messages, on whatever channels, is that
    in which they were sent. All batches of a turn are published together: that takes less time than publishing each
    when the next one begins, between two messages of the application.

    Args:
        budget: has the bytes of the messages that wait, until they are published.
        buffer: keeps messages while the bus can't take them; then none waits here: when it pauses, what waits has to be
            published.
        flusher: flushes them at the end of the turn.
        admits: decides about a message that does not fit in: returns whether to take it, or raises.
        publish: numbers and publishes the body of a message.
    """

    __slots__ = (
        "_admits",
        "_batches",
        "_beside",
        "_bodies",
        "_budget",
        "_buffer",
        "_channel",
        "_channel_of",
        "_flusher",
        "_is_scheduled",
        "_joins",
        "_joins_texts",
        "_kind",
        "_more",
        "_name",
        "_publish",
        "_room",
        "_taken",
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
        self._joins = self._joins_texts = True
        self._batches: list[tuple[bytes, BatchKind, list[bytes]]] = []  # that wait, with their channels
        # Of the last batch, which others may join: if there is none, there is no room, not even for an empty message.
        self._channel = b""
        self._kind: BatchKind | None = None
        self._bodies: list[bytes] = []
        self._name = ""  # of the user whose channel it is, if that is known
        self._beside, self._room = 0, -1
        self._channel_of: Callable[[str], bytes] = str.encode
        self._is_scheduled = False
        self._taken = self._more = 0

    @property
    def joins(self) -> bool:
        """Whether messages may share one publication: whether all members can read that."""
        return self._joins

    @joins.setter
    def joins(self, value: bool) -> None:
        if not value:
            self.publish_waiting()
        self._joins = value

    @property
    def joins_texts(self) -> bool:
        """Whether all members can read a :class:`TextBatch`; if not, a :class:`ClientBatch` takes its place."""
        return self._joins_texts

    @joins_texts.setter
    def joins_texts(self, value: bool) -> None:
        if not value:
            self.publish_waiting()
        self._joins_texts = value

    @property
    def uncounted(self) -> int:
        """Number of messages that have no number of their own: those that share one, and those that wait."""
        return self._more + sum(len(bodies) for _, _, bodies in self._batches)

    def publish(self, channel: bytes, body: bytes, kind: BatchKind) -> None:
        """Publish a message, at the end of the turn, with those for the same channel that follow it at once.

        They share a number, and what that costs on the way. The messages of a node leave in the order in which they
        were published, in whatever way.

        Args:
            channel: its name.
            body: of the message; its JSON, if the batch is a :class:`TextBatch`.
            kind: the batch that the message may be a part of.

        Raises:
            BusUnavailable: too much waits already, and that is the policy.
        """
        if channel == self._channel and kind is self._kind and self._join(body):
            return
        self._publish_other(channel, body, kind)

    def publisher_for_users(self, channel_of: Callable[[str], bytes]) -> Callable[[str, bytes], None]:
        """Return the function that does the same as :meth:`publish` with the JSON of a message, on a user's channel.

        It takes the name of the user and the JSON, and raises as :meth:`publish`. The messages for one user often
        follow one another, and then the name of the channel is not needed again.

        Args:
            channel_of: returns the channel of a user.
        """
        self._channel_of = channel_of
        return self._publish_text

    def _publish_text(self, name: str, text: bytes) -> None:
        size = len(text)
        if name == self._name and size <= self._room:  # the rest is as _join, without a call
            taken, budget, bodies = size + self._beside, self._budget, self._bodies
            if taken <= budget.free and len(bodies) < MAX_MESSAGES:
                bodies.append(text)
                self._room -= size
                self._taken += taken
                budget.free -= taken
                return
        self._publish_other(self._channel_of(name), text, TextBatch, name)

    def _join(self, body: bytes) -> bool:
        """Let a message wait with others for its channel; return False if they would be too many or too large."""
        size, bodies, budget = len(body), self._bodies, self._budget
        taken = size + self._beside
        if size > self._room or taken > budget.free or len(bodies) >= MAX_MESSAGES:
            return False
        bodies.append(body)
        self._room -= size
        self._taken += taken
        budget.free -= taken
        return True

    def _publish_other(self, channel: bytes, body: bytes, kind: BatchKind, name: str = "") -> None:
        """Begin a batch with a message that can't be joined with the last one, or does not fit in."""
        if kind is TextBatch and not self._joins_texts:
            self.publish(channel, encode(ClientMessage(body)), ClientBatch)
            return
        beside = len(channel) + OVERHEAD
        taken = beside + len(body)
        if taken > self._budget.free and not self._admits(channel, taken):
            return
        if not self._joins or self._flusher.ending or self._buffer.paused:
            self.publish_waiting()
            self._publish(channel, body if kind is not TextBatch else encode(ClientMessage(body)))
            return
        if not self._is_scheduled:
            self._flusher.schedule(self)  # before anything is changed: it may raise
            self._is_scheduled = True
        self._channel, self._name, self._kind = channel, name, kind
        self._beside, self._room = beside, MAX_JOINED - len(body)
        self._bodies = bodies = [body]
        self._batches.append((channel, kind, bodies))
        self._taken += taken
        self._budget.free -= taken

    def flush(self) -> None:
        """Publish the messages that wait, as the turn is at its end."""
        self._is_scheduled = False
        self.publish_waiting()

    def publish_waiting(self) -> None:
        """Publish the messages that wait, as the turn is at its end, or another one comes that must not wait."""
        batches = self._batches
        if not batches:
            return
        self._batches = []
        self._budget.free += self._taken
        self._taken, self._room, self._name = 0, -1, ""
        publish = self._publish  # read first: else Python looks for a method
        for channel, kind, bodies in batches:
            count = len(bodies)
            self._more += count - 1
            if kind is TextBatch:
                body = encode(TextBatch(bodies) if count > 1 else ClientMessage(bodies[0]))
            else:
                body = join(kind, bodies) if count > 1 else bodies[0]
            publish(channel, body)
