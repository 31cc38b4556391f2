"""Messages of this node on their way through the logs of rooms and back."""

from __future__ import annotations

from crosswire.cluster.history.room_queue import Outgoing

MAX_OWN = 1_000
"""Messages of this node that are remembered until they come back; beyond it, the oldest are forgotten."""
MAX_OWN_BYTES = 1024 * 1024
"""Bytes of these messages; beyond it, the oldest are forgotten."""


class OwnMessages:
    """The messages that this node has made for rooms with members here, until the logs publish them.

    What comes back in its room as it was sent, byte for byte, need not be decoded and checked again. A message that is
    forgotten is read like those of other nodes.
    """

    __slots__ = ("_bytes", "_messages")

    def __init__(self) -> None:
        self._messages: dict[int, tuple[bytes, Outgoing]] = {}  # with the channel of the room
        self._bytes = 0

    def __len__(self) -> int:
        return len(self._messages)

    def add(self, channel: bytes, message: Outgoing) -> None:
        """Remember a message for the room that has a channel."""
        messages = self._messages
        messages[message.number] = channel, message
        self._bytes += len(message.body)
        while self._bytes > MAX_OWN_BYTES or len(messages) > MAX_OWN:
            _, oldest = messages.pop(next(iter(messages)))
            self._bytes -= len(oldest.body)

    def take(self, channel: bytes, number: int, body: bytes) -> Outgoing | None:
        """Return the message of a room with a number and a body, and remember it no more; None if there is none."""
        known = self._messages.get(number)
        if known is None or known[0] != channel or known[1].body != body:
            return None  # what somebody else has put there does not keep the message from coming
        del self._messages[number]
        self._bytes -= len(body)
        return known[1]
