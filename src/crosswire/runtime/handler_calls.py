"""Calls listeners in order, the synchronous ones at once, and collects their values and errors."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import Context, copy_context
from functools import partial
from types import CoroutineType
from typing import Any, NamedTuple

from crosswire.core.listeners import AnyHook, Listener
from crosswire.runtime import environment
from crosswire.runtime.background_tasks import BackgroundTasks, is_being_cancelled
from crosswire.runtime.contexts import ContextFactory, run_in
from crosswire.runtime.slow_handlers import SlowHandlerWatch

CallListener = Callable[[Listener], Any]
"""Calls one listener with as many arguments as it takes."""
ReportFailure = Callable[[BaseException], None]


class Outcome:
    """Outcome of the listeners of one event: the first value that is not None, or the first failure.

    Args:
        report: called with every exception that a listener raised.

    Attributes:
        value: the first value that is not None, if it came before any failure.
        error: the first failure, if it came before any value.
    """

    __slots__ = ("_report", "error", "value")

    def __init__(self, report: Callable[..., None]) -> None:
        self._report = report
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
        self._report(error)


def call_sync(
    listeners: tuple[Listener, ...],
    call: CallListener,
    outcome: Outcome,
    new_context: ContextFactory = copy_context,
    watch: SlowHandlerWatch | None = None,
    what: str = "",
) -> Continuation | None:
    """Call the listeners up to the first that has to be awaited; return the rest of the work, or None.

    Args:
        listeners: what to call, in order.
        call: calls a listener.
        outcome: takes their values and errors.
        new_context: returns the context for the next listener.
        watch: warns of a listener that takes too long.
        what: the event or hook, for such a warning.
    """
    for index, listener in enumerate(listeners):
        if listener.is_async:
            return Continuation(None, listeners[index:], new_context)
        context = new_context()
        began = 0.0 if watch is None else environment.monotonic()
        try:
            try:
                value = context.run(call, listener)
            finally:
                if watch is not None and environment.monotonic() - began > watch.limit:
                    watch.report(what, began)
        except (Exception, asyncio.CancelledError) as error:  # noqa: BLE001 - the outcome reports it
            outcome.raised(error)
            continue
        if type(value) is CoroutineType:
            return Continuation((context, value), listeners[index + 1 :], new_context)
        outcome.returned(value)
    return None


class Continuation(NamedTuple):
    """The rest of an event or hook, from the first listener on that has to be awaited.

    Attributes:
        begun: a coroutine that a synchronous listener returned, and its context.
        listeners: the listeners that are still to be called.
        new_context: returns the context for the next listener.
    """

    begun: tuple[Context, CoroutineType[Any, Any, Any]] | None
    listeners: tuple[Listener, ...]
    new_context: ContextFactory = copy_context

    async def run(self, call: CallListener, outcome: Outcome) -> None:
        """Call the listeners one after the other and await what they return; to be run in a task or job of its own.

        Raises:
            CancelledError: this task was cancelled; the outcome has it as well.
        """
        if self.begun is None and self.new_context is copy_context and len(self.listeners) == 1:
            await _settle(None, _call_async(self.listeners[0], call), outcome)  # the task's own context is enough
            return
        if self.begun is not None:
            await _settle(*self.begun, outcome)
        for listener in self.listeners:
            await _settle(self.new_context(), _call_async(listener, call), outcome)

    def close(self) -> None:
        """Close the coroutine that has begun, if there is one; nothing more is called."""
        if self.begun is not None:
            self.begun[1].close()


async def _call_async(listener: Listener, call: CallListener) -> Any:
    value = call(listener)
    if listener.is_async or type(value) is CoroutineType:
        value = await value
    if (returns := listener.returns) is not None and not isinstance(value, returns.sure):
        returns.require(value)
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
    hook: AnyHook,
    arguments: tuple[Any, ...],
    tasks: BackgroundTasks,
    report: ReportFailure,
    new_context: ContextFactory = copy_context,
) -> asyncio.Task[None] | None:
    """Call a hook's listeners; return the task that goes on with the asynchronous ones, if there are any.

    Args:
        hook: its listeners that were added with ``once`` are removed.
        arguments: each listener gets as many of them as it takes.
        tasks: where the asynchronous listeners run.
        report: called with what they raise.
        new_context: returns the context that the next one runs in.
    """
    return fire_some(hook.name, hook.take(), arguments, tasks, report, new_context) if hook else None


def fire_some(
    name: str,
    listeners: tuple[Listener, ...],
    arguments: tuple[Any, ...],
    tasks: BackgroundTasks,
    report: ReportFailure,
    new_context: ContextFactory = copy_context,
) -> asyncio.Task[None] | None:
    """Call some of the listeners of the hook of that name; otherwise as :func:`fire`."""
    outcome = Outcome(report)
    call = partial(_call_hook, arguments)
    rest = call_sync(listeners, call, outcome, new_context, tasks.watch, name)
    if rest is None:
        return None
    return tasks.start(rest.run(call, outcome), f"crosswire hook {name}", name)


def _call_hook(arguments: tuple[Any, ...], listener: Listener) -> Any:
    return listener.handler(*arguments[: listener.arity])
