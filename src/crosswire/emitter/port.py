"""The messages of an emitter: their numbers, and publishing them."""

from __future__ import annotations

import time
from collections.abc import Collection

from crosswire.cluster.redis.commands import publish
from crosswire.core.envelopes import BatchKind, pack_header
from crosswire.core.numbering import EmitterNumbers
from crosswire.core.signing import Signer
from crosswire.emitter.publisher import Outgoing, Publisher


class EmitterPort:
    """Collects the messages of one call of the application, and publishes them together.

    Args:
        publisher: publishes them.
        origin: 8 bytes, unique to the emitter in this process; all its messages carry them.
        signer: signs the messages; None if they are not signed.
    """

    def __init__(self, publisher: Publisher, origin: bytes, signer: Signer | None = None) -> None:
        self._signer = signer
        self._publisher = publisher
        self._origin = origin
        self._numbers = EmitterNumbers()
        self._collected: list[Outgoing] = []

    def require_room(self, sizes: Collection[int]) -> None:
        """Accept any number of messages: none of them waits."""

    def publish(self, channel: bytes, body: bytes, *, plain: bool = False) -> None:
        """Collect a message for :meth:`flush`.

        Args:
            channel: its name.
            body: of the message.
            plain: send the body alone, without a number, for programs that know nothing of Crosswire.
        """
        header = b"" if plain else self._header(channel, body)
        self._collected.append(Outgoing(channel, publish(channel, header, body), plain=plain))

    def publish_joined(self, channel: bytes, body: bytes, kind: BatchKind) -> None:
        """Collect a message, alone: an emitter does not know whether all nodes can read a batch."""
        self.publish(channel, body)

    def _header(self, channel: bytes, body: bytes) -> bytes:
        number, previous = self._numbers.next(channel, time.monotonic())
        if self._signer is None:
            return pack_header(self._origin, number, previous)
        return self._signer.header(channel, self._origin, number, previous, time.time_ns() // 1000, body)

    def flush(self) -> list[int]:
        """Publish the messages that were collected.

        Returns:
            How many connections each was sent to.

        Raises:
            BusUnavailable: no Redis takes one of them.
        """
        messages, self._collected = self._collected, []
        try:
            self._publisher.publish(messages)
        finally:
            for message in messages:
                if message.receivers is None:  # receivers must not wait for it
                    self._numbers.take_back(message.channel)
        return [message.receivers or 0 for message in messages]

    def discard(self) -> None:
        """Forget the messages that were collected, as the call has failed."""
        for message in self._collected:
            self._numbers.take_back(message.channel)
        self._collected.clear()
