"""Fair turns of the joins of rooms that keep history, as each may send much."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable

from crosswire.runtime import environment

TURN_TIME = 0.002
"""Seconds of a turn of the event loop in which connections are let into rooms. What has begun is done to its end."""


class JoinTurns:
    """Queue of joins, of which each turn of the event loop does as many as its time allows.

    When a server has just started, all clients come back at once; other clients are served between two turns.
    """

    __slots__ = ("_is_scheduled", "_spent", "_waiting")

    def __init__(self) -> None:
        self._waiting: deque[tuple[Callable[[], None], asyncio.Future[None]]] = deque()
        self._is_scheduled = False
        self._spent = 0.0  # seconds of this turn

    def __len__(self) -> int:
        return len(self._waiting)

    async def run(self, join: Callable[[], None]) -> None:
        """Call a function that lets connections into a room: now, or in its turn, unless the caller is cancelled."""
        if not self._waiting and self._spent < TURN_TIME:
            self._run(join)
            self._schedule()  # the next turn begins there
            return
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting.append((join, done))
        self._schedule()
        await done

    def _run(self, join: Callable[[], None]) -> None:
        began = environment.perf_counter()
        try:
            join()
        finally:
            self._spent += environment.perf_counter() - began

    def _schedule(self) -> None:
        if not self._is_scheduled:
            self._is_scheduled = True
            asyncio.get_running_loop().call_soon(self._serve)

    def _serve(self) -> None:
        self._is_scheduled, self._spent = False, 0.0
        waiting = self._waiting
        while waiting and self._spent < TURN_TIME:
            join, done = waiting.popleft()
            if done.done():  # its caller was cancelled
                continue
            try:
                self._run(join)
            except Exception as error:  # noqa: BLE001 - it is raised where the join waits
                done.set_exception(error)
            else:
                done.set_result(None)
        if waiting:
            self._schedule()
