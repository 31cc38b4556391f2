"""Where the calls of an application must come from: the thread of the event loop, while it runs."""

from __future__ import annotations

import asyncio
from _thread import get_ident

from crosswire.errors import UsageError

__all__ = ["foreign_thread", "get_ident", "running_loop"]

_INSTEAD = (
    "hand it over with loop.call_soon_threadsafe(function, *arguments), or what is awaited with "
    "asyncio.run_coroutine_threadsafe(coroutine, loop), where loop is what asyncio.get_running_loop() gives there"
)


def foreign_thread(whose: str) -> UsageError:
    """Return what to raise in a thread that is not the one of the event loop.

    Whoever checks compares :func:`get_ident` with what it was at the start: so a thread is found out that has an event
    loop of its own, too, and it costs no system call.

    Args:
        whose: what belongs to the other loop, as in "server 'chat'".
    """
    return UsageError(f"{whose} belongs to the event loop of another thread, and this call would harm it: {_INSTEAD}")


def running_loop() -> asyncio.AbstractEventLoop:
    """Return the running event loop.

    Raises:
        UsageError: there is none here.
    """
    try:
        return asyncio.get_running_loop()
    except RuntimeError:
        raise UsageError(f"no event loop runs in this thread, so nothing can be sent from it: {_INSTEAD}") from None
