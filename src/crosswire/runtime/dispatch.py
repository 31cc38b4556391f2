"""Calls listeners in order, the synchronous at once, the asynchronous in a task, and keeps their failures apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from types import CoroutineType
from typing import Any

from crosswire.core.listeners import NONE, Hook, Listener
from crosswire.core.payloads import PayloadType
from crosswire.runtime.tasks import Tasks

Decode = Callable[[PayloadType], Any]
Failed = Callable[[BaseException], None]


class Outcome:
    """What the listeners of one event gave: the first value that is not None, or the first failure.

    Attributes:
        value: the first value that is not None, if it came before any failure.
        error: the first failure, if it came before any value.
    """

    __slots__ = ("_failed", "error", "value")

    def __init__(self, failed: Failed) -> None:
        self._failed = failed
        self.value: Any = None
        self.error: BaseException | None = None

    def returned(self, value: Any) -> None:
        """Note what a listener returned."""
        if self.value is None and self.error is None:
            self.value = value

    def raised(self, error: BaseException) -> None:
        """Note what a listener raised, and report it."""
        if self.value is None and self.error is None:
            self.error = error
        self._failed(error)


def call(listener: Listener, subject: tuple[Any, ...], decode: Decode) -> Any:
    """Call one listener with as many of ``(*subject, data)`` as it takes; its data is decoded only if it takes it."""
    if listener.arity > len(subject):
        return listener.handler(*subject, decode(listener.payload))
    return listener.handler(*subject[: listener.arity])


def call_sync(
    listeners: tuple[Listener, ...], subject: tuple[Any, ...], decode: Decode, outcome: Outcome
) -> tuple[Listener, ...]:
    """Call the listeners up to the first asynchronous one; return it and the rest."""
    for index, listener in enumerate(listeners):
        if listener.is_async:
            return listeners[index:]
        try:
            value = call(listener, subject, decode)
        except Exception as error:  # noqa: BLE001 - a handler may raise anything; it is reported by the outcome
            outcome.raised(error)
            continue
        if type(value) is CoroutineType:
            return (_started(listener, value), *listeners[index + 1 :])
        outcome.returned(value)
    return NONE


async def call_rest(
    listeners: tuple[Listener, ...], subject: tuple[Any, ...], decode: Decode, outcome: Outcome
) -> None:
    """Call the listeners one after the other, awaiting what gives an awaitable.

    Raises:
        CancelledError: this task was cancelled; the outcome says so too.
    """
    for listener in listeners:
        try:
            value = call(listener, subject, decode)
            outcome.returned(await value if listener.is_async or type(value) is CoroutineType else value)
        except asyncio.CancelledError as error:
            outcome.raised(error)
            if (task := asyncio.current_task()) is not None and task.cancelling():
                raise
        except Exception as error:  # noqa: BLE001 - as above
            outcome.raised(error)


def fire(hook: Hook[Any], arguments: tuple[Any, ...], tasks: Tasks, failed: Failed) -> asyncio.Task[None] | None:
    """Call a hook's listeners with ``arguments``; return the task that goes on with the asynchronous ones, if any."""
    if not hook:
        return None
    outcome = Outcome(failed)
    rest = call_sync(hook.take(), arguments, _no_payload, outcome)
    if not rest:
        return None
    return tasks.start(call_rest(rest, arguments, _no_payload, outcome), f"crosswire hook {hook.name}")


def _no_payload(_kind: PayloadType) -> None:
    """Hooks have arguments, no payload: a hook's listener never takes more than it is offered."""


def _started(listener: Listener, work: CoroutineType[Any, Any, Any]) -> Listener:
    """Stand in for a listener that looked synchronous but returned a coroutine, which is still to be awaited."""
    waiting = Listener(lambda: work, 0, once=listener.once, tag=listener.tag)
    waiting.is_async = True
    return waiting
