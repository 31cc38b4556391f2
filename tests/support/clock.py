"""An event loop whose time passes as fast as its code: what waits for an hour is due at once, in order."""

from __future__ import annotations

import asyncio
import selectors


class _Selector(selectors.SelectSelector):
    """Finds what is ready, and lets time pass instead of waiting for it."""

    def __init__(self) -> None:
        super().__init__()
        self.now = 1000.0

    def select(self, timeout: float | None = None) -> list[tuple[selectors.SelectorKey, int]]:
        ready = super().select(0)
        if not ready:
            assert timeout is not None, "the loop waits for something that never comes"
            self.now += max(timeout, 0)
        return ready


class InstantLoop(asyncio.SelectorEventLoop):
    """For ``run(main(), InstantLoop)``; give what takes a clock ``asyncio.get_running_loop().time``."""

    def __init__(self) -> None:
        self._passing = _Selector()
        super().__init__(self._passing)

    @classmethod
    def stand_still(cls, seconds: float) -> None:
        """Let time pass in the running loop and nothing happen, as while a handler blocks it or the machine sleeps."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, cls)
        loop._passing.now += seconds

    def time(self) -> float:
        self._passing.now += 1e-9  # as in any loop, what is asked for later is due later
        return self._passing.now
