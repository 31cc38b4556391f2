"""Calls that other threads hand over to the event loop."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable
from contextvars import Context, copy_context
from functools import partial
from threading import Condition
from typing import Any

from crosswire.errors import BusUnavailable, NotConnected
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

logger = get_logger("crosswire.threads")

MAX_WAITING = 1000
"""Number of calls that may wait for the event loop."""
MAX_BYTES = 16 * 1024 * 1024
"""Bytes of messages that may wait for the event loop."""
ROOM_TIMEOUT = 5.0
"""Seconds that a thread waits until there is room for one more call."""


class ThreadCalls:
    """Calls of other threads, which the event loop makes in the order in which they were handed over.

    They all leave in the turn of the event loop that the first of them asks for. So what a thread hands over before it
    returns to a coroutine that awaits it is done before that coroutine goes on. While too many wait, a thread that
    hands over one more waits for room.

    Args:
        max_waiting: number of calls that may wait.
        max_bytes: bytes of the messages of these calls.
        timeout: seconds that a thread waits for room.

    Attributes:
        lost: number of calls that failed since :meth:`open`.
    """

    def __init__(
        self, *, max_waiting: int = MAX_WAITING, max_bytes: int = MAX_BYTES, timeout: float = ROOM_TIMEOUT
    ) -> None:
        self._max_waiting = max_waiting
        self._max_bytes = max_bytes
        self._timeout = timeout
        self._changed = Condition()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._context = Context()
        self._waiting: deque[Callable[[], object]] = deque()
        self._bytes = 0
        self._scheduled = False
        self._warnings = ThrottledWarnings(logger)
        self.lost = 0

    def open(self) -> None:
        """Take calls from now on, for the running event loop."""
        with self._changed:
            self._loop, self._context = asyncio.get_running_loop(), copy_context()
            self.lost = 0

    def close(self) -> None:
        """Make the calls that wait, and take no more; to be called in the event loop."""
        with self._changed:
            self._loop = None
            self._changed.notify_all()
        self._make_calls()

    def hand_over(self, size: int, function: Callable[..., object], *arguments: Any, **keywords: Any) -> None:
        """Call a function in the event loop, without waiting for it. Its error is logged.

        Args:
            size: bytes of its message.
            function: the function.
            arguments: for it.
            keywords: for it, too.

        Raises:
            NotConnected: what the event loop runs is stopped.
            BusUnavailable: the event loop makes no calls, and too many wait already.
        """
        with self._changed:
            if not self._changed.wait_for(partial(self._has_room, size), self._timeout):
                raise BusUnavailable(
                    f"the event loop has not taken messages of other threads for {self._timeout:g} s, and "
                    f"{len(self._waiting)} wait already: something holds the loop"
                )
            if self._loop is None:
                raise NotConnected("nothing can be sent any more: what would send it was stopped")
            if not self._scheduled:
                try:
                    self._loop.call_soon_threadsafe(self._make_calls, context=self._context)
                except RuntimeError as error:
                    raise NotConnected(f"the event loop has ended without a stop: {error}") from error
                self._scheduled = True
            self._waiting.append(partial(function, *arguments, **keywords))
            self._bytes += size

    def _has_room(self, size: int) -> bool:
        if self._loop is None or not self._waiting:
            return True
        return len(self._waiting) < self._max_waiting and self._bytes + size <= self._max_bytes

    def _make_calls(self) -> None:
        with self._changed:
            calls, self._waiting = self._waiting, deque()
            self._bytes, self._scheduled = 0, False
            self._changed.notify_all()
        for call in calls:
            try:
                call()
            except BusUnavailable as error:
                self.lost += 1
                self._warnings.warn("lost", "a message that another thread has sent is lost: %s", error)
            except Exception:
                self.lost += 1
                logger.exception("what another thread has sent failed")
