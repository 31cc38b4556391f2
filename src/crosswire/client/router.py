"""Handling of the events and calls of the server."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, Protocol

from crosswire.client.encoding import encode
from crosswire.client.hooks import Hooks
from crosswire.client.room_table import RoomTable
from crosswire.core import messages
from crosswire.core.codecs import Codec
from crosswire.core.listeners import EventListeners
from crosswire.core.messages import ABSENT, LEFT, ROOM, Message, RoomLeft, RoomPosition
from crosswire.core.names import RESERVED
from crosswire.core.payload_types import payload_type
from crosswire.errors import EventError, InvalidPayload
from crosswire.runtime.answering import Answerer, AnsweringObserver, Callers, EventHandling
from crosswire.runtime.background_tasks import BackgroundTasks
from crosswire.runtime.handler_counts import SharedHandlerCount
from crosswire.runtime.log_records import about
from crosswire.runtime.workers import Workers

MAX_HANDLERS = 1000
"""Number of asynchronous handlers of one client that may be at work; beyond it, a call is refused with BUSY, and an
event is dropped and reported."""

_ROOM_POSITION = payload_type(RoomPosition)
_ROOM_LEFT = payload_type(RoomLeft)

Reply = Callable[[bytes], None]
"""Sends an encoded answer on the connection that the call came on."""


class MessageRouter(Protocol):
    """Handles the events and calls of a server: a :class:`Router`, or what traces one."""

    def receive(self, message: Message, codec: Codec, reply: Reply) -> None:
        """Handle an event or a call; see :meth:`Router.receive`."""


class Router:
    """Hands the events and calls of the server to the handlers.

    An event without a handler is ignored; a call is always answered.

    Args:
        events: the handlers, called with ``(data)``.
        hooks: where failures are reported.
        tasks: where asynchronous handlers run.
        rooms: told of the client's positions.
    """

    __slots__ = ("_answerer", "_base_answerer", "_count", "_events", "_hooks", "_rooms", "_server", "_workers")

    def __init__(self, events: EventListeners, hooks: Hooks, tasks: BackgroundTasks, rooms: RoomTable) -> None:
        self._events = events
        self._hooks = hooks
        self._rooms = rooms
        self._server: Callers[None, _ServerCall] = _Server(hooks)
        self._workers = Workers(tasks)
        answerer = Answerer(self._server, events, self._workers, MAX_HANDLERS)
        self._base_answerer = answerer
        self._answerer: EventHandling[None, _ServerCall] = answerer
        self._count = SharedHandlerCount()

    def observe(self, observer: AnsweringObserver) -> None:
        """Let tracing see every event from now on."""
        self._server = observer.callers(self._server)
        self._base_answerer.replace_callers(self._server)
        self._answerer = observer.answerer(self._answerer)

    def receive(self, message: Message, codec: Codec, reply: Reply) -> None:
        """Handle an event or a call.

        Args:
            message: has an event.
            codec: of the connection that the message came on.
            reply: sends the answer on the same connection.
        """
        event = str(message.event)
        call = None if message.call_id is None else (message.call_id, codec, reply)
        if listeners := self._events.of(event):
            self._answerer.handle(event, listeners, None, codec, message.payload, None, call, self._count)
        elif call is not None:
            self._server.refuse(None, call, EventError("NO_HANDLER", f"no handler for {event!r}"))
        elif event[:1] == RESERVED:
            self._handle_protocol(event, message, codec)
        elif not self._hooks.on_message:  # with it, an application may handle messages by itself
            text = "there is no handler for the event %r of the server: nothing is done (logged once for each name)"
            self._hooks.warnings.warn_once("there is no handler", event, text, extra=about(event=event))

    def _handle_protocol(self, event: str, message: Message, codec: Codec) -> None:
        """Handle an event of the protocol itself; one that is not known is ignored."""
        try:
            if event == ROOM:
                self._room_changed(codec.payload(_ROOM_POSITION, message.payload), codec)
            elif event == LEFT:
                self._rooms.forget(codec.payload(_ROOM_LEFT, message.payload).room)
        except InvalidPayload as error:
            self._hooks.warnings.warn("message", "%s of the server can't be read: %r", event, error.message)

    def _room_changed(self, told: RoomPosition, codec: Codec) -> None:
        """Tell the handlers of ``on_room``: in the order of events, so they begin before those of later events."""
        hook = self._hooks.on_room
        state = self._rooms.change(told)
        if listeners := hook.take():
            self._base_answerer.handle(hook.name, listeners, state, codec, ABSENT, None, None, self._count)

    def drop(self) -> None:
        """Discard the events whose handlers have not begun."""
        self._workers.drop()


_ServerCall = tuple[str, Codec, Reply]
"""The id that the answer carries, how it is encoded, and what sends it."""


class _Server:
    """Implements :class:`crosswire.runtime.answering.Callers`; handlers get the data alone."""

    __slots__ = ("_hooks",)

    def __init__(self, hooks: Hooks) -> None:
        self._hooks = hooks

    @staticmethod
    def answer(sender: None, call: _ServerCall, value: Any) -> None:
        call_id, codec, reply = call
        reply(encode(codec, messages.server_call_answer(call_id, value)))

    @staticmethod
    def refuse(sender: None, call: _ServerCall, error: EventError) -> None:
        call_id, codec, reply = call
        reply(encode(codec, messages.server_call_refusal(call_id, error)))

    @staticmethod
    def busy(event: str) -> EventError:
        return EventError("BUSY", f"{event!r} was not handled: {MAX_HANDLERS} handlers are still running")

    def report(self, sender: None, event: str, error: BaseException, *, awaited: bool, is_answer: bool) -> None:
        if not (is_answer and isinstance(error, EventError)):
            self._hooks.report(error)
