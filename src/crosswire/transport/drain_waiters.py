"""Coroutines that wait until less is buffered for one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

MAX_WATERMARK = 64 * 1024
"""Bytes of the highest low watermark that is asked of a writer; above that it resumes when it sees fit."""


class DrainWaiters:
    """Coroutines that wait for a buffer to shrink.

    Args:
        buffered: returns the bytes in the buffer.
        set_low_water_mark: requests a call of :meth:`check` once so many bytes or fewer are left; None: no more calls.
    """

    __slots__ = ("_buffered", "_set_low_water_mark", "_waiting")

    def __init__(self, buffered: Callable[[], int], set_low_water_mark: Callable[[int | None], None]) -> None:
        self._buffered = buffered
        self._set_low_water_mark = set_low_water_mark
        self._waiting: list[tuple[int, asyncio.Future[bool]]] = []

    async def wait(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes are buffered; return False if nothing more will be written."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = below, future
        self._waiting.append(waiting)
        self._set_next_mark()
        try:
            return await future
        finally:
            self._waiting.remove(waiting)
            self._set_next_mark()

    def check(self) -> None:
        """Wake the coroutines whose wait is over, as few enough bytes are buffered."""
        if not self._waiting:
            return
        buffered = self._buffered()
        for below, future in self._waiting:
            if buffered < below and not future.done():
                future.set_result(True)
        self._set_next_mark()  # what was just written might be less than fills the writer, which then would not call

    def end(self) -> None:
        """Wake all coroutines, and let them return False, as nothing more will be written."""
        for _, future in self._waiting:
            if not future.done():
                future.set_result(False)

    def _set_next_mark(self) -> None:
        marks = [below for below, future in self._waiting if not future.done()]
        self._set_low_water_mark(min(max(marks), MAX_WATERMARK) - 1 if marks else None)
