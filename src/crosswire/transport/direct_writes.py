"""Writes the frames of a fan-out straight to the sockets of its recipients."""

from __future__ import annotations

import os
from collections.abc import Iterable

from crosswire.core.formats import AnyOutbox
from crosswire.runtime.flusher import Flusher


class DirectWrites:
    """Writes of a fan-out at the end of a turn, past the outboxes of its recipients.

    Most recipients have nothing else to send, and a kernel that takes what is written: their outboxes would be filled
    only to be emptied at once. Besides the write itself, such a delivery costs above all the look at the objects of its
    connection, as the kernel has used the processor's caches for its own since the last one. So no more of them are
    looked at here than the outbox and the number of the socket, and no function is called but the write.

    Args:
        flusher: knows when the turn ends; until then frames are queued, to leave in one write.
    """

    __slots__ = ("_flusher",)

    def __init__(self, flusher: Flusher) -> None:
        self._flusher = flusher

    def push_all(self, frames: bytes, outboxes: Iterable[AnyOutbox]) -> None:
        """Send the same frames on many connections."""
        if not self._flusher.ending:
            for outbox in outboxes:
                outbox.push(frames)
            return
        size, write = len(frames), os.write
        for outbox in outboxes:
            if (fd := outbox.fd) < 0:
                outbox.push(frames)
                continue
            try:
                sent = write(fd, frames)
            except OSError:  # the kernel is full, or the peer gone: the outbox finds out, as it does for others
                sent = 0
            if sent != size:
                outbox.push(frames[sent:])
