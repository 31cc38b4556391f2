"""Runs code with context variables of its own: what a handler sets is nobody else's."""

from __future__ import annotations

from collections.abc import Callable, Coroutine, Generator
from contextvars import Context
from types import coroutine
from typing import Any, TypeVar

T = TypeVar("T")
Enter = Callable[[], Context]
"""Gives the context that a listener runs in: a fresh copy, or the one that is shared on purpose."""


@coroutine
def run_in(context: Context, work: Coroutine[Any, Any, T]) -> Generator[Any, Any, T]:
    """Await a coroutine in a context, in the present task.

    Args:
        context: whose variables it sees, and that keeps what it sets. It may run other code between two steps, but
            no code that is in it already.
        work: the coroutine.

    Returns:
        What it returns; it raises what it raises.
    """
    try:
        waits_for = context.run(work.send, None)
    except StopIteration as end:
        return end.value  # type: ignore[no-any-return]
    return (yield from go_on(context, work, waits_for))


def go_on(context: Context, work: Coroutine[Any, Any, T], waits_for: Any) -> Generator[Any, Any, T]:
    """As :func:`run_in`, for a coroutine that has begun and yielded ``waits_for``."""
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
        try:
            waits_for = context.run(step, argument)
        except StopIteration as end:
            return end.value  # type: ignore[no-any-return]
