"""Calls listeners in order, the synchronous at once, the asynchronous in a task, and keeps their failures apart."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from time import monotonic
from types import CoroutineType
from typing import Any, NamedTuple

from crosswire.core.listeners import AnyHook, Listener
from crosswire.core.payloads import PayloadType
from crosswire.core.returns import ReturnType
from crosswire.errors import InvalidPayload
from crosswire.runtime.background_tasks import BackgroundTasks, is_being_cancelled
from crosswire.runtime.contexts import Enter, run_in
from crosswire.runtime.slow_handlers import SlowHandlerWatch

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


def checked(returns: ReturnType, value: Any) -> Any:
    """Check what a handler returned; of an awaitable, what it gives is checked once it is awaited.

    Raises:
        TypeError: it does not fit what the handler's annotation says.
    """
    if hasattr(value, "__await__"):
        return returns.awaited(value)
    returns.require(value)
    return value


def will_be_called(listeners: tuple[Listener, ...], subject: int, decode: Decode, *, busy: bool) -> list[Listener]:
    """Tell which listeners an event is about to reach.

    Not those whose data does not fit, nor what has to wait while too much is at work: an event that comes to nothing
    does not use up what is called once.

    Args:
        listeners: of the event.
        subject: number of arguments in front of the data.
        decode: the data.
        busy: whether no asynchronous one can be begun.
    """
    reached: list[Listener] = []
    for listener in listeners:
        if busy and listener.is_async:
            break
        try:
            if listener.once and listener.arity > subject:
                decode(listener.payload)
        except InvalidPayload:
            continue
        reached.append(listener)
    return reached


def call_sync(
    listeners: tuple[Listener, ...],
    subject: tuple[Any, ...],
    decode: Decode,
    outcome: Outcome,
    enter: Enter = copy_context,
    watch: SlowHandlerWatch | None = None,
    what: str = "",
) -> Unfinished | None:
    """Call the listeners up to the first that has to be awaited; return what is left to do, if anything.

    Each runs in a context of its own, which ``enter`` gives. ``watch`` warns of one that takes too long, as one of
    ``what``.
    """
    for index, listener in enumerate(listeners):
        if listener.is_async:
            return Unfinished(None, listeners[index:], enter)
        context = enter()
        began = 0.0 if watch is None else monotonic()
        try:
            try:
                value = context.run(call, listener, subject, decode)
            finally:
                if watch is not None and monotonic() - began > watch.limit:
                    watch.report(what, began)
            if (returns := listener.returns) is not None and not isinstance(value, returns.sure):
                value = checked(returns, value)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - it is reported by the outcome
            outcome.raised(error)
            continue
        if type(value) is CoroutineType:
            return Unfinished((context, value), listeners[index + 1 :], enter)
        outcome.returned(value)
    return None


class Unfinished(NamedTuple):
    """What is left of an event once it needs a task.

    Attributes:
        begun: a coroutine that a listener which did not look asynchronous returned, and its context.
        listeners: those still to be called.
        enter: gives the context for each of them.
    """

    begun: tuple[Context, CoroutineType[Any, Any, Any]] | None
    listeners: tuple[Listener, ...]
    enter: Enter = copy_context

    async def finish(self, subject: tuple[Any, ...], decode: Decode, outcome: Outcome) -> None:
        """Call the listeners one after the other, awaiting what has to be; in a task, or a worker's job, of its own.

        Raises:
            CancelledError: this task was cancelled; the outcome says so too.
        """
        if self.begun is None and self.enter is copy_context and len(self.listeners) == 1:
            await _settle(None, _call_async(self.listeners[0], subject, decode), outcome)  # it has this task's alone
            return
        if self.begun is not None:
            await _settle(*self.begun, outcome)
        for listener in self.listeners:
            await _settle(self.enter(), _call_async(listener, subject, decode), outcome)

    def drop(self) -> None:
        """Do nothing of it."""
        if self.begun is not None:
            self.begun[1].close()


async def _call_async(listener: Listener, subject: tuple[Any, ...], decode: Decode) -> Any:
    value = call(listener, subject, decode)
    if listener.is_async or type(value) is CoroutineType:
        value = await value
    if listener.returns is not None:
        listener.returns.require(value)
    return value


async def _settle(context: Context | None, work: Coroutine[Any, Any, Any], outcome: Outcome) -> None:
    try:
        outcome.returned(await (work if context is None else run_in(context, work)))
    except asyncio.CancelledError as error:
        outcome.raised(error)
        if is_being_cancelled():
            raise
    except Exception as error:  # noqa: BLE001 - as above
        outcome.raised(error)


def fire(
    hook: AnyHook, arguments: tuple[Any, ...], tasks: BackgroundTasks, failed: Failed, enter: Enter = copy_context
) -> asyncio.Task[None] | None:
    """Call a hook's listeners with ``arguments``; return the task that goes on with the asynchronous ones, if any.

    Each runs in a context of its own, which ``enter`` gives.
    """
    return fire_some(hook.name, hook.take(), arguments, tasks, failed, enter) if hook else None


def fire_some(
    name: str,
    listeners: tuple[Listener, ...],
    arguments: tuple[Any, ...],
    tasks: BackgroundTasks,
    failed: Failed,
    enter: Enter = copy_context,
) -> asyncio.Task[None] | None:
    """As :func:`fire`, with some of the listeners of the hook of that name."""
    outcome = Outcome(failed)
    unfinished = call_sync(listeners, arguments, _no_payload, outcome, enter, tasks.watch, name)
    if unfinished is None:
        return None
    return tasks.start(unfinished.finish(arguments, _no_payload, outcome), f"crosswire hook {name}", name)


def _no_payload(_kind: PayloadType) -> None:
    """Hooks have arguments, no payload: a hook's listener never takes more than it is offered."""
