"""Ends the connections of a server that stops, spread over the time it is given."""

from __future__ import annotations

import asyncio
import logging

from crosswire.server.context import Context
from crosswire.server.departure import Departure
from crosswire.server.socket import Socket
from crosswire.types import Close, CloseCode

logger = logging.getLogger("crosswire.server")

_STEP = 0.05
_CLOSING = 0.8
"""The share of the time in which connections are closed; the rest is for the last closing handshakes."""
GRACE = 1.0
"""Seconds that handshakes and handlers get even when no time was given, to end well what can end at once."""


async def drain(context: Context, seconds: float) -> None:
    """Close all connections with 1001 within ``seconds``, those with handlers at work as late as possible.

    Clients that are all told at once come back all at once, to servers that just took over: so they are told one
    after the other.
    """
    deadline = context.clock() + max(seconds, GRACE)
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
    for session in list(context.sessions):
        _send_away(session.socket)
    await context.sessions.wait_gone(deadline - context.clock())
    for session in list(context.sessions):
        session.socket.abort(Close(CloseCode.GOING_AWAY, "the server stopped"))
    await context.sessions.wait_gone(GRACE)  # which they are in the next turn


async def end_handlers(context: Context, seconds: float) -> None:
    """Wait up to ``seconds`` for handlers and hooks, and cancel those that are still at work; none is left behind.

    Handlers of connections are cancelled first, so that ``on_disconnect`` of each still has its turn.
    """
    if await context.tasks.wait(seconds):
        return
    logger.warning("%d handlers were still at work and are cancelled", len(context.tasks))
    context.workers.drop()
    for end in (Departure.hurry, Departure.end):
        if departing := tuple(context.sessions.departing):
            for departure in departing:
                end(departure)
            await context.tasks.wait(GRACE)
    await context.tasks.cancel()


def _send_away(socket: Socket) -> None:
    if socket.is_open:
        socket.close(CloseCode.GOING_AWAY, "the server is stopping")
