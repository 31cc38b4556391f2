"""Warnings of handlers that hold the event loop for too long."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from types import TracebackType
from typing import Any, ParamSpec, TypeVar

from crosswire.core.options import require_seconds
from crosswire.runtime import environment
from crosswire.runtime.log_records import about, get_logger

P = ParamSpec("P")
T = TypeVar("T")

logger = get_logger("crosswire.slow")

WARNING_INTERVAL = 60.0
"""Seconds between two warnings of the same handler."""


class SlowHandlerWatch:
    """Log of handlers that hold the event loop.

    Code that calls a handler looks at the clock before and after, and calls :meth:`report` if it took longer than
    ``limit``.

    Args:
        limit: seconds that a handler may take.
    """

    __slots__ = ("_slow", "_warned", "limit")

    def __init__(self, limit: float) -> None:
        self.limit = limit
        self._slow: list[tuple[float, float]] = []  # start and duration of the last slow calls
        self._warned: dict[str, float] = {}  # event or hook -> time of the last warning

    def report(self, what: str, began: float) -> None:
        """Log a warning of a slow call, unless there was one for the same handler within the last minute.

        Args:
            what: name of the event or hook.
            began: when the call began, by ``time.monotonic``.
        """
        now = environment.monotonic()
        took = now - began
        while self._slow and self._slow[-1][0] >= began:  # a handler that this one called: its time does not count
            took -= self._slow.pop()[1]
        if took <= self.limit:
            return
        self._slow = [*self._slow[-9:], (began, now - began)]
        if now - self._warned.get(what, -WARNING_INTERVAL) < WARNING_INTERVAL:
            return
        self._warned[what] = now
        logger.warning(
            "the handler of %r held the event loop for %.2f s, and everybody waited: await what takes long, or hand it "
            "to asyncio.to_thread (slow_handler=%g sets the limit)",
            what,
            took,
            self.limit,
            extra=about(event=what),
        )


class WatchedCoroutine(Coroutine[Any, Any, Any]):
    """A coroutine whose steps are timed.

    Args:
        work: the coroutine.
        what: name of the event or hook.
        watch: log of steps that take too long.

    Attributes:
        work: as given.
    """

    __slots__ = ("_watch", "_what", "work")

    def __init__(self, work: Coroutine[Any, Any, Any], what: str, watch: SlowHandlerWatch) -> None:
        self.work = work
        self._what = what
        self._watch = watch

    def send(self, value: Any) -> Any:
        """Run the coroutine's next step."""
        began = environment.monotonic()
        try:
            return self.work.send(value)
        finally:
            if environment.monotonic() - began > self._watch.limit:
                self._watch.report(self._what, began)

    def throw(  # type: ignore[override] # the single exception is all that is thrown here
        self, kind: Any, value: BaseException | None = None, trace: TracebackType | None = None
    ) -> Any:
        """Throw an exception into the coroutine."""
        began = environment.monotonic()
        try:
            return self.work.throw(kind if value is None else value)
        finally:
            if environment.monotonic() - began > self._watch.limit:
                self._watch.report(self._what, began)

    def close(self) -> None:
        """Close the coroutine that is wrapped."""
        self.work.close()

    def __await__(self) -> Generator[Any, Any, Any]:
        return self  # type: ignore[return-value] # it has all methods that `await` uses

    def __iter__(self) -> WatchedCoroutine:
        return self

    def __next__(self) -> Any:
        began = environment.monotonic()  # as send does; calling it would cost time
        try:
            return self.work.send(None)
        finally:
            if environment.monotonic() - began > self._watch.limit:
                self._watch.report(self._what, began)


def call_watched(
    watch: SlowHandlerWatch | None, what: str, call: Callable[P, T], *args: P.args, **kwargs: P.kwargs
) -> T:
    """Call a function and return its result; warn if it takes too long."""
    if watch is None:
        return call(*args, **kwargs)
    began = environment.monotonic()
    try:
        return call(*args, **kwargs)
    finally:
        if environment.monotonic() - began > watch.limit:
            watch.report(what, began)


def slow_handler_watch(slow_handler: float | None) -> SlowHandlerWatch | None:
    """Return the log for the option ``slow_handler``: seconds, or None for no warnings.

    Raises:
        ConfigError: it is no number of seconds.
    """
    if slow_handler is None:
        return None
    return SlowHandlerWatch(require_seconds("slow_handler", slow_handler))
