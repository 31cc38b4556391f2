"""Finds handlers that hold the event loop for so long that everybody else waits."""

from __future__ import annotations

import logging
from collections.abc import Callable, Coroutine, Generator
from time import monotonic
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from crosswire.errors import ConfigError

P = ParamSpec("P")
T = TypeVar("T")

logger = logging.getLogger("crosswire.slow")

_OFTEN = 60.0
"""Seconds in which a handler is warned of once."""


class SlowWatch:
    """Warns of handlers that hold the event loop.

    Whoever calls one looks at the clock before and after, and says :meth:`tell` if it took longer than ``limit``.

    Args:
        limit: seconds.
    """

    __slots__ = ("_slow", "_told", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._slow: list[tuple[float, float]] = []  # what was slow last: when it began, and seconds
        self._told: dict[str, float] = {}  # by what was called: as many as there are handlers

    def tell(self, what: str, began: float) -> None:
        """Warn, unless it was done within the last minute.

        Args:
            what: was called: an event or a hook.
            began: when, by ``time.monotonic``.
        """
        now = monotonic()
        took = now - began
        while self._slow and self._slow[-1][0] >= began:  # what it called is to blame for its own time
            took -= self._slow.pop()[1]
        if took <= self.limit:
            return
        self._slow = [*self._slow[-9:], (began, now - began)]
        if now - self._told.get(what, -_OFTEN) < _OFTEN:
            return
        self._told[what] = now
        logger.warning(
            "the handler of %r held the event loop for %.2f s, and everybody waited: await what takes long, or hand it "
            "to asyncio.to_thread (slow_handler=%g sets the limit)",
            what,
            took,
            self.limit,
        )


class Watched(Coroutine[Any, Any, Any]):
    """A coroutine each of whose steps is watched.

    Args:
        work: the coroutine.
        what: it belongs to: an event or a hook.
        watch: warns of a step that takes too long.
    """

    __slots__ = ("_watch", "_what", "_work")

    def __init__(self, work: Coroutine[Any, Any, Any], what: str, watch: SlowWatch) -> None:
        self._work = work
        self._what = what
        self._watch = watch

    def send(self, value: Any) -> Any:
        """Do the next step."""
        began = monotonic()
        try:
            return self._work.send(value)
        finally:
            if monotonic() - began > self._watch.limit:
                self._watch.tell(self._what, began)

    def throw(  # type: ignore[override] # the single exception is all that is thrown here
        self, kind: Any, value: BaseException | None = None, trace: TracebackType | None = None
    ) -> Any:
        """Do the next step with an exception."""
        began = monotonic()
        try:
            return self._work.throw(kind if value is None else value)
        finally:
            if monotonic() - began > self._watch.limit:
                self._watch.tell(self._what, began)

    def close(self) -> None:
        """Do no more."""
        self._work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value] # it has all that `await` uses

    def __iter__(self) -> Watched:
        return self

    def __next__(self) -> Any:
        began = monotonic()  # as in send, with no call more
        try:
            return self._work.send(None)
        finally:
            if monotonic() - began > self._watch.limit:
                self._watch.tell(self._what, began)


def watched(watch: SlowWatch | None, what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs) -> T:
    """Return what a call returns, and warn if it takes too long."""
    if watch is None:
        return call(*args, **kwargs)
    began = monotonic()
    try:
        return call(*args, **kwargs)
    finally:
        if monotonic() - began > watch.limit:
            watch.tell(what, began)


def watch_of(slow_handler: float | None) -> SlowWatch | None:
    """Return what warns of handlers slower than that many seconds; None for None.

    Raises:
        ConfigError: it is no number of seconds.
    """
    if slow_handler is None:
        return None
    given: object = slow_handler
    if isinstance(given, bool) or not isinstance(given, int | float) or not given > 0:
        raise ConfigError(f"slow_handler={slow_handler!r}: give a number of seconds greater than 0, or None for never")
    return SlowWatch(slow_handler)
