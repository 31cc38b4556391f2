"""Runs code with context variables of its own, so that no handler sees what another has set."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any, TypeVar

from crosswire.runtime import environment
from crosswire.runtime.slow_handlers import SlowHandlerWatch

T = TypeVar("T")
ContextFactory = Callable[[], Context]
"""Returns the context that a listener runs in: a fresh copy, or one that is shared on purpose."""


@coroutine
def run_in(context: Context, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await a coroutine in a context, in the present task.

    Args:
        context: the context of the coroutine, which keeps the variables that it sets. Other code may run in the context
            between two steps.
        work: the coroutine.

    Returns:
        The coroutine's result; what it raises is raised.
    """
    try:
        waits_for = context.run(work.send, None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    return (yield from resume(work, waits_for, context))


def resume(
    work: Coroutine[Any, Any, T],
    waits_for: Any,
    context: Context | None,
    watch: SlowHandlerWatch | None = None,
    what: str = "",
) -> Generator[Any, Any, T]:
    """Await a coroutine that has begun, from its first ``await`` on; otherwise as :func:`run_in`.

    Args:
        work: the coroutine.
        waits_for: the future that it yielded.
        context: the context of the coroutine; None for the context of the present task.
        watch: warns of a step that takes too long; it costs half of what ``WatchedCoroutine`` does.
        what: the event, for the warning.
    """
    while True:
        try:
            value = yield waits_for
        except GeneratorExit:
            work.close()
            raise
        except BaseException as error:  # noqa: BLE001 - passed on to the coroutine, cancellation too
            step: Callable[[Any], Any] = work.throw
            argument: Any = error
        else:
            step, argument = work.send, value
        began = 0.0 if watch is None else environment.monotonic()
        try:
            waits_for = step(argument) if context is None else context.run(step, argument)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
        finally:
            if watch is not None and environment.monotonic() - began > watch.limit:
                watch.report(what, began)
