"""The two directions between a connection in memory and its peer, with the back-pressure of a network."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from crosswire.core.frames import Opcode
from crosswire.transport.inbox import MakeInbox

WINDOW = 64 * 1024
"""Bytes on their way that do not count as waiting: what a network and a kernel would hold."""


class MemoryTransportEvents(Protocol):
    """Callbacks of a transport in memory, as of an ``asyncio.Protocol``."""

    def frame_received(self, opcode: Opcode, payload: bytes) -> None:
        """Take a whole message or a control frame."""

    def pause_writing(self) -> None:
        """Hold back bytes, as the peer does not read."""

    def resume_writing(self) -> None:
        """Write again: the peer has read."""

    def connection_lost(self) -> None:
        """Note that the transport is closed, by either side; called once, in a turn of its own."""


class MemoryTransport:
    """Transport of one connection in memory; a ``Writer`` and a ``ClosableTransport``.

    Attributes:
        inbox: the peer's.
        writes: how often something was written to the peer.
    """

    __slots__ = ("_events", "_full", "_hanging_up", "_held", "_lost", "_low", "_reading", "_written", "inbox", "writes")

    def __init__(self, events: MemoryTransportEvents, make_inbox: MakeInbox) -> None:
        self._events = events
        self.inbox = make_inbox(self.receive, self._peer_has_read)
        self.writes = 0
        self._written = 0
        self._full = False
        self._low = 0
        self._held: deque[tuple[Opcode, bytes]] | None = None  # what arrived while reading was paused
        self._reading = True
        self._hanging_up = False
        self._lost = False

    # Writer

    @property
    def waiting(self) -> int:
        return max(self.inbox.unread - WINDOW, 0)

    @property
    def taken(self) -> int:
        return self._written - self.inbox.unread

    def write_frames(self, data: bytes) -> None:
        self.writes += 1
        self._written += len(data)
        self.inbox.feed(data)
        self._pause_if_full()

    def set_low_water_mark(self, low: int | None) -> None:
        self._low = low or 0
        self._pause_if_full()

    def _pause_if_full(self) -> None:
        if self.waiting > self._low:
            self._full = True
            self._events.pause_writing()

    def _peer_has_read(self) -> None:
        if self._lost:
            return
        if self._full and self.waiting <= self._low:
            self._full = False
            self._events.resume_writing()
        if self._hanging_up and not self.waiting:
            self.abort()

    # What the peer sends

    def receive(self, opcode: Opcode, payload: bytes) -> None:
        """Take a whole message or a control frame, or keep it while reading is paused."""
        if self._held is None:
            self._receive(opcode, payload)
        else:
            self._held.append((opcode, payload))

    def _receive(self, opcode: Opcode, payload: bytes) -> None:
        if not self._lost and not self._hanging_up:
            self._events.frame_received(opcode, payload)

    def pause_reading(self) -> None:
        """Keep what the peer sends from now on."""
        if self._reading:
            self._reading = False
            self._held = self._held or deque()

    def resume_reading(self) -> None:
        if not self._reading:
            self._reading = True
            asyncio.get_running_loop().call_soon(self._read_on)

    def _read_on(self) -> None:
        while self._reading and self._held:
            self._receive(*self._held.popleft())
        if self._reading:
            self._held = None

    # ClosableTransport

    def hang_up(self) -> None:
        self._hanging_up = True
        if not self.waiting:
            self.abort()

    def half_close(self) -> None:
        self.hang_up()  # which also discards what the peer sends

    def abort(self) -> None:
        if not self._lost:
            self._lost = True
            self.inbox.end()
            asyncio.get_running_loop().call_soon(self._events.connection_lost)
