"""Batches of messages: the messages for one channel in one turn of the event loop are published as one."""

from __future__ import annotations

from crosswire.cluster.ordered_port import OrderedPort
from crosswire.core import envelopes
from crosswire.core.envelopes import MAX_MESSAGES, Batch, EventMessage
from crosswire.errors import BusUnavailable
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

MAX_SIZE = 256 * 1024
"""Bytes of a batch; the messages of a larger one are published one by one."""
MAX_APPENDED = MAX_MESSAGES - 2
"""Messages of one channel behind which another may be appended: then they are no full batch yet."""

logger = get_logger("crosswire.cluster")


class Batches:
    """The messages that are published at the end of the turn, by channel.

    A busy node sends many messages to another node in one turn. As one batch they cost the bus and both nodes little
    more than a single message. They keep their order if all messages of a channel are published by this object.

    Args:
        port: publishes the batches.

    Attributes:
        held: the messages that wait, by channel. Behind one that waits, the next may be appended without :meth:`add`
            if there are no more than :data:`MAX_APPENDED`: requests and answers of a busy node are, one call less each.
        dropped: messages that were lost because the send buffer was full.
    """

    __slots__ = ("_port", "_warnings", "dropped", "held")

    def __init__(self, port: OrderedPort) -> None:
        self._port = port
        self.held: dict[bytes, list[bytes]] = {}
        self._warnings = ThrottledWarnings(logger)
        self.dropped = 0

    def add(self, channel: bytes, body: bytes) -> None:
        """Publish an encoded message at the end of the turn."""
        held = self.held
        bodies = held.get(channel)
        if bodies is None:
            if not held:
                self._port.flusher.schedule(self)
            held[channel] = [body]
            return
        bodies.append(body)
        if len(bodies) >= MAX_MESSAGES:
            self._publish(channel, bodies)
            held[channel] = []

    def publish(self, channel: bytes, message: EventMessage) -> None:
        """Publish a message behind those that wait, together with further ones that are published next.

        Raises:
            BusUnavailable: the send buffer is full, and the policy is to raise.
        """
        if waiting := self.held.get(channel):
            self._publish(channel, waiting)
            self.held[channel] = []
        self._port.publish_joined(channel, envelopes.encode(message), Batch)

    def flush(self) -> None:
        """Publish all messages that wait."""
        held, self.held = self.held, {}
        for channel, bodies in held.items():
            try:
                if bodies:
                    self._publish(channel, bodies)
            except Exception:
                logger.exception("messages to other nodes could not be published")  # and on to the next

    def _publish(self, channel: bytes, bodies: list[bytes]) -> None:
        count = left = len(bodies)
        try:
            if count > 1 and sum(map(len, bodies)) <= MAX_SIZE:
                self._port.publish(channel, envelopes.join(Batch, bodies), count=count)
                return
            for body in bodies:
                self._port.publish(channel, body)
                left -= 1
        except BusUnavailable as error:
            self.dropped += left
            text = "%d requests and answers of nodes are lost: %s"
            self._warnings.warn("lost", text, left, error)
