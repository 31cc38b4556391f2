"""Gives back the read buffers that large messages have left."""

from __future__ import annotations

import asyncio
from typing import Protocol

SHRINK_INTERVAL = 1.0
"""Seconds after which a large buffer is given back, if it is not in use."""


class GrownReader(Protocol):
    """Reader of a connection whose buffer has grown."""

    def shrink(self) -> bool:
        """Give the buffer back if it is not in use; return whether that is done."""
        ...


class GrownBuffers:
    """The connections of a listener whose read buffers have grown; one timer serves all."""

    __slots__ = ("_readers", "_timer")

    def __init__(self) -> None:
        self._readers: dict[GrownReader, None] = {}
        self._timer: asyncio.TimerHandle | None = None

    def __len__(self) -> int:
        return len(self._readers)

    def add(self, reader: GrownReader) -> None:
        """Shrink a connection's buffer when it is no longer in use; may be called again."""
        self._readers[reader] = None
        if self._timer is None:
            self._timer = asyncio.get_running_loop().call_later(SHRINK_INTERVAL, self._shrink)

    def discard(self, reader: GrownReader) -> None:
        """Forget a connection, as it is gone; it need not be among them."""
        self._readers.pop(reader, None)

    def _shrink(self) -> None:
        self._timer = None
        for reader in list(self._readers):
            if reader.shrink():
                del self._readers[reader]
        if self._readers:
            self._timer = asyncio.get_running_loop().call_later(SHRINK_INTERVAL, self._shrink)
