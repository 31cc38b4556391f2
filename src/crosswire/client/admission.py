"""Follows a connection from its opening: when is the client let in, and when has the connection held?"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

PATIENCE = 1.0
"""Seconds that a server which does not say when it lets a client in has to close the connection instead."""
LONGEST = 60.0
"""Seconds that a server which does say so has for it; then the attempt has failed."""


class Admitted(Protocol):
    """Who wants to know how a connection's beginning goes on."""

    def let_in(self) -> None:
        """The server has let the client in, or as far as can be told."""

    def held(self) -> None:
        """The connection is more than one that is accepted and closed again."""

    def left_waiting(self) -> None:
        """The server said that it would let the client in or close, and did neither."""


class Admission:
    """The beginning of one connection. Each of its owner's methods is called at most once, and none after :meth:`end`.

    Args:
        owner: told how it goes on.
        announced: whether the server has said that it will say when it lets the client in. If it has not, the first
            message or a short time without a Close counts as much.
        stable_after: seconds after which a connection that was let in has held, if no message comes before.
    """

    __slots__ = ("_announced", "_owner", "_stable_after", "_timer", "is_in")

    def __init__(self, owner: Admitted, *, announced: bool, stable_after: float) -> None:
        self._owner = owner
        self._announced = announced
        self._stable_after = stable_after
        self.is_in = False
        self._timer: asyncio.TimerHandle | None = (
            self._after(LONGEST, owner.left_waiting) if announced else self._after(PATIENCE, self.ready)
        )

    def ready(self) -> None:
        """The server says that the client is let in."""
        if self.is_in or self._timer is None:
            return
        self.is_in = True
        self.end()
        self._timer = self._after(self._stable_after, self._hold)
        self._owner.let_in()

    def heard(self) -> None:
        """A message came, other than the server's word that the client is let in."""
        if self.is_in:
            self._hold()
        elif not self._announced:
            self.ready()

    def end(self) -> None:
        """The connection is closing or gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _hold(self) -> None:
        if self._timer is not None:
            self.end()
            self._owner.held()

    def _after(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, act)
