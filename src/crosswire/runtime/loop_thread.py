"""Notices calls from another thread than the event loop's."""

from __future__ import annotations

import asyncio
from _thread import get_ident

from crosswire.errors import UsageError

__all__ = ["WrongThread", "get_ident", "running_loop", "wrong_thread"]

_INSTEAD = (
    "hand it over with loop.call_soon_threadsafe(function, *arguments), or what is awaited with "
    "asyncio.run_coroutine_threadsafe(coroutine, loop), where loop is what asyncio.get_running_loop() gives there; "
    "only send, send_raw, publish and a socket's close work in any thread"
)


class WrongThread(UsageError):
    """A call from another thread than the event loop's. What can be handed over to the loop, such as a ``send``, is."""


def wrong_thread(whose: str) -> WrongThread:
    """Return the error to raise in a thread that is not the event loop's.

    Callers compare :func:`get_ident` with its value at the start. This also detects a thread that has an event loop
    of its own, and needs no system call.

    Args:
        whose: the object that belongs to the other loop, as in "server 'chat'".
    """
    return WrongThread(f"{whose} belongs to the event loop of another thread, so it must not be used here: {_INSTEAD}")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        UsageError: no event loop runs in this thread.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(f"no event loop runs in this thread, so nothing can be sent from it: {_INSTEAD}") from None
