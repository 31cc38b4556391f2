"""Who waits until less is buffered for one connection."""

from __future__ import annotations

import asyncio
from collections.abc import Callable

_MOST = 64 * 1024
"""Bytes below which a writer is asked to tell: above that it has reasons of its own for when it wants more."""


class DrainWaiters:
    """Waits for a buffer to shrink.

    Args:
        buffered: tells how many bytes are in it.
        watch: asks to call :meth:`check` once so many bytes or fewer are left to write; None: not any more.
    """

    __slots__ = ("_buffered", "_waiting", "_watch")

    def __init__(self, buffered: Callable[[], int], watch: Callable[[int | None], None]) -> None:
        self._buffered = buffered
        self._watch = watch
        self._waiting: list[tuple[int, asyncio.Future[bool]]] = []

    async def wait(self, below: int) -> bool:
        """Wait until fewer than ``below`` bytes are in it; False if nothing more is to be written."""
        future: asyncio.Future[bool] = asyncio.get_running_loop().create_future()
        waiting = below, future
        self._waiting.append(waiting)
        self._watch_for_next()
        try:
            return await future
        finally:
            self._waiting.remove(waiting)
            self._watch_for_next()

    def check(self) -> None:
        """Look who has waited long enough: it may have shrunk."""
        buffered = self._buffered()
        for below, future in self._waiting:
            if buffered < below and not future.done():
                future.set_result(True)

    def end(self) -> None:
        """Nothing more is to be written."""
        for _, future in self._waiting:
            if not future.done():
                future.set_result(False)

    def _watch_for_next(self) -> None:
        marks = [below for below, future in self._waiting if not future.done()]
        self._watch(min(max(marks), _MOST) - 1 if marks else None)
