"""An event loop whose clock jumps to the next timer instead of waiting for it."""

from __future__ import annotations

import asyncio
import selectors


class _Selector(selectors.SelectSelector):
    """A selector that advances the clock instead of waiting."""

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
    """The loop of tests marked ``on_instant_loop``; whatever takes a clock must be given the loop's ``time``."""

    def __init__(self) -> None:
        self._passing = _Selector()
        super().__init__(self._passing)

    @classmethod
    def stand_still(cls, seconds: float) -> None:
        """Advance the clock of the running loop without running it, as a handler that blocks does."""
        loop = asyncio.get_running_loop()
        assert isinstance(loop, cls)
        loop._passing.now += seconds

    def time(self) -> float:
        self._passing.now += 1e-9  # as in any loop, what is asked for later is due later
        return self._passing.now
