"""Binds a client to the event loop and thread that it is used in."""

from __future__ import annotations

import asyncio

from crosswire.errors import UsageError
from crosswire.runtime.loop_thread import get_ident, running_loop, wrong_thread


class LoopBinding:
    """The event loop that a client belongs to while it is connected or tries to be."""

    __slots__ = ("_loop", "_thread")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def bind(self) -> None:
        """Bind the client to the running event loop.

        Raises:
            UsageError: no event loop runs here.
        """
        self._loop, self._thread = running_loop(), get_ident()

    def release(self) -> None:
        """Bind the client to no event loop."""
        self._loop = None

    def require_thread(self) -> None:
        """Refuse a call from another thread, or after the event loop was closed.

        Raises:
            UsageError: the call is refused; the text says what to do.
        """
        if self._loop is None:
            return
        if self._loop.is_closed():
            raise UsageError(
                "the event loop in which this client was connected has ended without `await client.close()`, so it "
                "can't be used any more: make another one, and let `async with client:` close it"
            )
        if get_ident() != self._thread:
            raise wrong_thread("the client")

    def require_loop(self) -> None:
        """Refuse a call that is awaited in another event loop.

        Raises:
            UsageError: the call is refused; the text says what to do.
        """
        self.require_thread()
        if self._loop is not None and self._loop is not running_loop():
            raise UsageError(
                "this client was connected in another event loop, which does not run now: use it there, close it there "
                "before it is connected here, or make another one"
            )
