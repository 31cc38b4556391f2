"""Follows a new connection until the server has let the client in, and the connection is stable."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Protocol

ASSUME_READY_AFTER = 1.0
"""Seconds without a close after which a server that announces nothing counts as having let the client in."""
READY_TIMEOUT = 60.0
"""Seconds for a server that announces ``$ready`` to let the client in or to close; then the attempt has failed."""


class AdmissionEvents(Protocol):
    """Callbacks for the steps of a connection's admission."""

    def let_in(self) -> None:
        """Note that the server has let the client in, or probably has."""

    def stable(self) -> None:
        """Note that the connection is stable: it has lasted for a while, or a message came after ``let_in``."""

    def admission_timed_out(self) -> None:
        """End the connection: the server neither let the client in nor closed in time."""


class Admission:
    """The admission of a client on one connection.

    Each of its owner's callbacks is called at most once, and none after :meth:`stop`.

    Args:
        owner: callbacks.
        announced: whether the server has said that it sends ``$ready`` when it lets the client in. If not, its first
            message counts as that, or a short time without a close.
        stable_after: seconds after which a connection that was let in is stable, if no message comes before.
    """

    __slots__ = ("_announced", "_owner", "_stable_after", "_timer", "is_ready")

    def __init__(self, owner: AdmissionEvents, *, announced: bool, stable_after: float) -> None:
        self._owner = owner
        self._announced = announced
        self._stable_after = stable_after
        self.is_ready = False
        self._timer: asyncio.TimerHandle | None = (
            self._call_later(READY_TIMEOUT, owner.admission_timed_out)
            if announced
            else self._call_later(ASSUME_READY_AFTER, self.ready)
        )

    def ready(self) -> None:
        """Let the client in, as the server says so or has not closed the connection."""
        if self.is_ready or self._timer is None:
            return
        self.is_ready = True
        self.stop()
        self._timer = self._call_later(self._stable_after, self._become_stable)
        self._owner.let_in()

    def received(self) -> None:
        """Note a message of the server other than ``$ready``."""
        if self.is_ready:
            self._become_stable()
        elif not self._announced:
            self.ready()

    def stop(self) -> None:
        """Cancel the timer when the connection is closing or gone."""
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _become_stable(self) -> None:
        if self._timer is not None:
            self.stop()
            self._owner.stable()

    def _call_later(self, seconds: float, act: Callable[[], None]) -> asyncio.TimerHandle:
        return asyncio.get_running_loop().call_later(seconds, act)
