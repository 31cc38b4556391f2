"""A future as the coroutine of a call awaits it, without a call."""

from __future__ import annotations

import asyncio
from typing import Any

from crosswire.runtime.answer_futures import AnswerFuture


class Asked(AnswerFuture[Any]):
    """A future that is not set yet."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self.is_done = False
        self.error = self.go_on = None
        self._asyncio_future_blocking = True

    def get_loop(self) -> asyncio.AbstractEventLoop:
        return self._loop
