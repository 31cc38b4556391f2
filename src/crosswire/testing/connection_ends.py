"""Both ends of a connection, for the contract suite of transports."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import cast

from crosswire.core.formats import frame_format, message_format
from crosswire.core.frames import Opcode
from crosswire.core.limits import Limits
from crosswire.core.skipped_messages import Droppable
from crosswire.testing.recording import FramePeer, Harness, RecordingReceiver, TransportPeer, eventually
from crosswire.types import Close

LIMITS = Limits(max_message=256 * 1024, outbox=128 * 1024, close_timeout=5)
"""Limits of a connection under test, unless the test gives others."""
CHUNK_SIZE = 16 * 1024
"""Characters of a text that :func:`chunk` returns."""
BUFFER_FILLING_SIZE = 768 * 1024
"""Bytes; more than an event loop's transport takes before it pauses the writer, which is 512 KiB over TLS."""
LARGE_LIMITS = Limits(outbox=4 * BUFFER_FILLING_SIZE)
"""Limits under which a test can fill an outbox without being dropped."""
_MAX_CHUNKS = 4096
"""Chunks; more than any kernel buffers for a peer that does not read."""
_POLL_INTERVAL = 0.001
"""Seconds between two chunks once some wait."""


class ConnectionEnds:
    """The peer's and the server's end of an open connection."""

    def __init__(self, peer: TransportPeer, receiver: RecordingReceiver, harness: Harness) -> None:
        self.peer = peer
        self.receiver = receiver
        self.connection = receiver.connection
        self.harness = harness
        framed = self.connection.framed
        self._format = frame_format(msgpack=False, window_bits=0) if framed else message_format(msgpack=False)

    @property
    def frame_peer(self) -> FramePeer:
        """The peer, where the transport carries frames."""
        return cast(FramePeer, self.peer)

    def push_text(self, text: str) -> None:
        """Push a text message to the peer."""
        self.connection.outbox.push(self._format.raw(Opcode.TEXT, text.encode()))

    def offer_text(self, text: str, droppable: Droppable) -> None:
        """Push a text message that the peer need not get."""
        self.connection.offer(self._format.raw(Opcode.TEXT, text.encode()), droppable)

    def push_binary(self, data: bytes) -> None:
        """Push a binary message to the peer."""
        self.connection.outbox.push(self._format.raw(Opcode.BINARY, data))

    async def ended(self) -> Close:
        """Wait for the receiver's ``closed``; return its close."""
        await eventually(lambda: self.receiver.closes, "the receiver is told of the end")
        return self.receiver.closes[0]

    async def roundtrip(self) -> None:
        """Send a message to the peer and wait for it: whatever the peer sent before has arrived by then."""
        self.push_text("roundtrip")
        assert await self.peer.receive() == "roundtrip"


def chunk(number: int) -> str:
    """Return a text of ``CHUNK_SIZE`` characters that begins with its number."""
    return f"{number} ".ljust(CHUNK_SIZE)


async def check_pauses(ends: ConnectionEnds, send: Callable[[int], None], receives: Callable[[int], object]) -> None:
    """Check that little arrives while the receiver pauses again and again, and everything in the end.

    Args:
        ends: of a connection with ``LIMITS``.
        send: makes the peer send what follows each text, by its number.
        receives: returns what the receiver notes of that.
    """
    rounds = 16 * LIMITS.max_message // CHUNK_SIZE
    for number in range(rounds):
        ends.peer.send_text(chunk(number))
        send(number)
    log = ends.receiver.log
    await eventually(lambda: len(log) > 1, "the first arrives")
    await ends.roundtrip()
    assert len(log) / 2 * CHUNK_SIZE <= 4 * LIMITS.max_message, "a read buffer holds less"
    while len(log) <= 2 * rounds:
        ends.connection.resume_reading()
        await asyncio.sleep(0)
    assert [str(text).split()[0] for text in log[1::2]] == [str(number) for number in range(rounds)]
    assert log[2::2] == [receives(number) for number in range(rounds)]


async def fill(ends: ConnectionEnds, *, until: int) -> int:
    """Push chunks to a peer that does not read until ``until`` bytes wait, or it is dropped; return their number."""
    ends.peer.pause_reading()
    for number in range(_MAX_CHUNKS):
        ends.push_text(chunk(number))
        await asyncio.sleep(_POLL_INTERVAL if ends.connection.buffered else 0)
        assert ends.connection.buffered < 2 * BUFFER_FILLING_SIZE, (
            "more waits than the outbox and the transport may hold"
        )
        if ends.connection.buffered >= until or ends.receiver.closes:
            return number + 1
    raise AssertionError(f"{_MAX_CHUNKS * CHUNK_SIZE} bytes were sent to a peer that does not read, and none waited")
