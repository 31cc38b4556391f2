"""The receiving side of a peer, for transports in memory and for tests: frames in, messages out."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from typing import Protocol

from crosswire.core.deflate import decompress
from crosswire.core.frame_reader import Frame, FrameReader
from crosswire.core.frames import Opcode, close_payload
from crosswire.errors import NotConnected
from crosswire.types import Close, CloseCode

CAPACITY = 64 * 1024
"""Bytes of events that may wait for :meth:`Inbox.receive` before reading stops; one event is always taken."""

EVENT_OVERHEAD = 64
"""Bytes that an event counts besides its payload: empty messages are not free."""
MAX_DECOMPRESSED = 64 * 1024 * 1024
"""Bytes of the largest message after decompression."""


@dataclass(frozen=True, slots=True)
class Ping:
    """Ping that a peer received and answered."""

    payload: bytes


@dataclass(frozen=True, slots=True)
class Pong:
    """Pong that a peer received."""

    payload: bytes


PeerEvent = str | bytes | Ping | Pong | Close
"""Message, Ping or Pong that a peer receives, and at the end a Close."""


class PeerInbox(Protocol):
    """Receiving side of a peer, as a transport in memory feeds it."""

    @property
    def unread(self) -> int:
        """Bytes that have arrived, or are on their way, and have not been parsed."""
        ...

    def feed(self, data: bytes) -> None:
        """Add bytes that the server sent."""

    def end(self) -> None:
        """Note that the connection is gone."""


Answer = Callable[[Opcode, bytes], None]
"""Sends a frame to the server."""
MakeInbox = Callable[[Answer, Callable[[], None]], PeerInbox]
"""Makes the receiving side of a peer from what sends its answers, and what is called when it has parsed bytes."""


class Inbox:
    """Inbox of a peer: parses what the server sent, a turn of the loop later, and answers Pings and the Close.

    It stops parsing when it is paused, and while too much waits for :meth:`receive`. Then bytes wait in it unread, and
    the transport has to hold the server back.

    Args:
        answer: sends the Pong or the Close that answers one.
        drained: called after some of the waiting bytes were parsed.
    """

    __slots__ = (
        "_answer",
        "_closed",
        "_drained",
        "_ended",
        "_events",
        "_finished",
        "_frames",
        "_held",
        "_paused",
        "_scheduled",
    )

    def __init__(self, answer: Answer, drained: Callable[[], None]) -> None:
        self._answer = answer
        self._drained = drained
        self._frames = FrameReader()
        self._events: asyncio.Queue[PeerEvent | None] = asyncio.Queue()  # None is the last one
        self._held = 0
        self._paused = False
        self._scheduled = False
        self._closed = False  # whether a Close has arrived
        self._ended = False  # whether nothing more arrives
        self._finished = False  # whether all that arrived has been parsed

    @property
    def unread(self) -> int:
        """Bytes that have arrived and have not been parsed."""
        return self._frames.unread

    @property
    def reading(self) -> bool:
        """Whether what arrives is parsed."""
        return not self._paused and self._held < CAPACITY

    def feed(self, data: bytes) -> None:
        """Add bytes that the server sent."""
        if not self._ended:
            self._frames.feed(data)
            self._wake()

    def end(self) -> None:
        """Note that the connection is gone; what arrived before can still be received."""
        self._ended = True
        self._wake()

    def pause(self) -> None:
        """Stop parsing the bytes that arrive."""
        self._paused = True

    def resume(self) -> None:
        """Parse what has arrived, and what arrives."""
        self._paused = False
        self._wake()

    async def receive(self, *, timeout: float = 5) -> PeerEvent:
        """Return the next event; the last one is a Close, with 1006 if the connection was lost without any.

        Raises:
            TimeoutError: there was none within ``timeout`` seconds.
            NotConnected: the connection is gone, and all that arrived on it has been received.
        """
        async with asyncio.timeout(timeout):
            event = await self._events.get()
        if event is None:
            self._events.put_nowait(None)  # for the next call
            raise NotConnected("the connection is gone, and all that arrived on it was received")
        self._held -= _size(event)
        self._wake()
        return event

    def _wake(self) -> None:
        # In a turn of its own, as on a network: a server must not be answered while it sends.
        if not self._scheduled:
            self._scheduled = True
            asyncio.get_running_loop().call_soon(self._read)

    def _read(self) -> None:
        self._scheduled = False
        while self.reading and not self._finished:
            frame = self._frames.next()
            if frame is not None:
                self._take(frame)
            elif self._ended:
                self._finish()
            else:
                break
        self._drained()

    def _take(self, frame: Frame) -> None:
        payload = decompress(frame.payload, MAX_DECOMPRESSED) if frame.rsv1 else frame.payload
        if frame.opcode is Opcode.TEXT:
            self._put(payload.decode())
        elif frame.opcode is Opcode.PING:
            self._answer(Opcode.PONG, payload)
            self._put(Ping(payload))
        elif frame.opcode is Opcode.PONG:
            self._put(Pong(payload))
        elif frame.opcode is Opcode.CLOSE:
            self._answer(Opcode.CLOSE, close_payload(int.from_bytes(payload[:2], "big")) if payload else b"")
            self._closed = True
            self._put(parse_close(payload))
        else:
            self._put(payload)

    def _put(self, event: PeerEvent) -> None:
        self._held += _size(event)
        self._events.put_nowait(event)

    def _finish(self) -> None:
        self._finished = True
        if not self._closed:
            self._put(Close(CloseCode.ABNORMAL, "the connection was lost"))
        self._events.put_nowait(None)


def parse_close(payload: bytes) -> Close:
    """Return code and reason of a Close frame; code 1005 if it is empty."""
    if not payload:
        return Close(CloseCode.NO_STATUS)
    return Close(int.from_bytes(payload[:2], "big"), payload[2:].decode())


def _size(event: PeerEvent) -> int:
    if isinstance(event, str | bytes):
        return EVENT_OVERHEAD + len(event)
    return EVENT_OVERHEAD if isinstance(event, Close) else EVENT_OVERHEAD + len(event.payload)
