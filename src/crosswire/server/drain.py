"""Ends the connections of a server that stops, spread over the time it is given."""

from __future__ import annotations

import asyncio
import logging
from typing import Any

from crosswire.server.context import Context
from crosswire.server.socket import Socket
from crosswire.types import Close, CloseCode

logger = logging.getLogger("crosswire.server")

_STEP = 0.05
_CLOSING = 0.8
"""The share of the time in which connections are closed; the rest is for the last closing handshakes."""
GRACE = 1.0
"""Seconds that handshakes and handlers get even when no time was given, to end well what can end at once."""


async def spread(context: Context, seconds: float) -> None:
    """Close connections with 1001 within ``seconds``, those with handlers at work as late as possible.

    Clients that are all told at once come back all at once, to servers that just took over: so they are told one
    after the other.
    """
    steps, total = int(seconds * _CLOSING / _STEP), len(context.sessions)
    for steps_left in range(steps - 1, -1, -1):
        waiting = [session for session in context.sessions if session.socket.is_open]
        if not waiting:
            break
        due = max(len(waiting) - total * steps_left // steps, 0)
        idle = [session for session in waiting if not session.work.running]
        for session in idle[:due]:
            _send_away(session.socket)
        await asyncio.sleep(_STEP)


async def send_all_away(context: Context, deadline: float) -> None:
    """Close what is left with 1001, and drop what has not gone at ``deadline`` of the context's clock."""
    try:
        for session in list(context.sessions):
            _send_away(session.socket)
        await context.sessions.wait_gone(deadline - context.clock())
    finally:
        for session in list(context.sessions):
            session.socket.abort(Close(CloseCode.GOING_AWAY, "the server stopped"))


async def take_leave(context: Context, caller: asyncio.Task[Any] | None) -> None:
    """Cancel the handlers of connections that are gone, and let ``on_disconnect`` of each run.

    Args:
        context: of the server.
        caller: a task that waits for this, and is left alone.
    """
    if not context.sessions.departing:
        return
    logger.warning("handlers of %d connections were still at work and are cancelled", len(context.sessions.departing))
    context.workers.drop()
    try:
        for departure in tuple(context.sessions.departing):
            departure.hurry(caller)
        await context.tasks.wait(GRACE, caller)
    finally:
        for departure in tuple(context.sessions.departing):
            departure.end(caller)
    await context.tasks.wait(GRACE, caller)


def _send_away(socket: Socket) -> None:
    if socket.is_open:
        socket.close(CloseCode.GOING_AWAY, "the server is stopping")
