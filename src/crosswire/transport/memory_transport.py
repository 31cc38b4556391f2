"""The two directions between a connection in memory and its peer, with the back-pressure of a network."""

from __future__ import annotations

import asyncio
from collections import deque
from typing import Protocol

from crosswire.core.frames import Opcode
from crosswire.runtime import environment
from crosswire.transport.inbox import MakeInbox
from crosswire.transport.read_rate import ReadRate
from crosswire.transport.read_turns import QUANTUM

WINDOW = 64 * 1024
"""Bytes on their way that do not count as waiting: what a network and a kernel would hold."""

BATCH = 100
"""Messages that waited, and are received in one turn of the event loop."""


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

    Args:
        events: callbacks.
        make_inbox: makes the peer's inbox.
        rate: of the messages that the peer may send, or None if there is no limit.

    Attributes:
        inbox: the peer's.
        is_held_back: whether messages wait because the peer is over its rate.
        writes: how often something was written to the peer.
    """

    __slots__ = (
        "_events",
        "_full",
        "_hanging_up",
        "_held",
        "_lost",
        "_low",
        "_rate",
        "_reading",
        "_written",
        "inbox",
        "is_held_back",
        "writes",
    )

    def __init__(self, events: MemoryTransportEvents, make_inbox: MakeInbox, rate: ReadRate | None = None) -> None:
        self._events = events
        self._rate = rate
        self.is_held_back = False
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
        if self._lost or self._hanging_up:
            return
        self._events.frame_received(opcode, payload)
        if self._rate is not None and (delay := self._rate.admit_message(len(payload))):
            self.is_held_back = True
            self._held = self._held or deque()
            asyncio.get_running_loop().call_later(delay, self._waited)

    def _waited(self) -> None:
        self.is_held_back = False
        if self._reading:
            self._read_on()

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
        deadline = environment.perf_counter() + QUANTUM
        for _ in range(BATCH):
            if not self._may_read_on() or environment.perf_counter() >= deadline:
                break
            assert self._held is not None
            self._receive(*self._held.popleft())
        if self.is_held_back:
            return
        if self._may_read_on():
            asyncio.get_running_loop().call_soon(self._read_on)
        elif self._reading:
            self._held = None

    def _may_read_on(self) -> bool:
        return bool(self._held) and self._reading and not self.is_held_back

    # ClosableTransport

    def hang_up(self) -> bool:
        self._hanging_up = True
        if self.waiting:
            return False
        self.abort()
        return True

    def half_close(self) -> None:
        self.hang_up()  # which also discards what the peer sends

    def abort(self) -> None:
        if not self._lost:
            self._lost = True
            self.inbox.end()
            asyncio.get_running_loop().call_soon(self._events.connection_lost)
