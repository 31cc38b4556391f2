"""Lets uvicorn parse so little of a connection in a turn of the event loop that the turn is not long."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire.runtime import environment
from crosswire.transport.read_turns import QUANTUM

FAST_READ = 256
"""Bytes of a read that can't be much work."""
MIN_PIECE = 64
"""Bytes that are parsed in a turn at least."""
FIRST_PIECE = 512
"""Bytes of the first piece, when nothing is known about the messages."""
MAX_PIECE = 4 * 1024
"""Bytes that are parsed in a turn at most: as Pings, uvicorn needs 30 ms for them."""


class UvicornReader(asyncio.BufferedProtocol):
    """Protocol between the event loop's transport and a protocol of uvicorn, which parses all that it is given.

    After one piece in a turn, the event loop gets room for a single byte: it would read on as long as it can fill a
    buffer. uvicorn pauses reading by itself, so this must not.

    Args:
        protocol: of uvicorn.
    """

    __slots__ = ("_buffer", "_has_read", "_piece", "_protocol")

    def __init__(self, protocol: Any) -> None:
        self._protocol = protocol
        self._buffer = memoryview(bytearray(MAX_PIECE))
        self._piece = FIRST_PIECE
        self._has_read = False  # whether this turn has had its piece

    def get_buffer(self, sizehint: int) -> memoryview:  # pyright: ignore[reportIncompatibleMethodOverride]
        """Return room for the piece of this turn, or for a byte after it."""
        return self._buffer[: 1 if self._has_read else self._piece]

    def buffer_updated(self, nbytes: int) -> None:
        """Let uvicorn parse a piece, and choose the size of the next by the time that takes."""
        data = bytes(self._buffer[:nbytes])
        is_full = nbytes == self._piece
        if self._has_read or (nbytes <= FAST_READ and not is_full):
            self._protocol.data_received(data)
            return
        if is_full:  # the event loop will read on at once
            self._has_read = True
            asyncio.get_running_loop().call_soon(self._begin_turn)
        began = environment.perf_counter()
        self._protocol.data_received(data)
        if environment.perf_counter() - began > QUANTUM:
            self._piece = max(self._piece // 2, MIN_PIECE)
        elif is_full:
            self._piece = min(self._piece * 2, MAX_PIECE)

    def eof_received(self) -> bool | None:
        """Pass the end of what the client sends on."""
        keeps_open: bool | None = self._protocol.eof_received()
        return keeps_open

    def connection_lost(self, exc: Exception | None) -> None:
        """Pass the end of the connection on."""
        self._protocol.connection_lost(exc)

    def pause_writing(self) -> None:
        """Let uvicorn hold back what it sends."""
        self._protocol.pause_writing()

    def resume_writing(self) -> None:
        """Let uvicorn send what it has held back."""
        self._protocol.resume_writing()

    def _begin_turn(self) -> None:
        self._has_read = False
