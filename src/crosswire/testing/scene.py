"""What the tests of the contract suite for transports begin with: a connection, and a peer that does not read."""

from __future__ import annotations

import asyncio
from typing import cast

from crosswire.core.formats import frame_format, message_format
from crosswire.core.frames import Opcode
from crosswire.core.limits import Limits
from crosswire.testing.recorder import FramePeer, Harness, Peer, Recorder, eventually
from crosswire.types import Close

LIMITS = Limits(max_message=256 * 1024, outbox=128 * 1024, close_timeout=5)
CHUNK = 16 * 1024
MUCH = 768 * 1024  # bytes; more than an event loop's own transport takes before it asks to wait: 512 KiB, over TLS
ROOMY = Limits(outbox=4 * MUCH)
_MOSTCHUNKS = 4096  # more than any kernel holds for a peer that does not read
_PAUSE = 0.001


class Scene:
    """A connection that is open at both ends."""

    def __init__(self, peer: Peer, receiver: Recorder, harness: Harness) -> None:
        self.peer = peer
        self.receiver = receiver
        self.connection = receiver.connection
        self.harness = harness
        framed = self.connection.framed
        self._format = frame_format(msgpack=False, deflate=False) if framed else message_format(msgpack=False)

    @property
    def frame_peer(self) -> FramePeer:
        """The peer, where the transport carries frames."""
        return cast(FramePeer, self.peer)

    def push_text(self, text: str) -> None:
        """Push a text message to the peer."""
        self.connection.push(self._format.raw(Opcode.TEXT, text.encode()))

    def push_binary(self, data: bytes) -> None:
        """Push a binary message to the peer."""
        self.connection.push(self._format.raw(Opcode.BINARY, data))

    async def ended(self) -> Close:
        """Wait for the server's end of it; return how the receiver was told."""
        await eventually(lambda: self.receiver.closes, "the receiver is told of the end")
        return self.receiver.closes[0]

    async def roundtrip(self) -> None:
        """Let the server say something that the peer receives: what the peer sent before would have arrived by now."""
        self.push_text("roundtrip")
        assert await self.peer.receive() == "roundtrip"


def chunk(number: int) -> str:
    """Return a text that can be told from others, and takes room."""
    return f"{number} ".ljust(CHUNK)


async def fill(scene: Scene, *, until: int) -> int:
    """Push to a peer that does not read until so many bytes wait, or it is dropped; return how often."""
    scene.peer.pause_reading()
    for number in range(_MOSTCHUNKS):
        scene.push_text(chunk(number))
        await asyncio.sleep(_PAUSE if scene.connection.buffered else 0)
        assert scene.connection.buffered < 2 * MUCH, "more waits than the outbox and the transport may hold"
        if scene.connection.buffered >= until or scene.receiver.closes:
            return number + 1
    raise AssertionError(f"{_MOSTCHUNKS * CHUNK} bytes were sent to a peer that does not read, and none waited")
