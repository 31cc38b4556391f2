"""Nodes that have sent a beat and are no members yet: each must be alive, whatever its beat says."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

from crosswire.core.envelopes import Beat
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.throttled_warnings import ThrottledWarnings

MAX_WAITING = 1000
"""Newcomers that wait to be checked; the beats of others are ignored, and they beat again."""
MAX_CHECKS = 100
"""Newcomers that are checked at the same time."""
CHECKS_AT_ONCE = 10
"""Checks that are begun in one turn of the event loop."""
CHECK_PAUSE = 0.01
"""Seconds between two such turns, as anybody can invent newcomers."""

logger = get_logger("crosswire.cluster")


class Newcomers:
    """Has newcomers checked, in the order in which they came, and not too many at a time.

    Args:
        check: finds out whether the sender of a beat is alive, and makes it a member if so.
        tasks: where the checks run.

    Attributes:
        refused: beats of newcomers that were ignored because too many waited.
    """

    __slots__ = ("_check", "_checked", "_pumping", "_tasks", "_waiting", "_warnings", "refused")

    def __init__(self, check: Callable[[Beat], Awaitable[None]], tasks: BackgroundTasks) -> None:
        self._check = check
        self._tasks = tasks
        self._waiting: dict[str, Beat] = {}  # by incarnation
        self._checked: set[str] = set()
        self._pumping = False
        self._warnings = ThrottledWarnings(logger)
        self.refused = 0

    def add(self, beat: Beat) -> None:
        """Have the sender of a beat checked, unless that is being done."""
        incarnation = beat.incarnation
        if incarnation in self._checked or incarnation in self._waiting:
            return
        if len(self._waiting) >= MAX_WAITING:
            self.refused += 1
            self._warnings.warn("newcomers", "more than %d nodes want to join at once", MAX_WAITING)
            return
        self._waiting[incarnation] = beat
        if not self._pumping:
            self._pumping = True
            self._tasks.start(self._begin_checks(), "crosswire newcomers")

    async def _begin_checks(self) -> None:
        try:
            while self._waiting:
                for _ in range(min(CHECKS_AT_ONCE, len(self._waiting), MAX_CHECKS - len(self._checked))):
                    beat = self._waiting.pop(next(iter(self._waiting)))
                    self._checked.add(beat.incarnation)
                    self._tasks.start(self._run(beat), "crosswire newcomer")
                if self._waiting:
                    await asyncio.sleep(CHECK_PAUSE)
        finally:
            self._pumping = False

    async def _run(self, beat: Beat) -> None:
        try:
            await self._check(beat)
        finally:
            self._checked.discard(beat.incarnation)
