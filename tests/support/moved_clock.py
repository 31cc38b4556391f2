"""A clock of real time that tests move: what lasts a minute ends when a test says so, and not while it stands still."""

from __future__ import annotations

import time

import pytest

from crosswire.runtime import environment


class MovedClock:
    """The real time as this process sees it from now on, as many seconds ahead as it was moved.

    PyJWT has a clock of its own, which does not move.

    Args:
        patch: puts the clock back.
    """

    def __init__(self, patch: pytest.MonkeyPatch) -> None:
        self._ahead = 0.0
        patch.setattr(environment, "wall_time", self.time)

    def time(self) -> float:
        """Return the seconds since 1970."""
        return time.time() + self._ahead

    def advance(self, seconds: float) -> None:
        """Move the clock ahead."""
        self._ahead += seconds
