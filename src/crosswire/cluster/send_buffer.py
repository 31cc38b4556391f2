"""The messages of a node that wait until its bus can take them, and the limit on their size."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Literal, Protocol

from crosswire.core.envelopes import count_messages
from crosswire.errors import BusUnavailable

Overflow = Literal["drop", "raise"]

OVERHEAD = 80
"""Maximum of the bytes that a message takes besides its channel and body, or besides the JSON that its body is made of.

These are its header, if it is not signed, what a body has around JSON, and what a bus adds.
"""


class Budget:
    """Bytes of messages that may wait, in all the queues of one node together.

    Attributes:
        limit: maximum of the bytes.
        free: bytes that are left.
        copies: how often each message is counted, as the bus sends it over several paths.
    """

    __slots__ = ("copies", "free", "limit")

    def __init__(self, limit: int) -> None:
        self.limit = self.free = limit
        self.copies = 1


class Publishes(Protocol):
    """Takes the messages of a buffer; see :class:`~crosswire.cluster.interface.Port`."""

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        """Publish a message with a header."""

    def publish_plain(self, channel: bytes, body: bytes) -> None:
        """Publish a message without a header."""


class SendBuffer:
    """Keeps messages, in their order, while a bus can't take them.

    Args:
        budget: of the messages that wait, in this buffer and in the bus.
        overflow: the policy for a message that does not fit in.
        dropped: called with the reason and the number of messages that are dropped.

    Attributes:
        paused: whether messages are kept, as the bus can't take them.
    """

    __slots__ = ("_budget", "_closed", "_dropped", "_held", "_raises", "paused")

    def __init__(self, budget: Budget, overflow: Overflow, dropped: Callable[[str, int], None]) -> None:
        self._budget = budget
        self._raises = overflow == "raise"
        self._dropped = dropped
        self._held: deque[tuple[bytes, bytes, bytes]] = deque()
        self._closed = False
        self.paused = True

    def publish(self, channel: bytes, header: bytes, body: bytes) -> None:
        """Keep a message until :meth:`flush`; an empty header stands for a plain one."""
        if self._closed:
            self._dropped("the node has stopped", count_messages(body) if header else 1)
            return
        self._budget.free -= len(channel) + len(body) + OVERHEAD
        self._held.append((channel, header, body))

    def publish_plain(self, channel: bytes, body: bytes) -> None:
        """Keep a message without a header."""
        self.publish(channel, b"", body)

    def flush(self, port: Publishes) -> None:
        """Publish the messages that were kept, until the port pauses again."""
        held = self._held
        while held and not self.paused:
            channel, header, body = held.popleft()
            self._budget.free += len(channel) + len(body) + OVERHEAD
            if header:
                port.publish(channel, header, body)
            else:
                port.publish_plain(channel, body)

    def admits(self, count: int = 1) -> bool:
        """Decide about a message, or a batch of ``count``, that does not fit in: return whether to take it.

        Raises:
            BusUnavailable: the message is refused.
        """
        budget = self._budget
        if budget.free == budget.limit:  # it is larger than the limit, and nothing else waits
            return True
        if self._raises:
            raise self._refusal()
        self._dropped(self._reason(), count)
        return False

    def require_room(self, sizes: Collection[int]) -> None:
        """Check, before the first of several messages is published, that none of them will be refused.

        Args:
            sizes: of each message's channel and body together, in bytes.

        Raises:
            BusUnavailable: one of them would be refused.
        """
        if self._raises and self._budget.copies * sum(size + OVERHEAD for size in sizes) > self._budget.free:
            raise self._refusal()

    def close(self) -> None:
        """Drop the messages that were kept, and new ones from now on."""
        self._closed = self.paused = True
        if self._held:
            count = sum(count_messages(body) if header else 1 for _, header, body in self._held)
            self._dropped("the node stops, and other nodes can't be reached", count)
        self._held.clear()

    def _refusal(self) -> BusUnavailable:
        return BusUnavailable(f"{self._reason()}: try again later, or give the bus a larger buffer=")

    def _reason(self) -> str:
        reason = "other nodes can't be reached" if self.paused else "the bus does not keep up"
        return f"{reason}, and {self._budget.limit - self._budget.free} bytes wait already"
