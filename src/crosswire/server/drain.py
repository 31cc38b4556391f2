"""Ends the connections of a server that stops, and the handlers at work for them."""

from __future__ import annotations

import asyncio
from math import inf
from typing import Any

from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.runtime.workers import Workers
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.sessions import Sessions
from crosswire.server.socket import Socket
from crosswire.types import Close, CloseCode

logger = get_logger("crosswire.server")

STEP_INTERVAL = 0.05
"""Seconds between two steps of closing connections."""
CLOSING_SHARE = 0.8
"""Share of the time in which connections are closed; the rest is for the last closing handshakes."""
ENDLESS_CLOSING = 60.0
"""Seconds in which connections are closed when handlers may take as long as they want."""
MIN_TIME = 1.0
"""Seconds that closing handshakes and handlers get to end, even when no time was given."""


class Drain:
    """Closes connections spread over the time a stop is given, and waits for handlers, then cancels them.

    Args:
        sessions: the server's connections.
        tasks: where handlers and hooks run.
        workers: run the asynchronous handlers of events.
        wheel: has the timers of connections.
    """

    __slots__ = ("_sessions", "_tasks", "_wheel", "_workers")

    def __init__(self, sessions: Sessions, tasks: BackgroundTasks, workers: Workers, wheel: TimerWheel) -> None:
        self._sessions = sessions
        self._wheel = wheel
        self._tasks = tasks
        self._workers = workers

    async def spread(self, seconds: float) -> None:
        """Close connections with 1001 within ``seconds``; connections with running handlers as late as possible.

        Clients that are closed together reconnect together, to servers that have just taken over: so they are closed
        one after the other.
        """
        sessions, closing_time = self._sessions, seconds * CLOSING_SHARE if seconds < inf else ENDLESS_CLOSING
        steps, total = int(closing_time / STEP_INTERVAL), len(sessions)
        for steps_left in range(steps - 1, -1, -1):
            waiting = [session for session in sessions if session.client.is_open]
            if not waiting:
                break
            due = max(len(waiting) - total * steps_left // steps, 0)
            idle = [session for session in waiting if not session.handlers.running]
            for session in idle[:due]:
                _close(session.client)
            await asyncio.sleep(STEP_INTERVAL)

    async def close_all(self, deadline: float) -> None:
        """Close the remaining connections with 1001, and drop those that are left at ``deadline``, in loop time."""
        try:
            for session in list(self._sessions):
                _close(session.client)
            await self._sessions.wait_gone(deadline - asyncio.get_running_loop().time())
        finally:
            for session in list(self._sessions):
                session.client.abort(Close(CloseCode.GOING_AWAY, "the server stopped"))

    async def wait_for_handlers(self, deadline: float, caller: asyncio.Task[Any] | None) -> None:
        """Wait for handlers and hooks to end until ``deadline``; not for ``caller``, a task that waits for the stop."""
        await self._sessions.wait_gone(MIN_TIME)  # connections that were dropped are gone in the next turn
        await self._tasks.wait(max(deadline - asyncio.get_running_loop().time(), 0), caller)

    async def finish_teardowns(self, caller: asyncio.Task[Any] | None) -> None:
        """Cancel the handlers of connections that are gone, and run ``on_disconnect`` of each; spare ``caller``."""
        teardowns = self._sessions.teardowns
        if not teardowns:
            return
        logger.warning("handlers of %d connections were still at work and are cancelled", len(teardowns))
        self._workers.drop()
        try:
            for teardown in tuple(teardowns):
                teardown.cancel_handlers(caller)
            await self._tasks.wait(MIN_TIME, caller)
        finally:
            for teardown in tuple(teardowns):
                teardown.finish(caller)
        await self._tasks.wait(MIN_TIME, caller)

    async def cancel_handlers(self, caller: asyncio.Task[Any] | None) -> None:
        """Cancel the handlers and hooks that are still at work, but not ``caller``, and stop all timers."""
        try:
            if not await self._tasks.wait(0, caller):
                logger.warning("%d handlers were still at work and are cancelled", len(self._tasks))
                self._workers.drop()
                await self._tasks.cancel(caller)
        finally:
            self._wheel.stop()


def _close(client: ConnectedClient[Socket]) -> None:
    if client.is_open:
        client.close(CloseCode.GOING_AWAY, "the server is stopping")
