"""Brings what the server says to the handlers of its events, and their outcome back where it asked for one."""

from __future__ import annotations

import logging
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from crosswire.client.encoding import encode
from crosswire.client.hooks import Hooks
from crosswire.core import messages
from crosswire.core.listeners import EventListeners
from crosswire.core.messages import Codec
from crosswire.core.names import RESERVED
from crosswire.core.payloads import PayloadType, RawPayload
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.dispatch import Outcome, Unfinished, call_sync

logger = logging.getLogger("crosswire.client")

MAX_RUNNING = 1000
"""Asynchronous handlers running at once: beyond, events are dropped and reported, and calls refused with ``BUSY``."""


@dataclass(frozen=True, slots=True)
class Delivery:
    """An event or a call that arrived, its payload still in its wire form.

    Attributes:
        event: its name.
        raw: the payload.
        codec: what the connection speaks.
    """

    event: str
    raw: RawPayload
    codec: Codec

    def payload(self, kind: PayloadType) -> Any:
        """Decode the payload for one handler; raises :exc:`InvalidPayload`."""
        return self.codec.payload(kind, self.raw)


@dataclass(frozen=True, slots=True)
class Question:
    """A server's call: what arrived, its id, and where its answer goes."""

    delivery: Delivery
    call_id: str
    reply: Callable[[bytes], None]


class Router:
    """Calls the handlers of events.

    Args:
        listeners: the handlers.
        hooks: where failures are reported.
        tasks: where asynchronous handlers run.
    """

    __slots__ = ("_hooks", "_listeners", "_tasks")

    def __init__(self, listeners: EventListeners, hooks: Hooks, tasks: BackgroundTasks) -> None:
        self._listeners = listeners
        self._hooks = hooks
        self._tasks = tasks

    def event(self, delivery: Delivery) -> None:
        """Call an event's handlers; where there are none, say so once."""
        if self._busy(delivery.event):
            self._hooks.report(_busy_error(delivery.event))
            return
        listeners = self._listeners.take(delivery.event)
        if not listeners:
            self._unhandled(delivery.event)
            return
        outcome = Outcome(self._hooks.report)
        unfinished = call_sync(listeners, (), delivery.payload, outcome)
        if unfinished is not None:
            self._tasks.start(unfinished.finish((), delivery.payload, outcome), f"crosswire event {delivery.event}")

    def call(self, question: Question) -> None:
        """Call an event's handlers and answer with their outcome."""
        event = question.delivery.event
        if self._busy(event):
            self._refuse(question, _busy_error(event))
            return
        listeners = self._listeners.take(event)
        if not listeners:
            self._refuse(question, EventError("NO_HANDLER", f"no handler for {event!r}"))
            return
        outcome = _Answer(self._hooks.report)
        unfinished = call_sync(listeners, (), question.delivery.payload, outcome)
        if unfinished is not None:
            self._tasks.start(self._answer_later(unfinished, question, outcome), f"crosswire call {event}")
        else:
            self._answer(question, outcome)

    async def _answer_later(self, unfinished: Unfinished, question: Question, outcome: Outcome) -> None:
        await unfinished.finish((), question.delivery.payload, outcome)
        self._answer(question, outcome)

    def _answer(self, question: Question, outcome: Outcome) -> None:
        if isinstance(outcome.error, EventError):
            self._refuse(question, outcome.error)
        elif outcome.error is not None:
            self._refuse(question, _handler_error())
        else:
            self._give(question, outcome.value)

    def _give(self, question: Question, value: Any) -> None:
        try:
            data = encode(question.delivery.codec, messages.server_call_answer(question.call_id, value))
        except InvalidPayload as error:  # the handler's mistake, not the caller's
            self._hooks.report(error)
            self._refuse(question, _handler_error())
        else:
            question.reply(data)

    def _refuse(self, question: Question, error: EventError) -> None:
        codec = question.delivery.codec
        try:
            data = encode(codec, messages.server_call_refusal(question.call_id, error))
        except InvalidPayload as reason:  # the handler's own refusal: its text or its code is none
            self._hooks.report(reason)
            data = codec.encode(messages.server_call_refusal(question.call_id, _handler_error()))
        question.reply(data)

    def _unhandled(self, event: str) -> None:
        # The protocol's own need no handler, and an application may handle messages by itself.
        if event[:1] != RESERVED and not self._hooks.on_message:
            text = "there is no handler for the event %r of the server: nothing is done (logged once for each name)"
            self._hooks.warnings.warn_once("there is no handler", event, text)

    def _busy(self, event: str) -> bool:
        return len(self._tasks) >= MAX_RUNNING and any(each.is_async for each in self._listeners.of(event))


class _Answer(Outcome):
    """The outcome of a server's call: a refusal that answers it goes to the caller, whole, and to nobody else."""

    __slots__ = ()

    def raised(self, error: BaseException) -> None:
        """Note what a listener raised, and report what the caller is not told."""
        if isinstance(error, EventError) and self.value is None and self.error is None:
            self.error = error
        else:
            super().raised(error)


def _busy_error(event: str) -> EventError:
    return EventError("BUSY", f"{event!r} was not handled: {MAX_RUNNING} handlers are still running")


def _handler_error() -> EventError:
    return EventError("HANDLER_ERROR", "the handler failed")
