"""The event loop that a client is connected in, and belongs to for so long."""

from __future__ import annotations

import asyncio

from crosswire.errors import UsageError
from crosswire.runtime.home import foreign_thread, get_ident, running_loop


class Home:
    """Where a client may be used, while it is connected or tries to be."""

    __slots__ = ("_loop", "_thread")

    def __init__(self) -> None:
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread = 0

    def enter(self) -> None:
        """From now on it belongs to the running event loop.

        Raises:
            UsageError: none runs here.
        """
        self._loop, self._thread = running_loop(), get_ident()

    def leave(self) -> None:
        """It belongs to none."""
        self._loop = None

    def require_thread(self) -> None:
        """Refuse to send from another thread, or when the event loop is closed.

        Raises:
            UsageError: it is so; the text says what to do.
        """
        if self._loop is None:
            return
        if self._loop.is_closed():
            raise UsageError(
                "the event loop in which this client was connected has ended without `await client.close()`, so it "
                "can't be used any more: make another one, and let `async with client:` close it"
            )
        if get_ident() != self._thread:
            raise foreign_thread("the client")

    def require_loop(self) -> None:
        """Refuse to wait for something in another event loop.

        Raises:
            UsageError: this is another one; the text says what to do.
        """
        self.require_thread()
        if self._loop is not None and self._loop is not running_loop():
            raise UsageError(
                "this client was connected in another event loop, which does not run now: use it there, close it there "
                "before it is connected here, or make another one"
            )
