"""Sends and receives on one connection of a client, from its upgrade to its end."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from functools import partial
from typing import Any, Protocol

import msgspec

from crosswire.client.admission import Admission
from crosswire.client.calls import Calling, Calls, Pending
from crosswire.client.encoding import encode
from crosswire.client.event_buffer import MAX_BUFFERED_TIME, EventBuffer
from crosswire.client.heartbeat import HeartbeatTimer
from crosswire.client.hooks import Hooks
from crosswire.client.observer import ClientObserver
from crosswire.client.room_table import RoomTable
from crosswire.client.router import MessageRouter
from crosswire.core import messages
from crosswire.core.codecs import CLIENT_JSON, CLIENT_MSGPACK, ClientCodec
from crosswire.core.messages import MSGPACK_SUBPROTOCOL, READY, Message, PlacedMessage
from crosswire.core.payload_types import PayloadType
from crosswire.errors import EventError, InvalidMessage, NotConnected
from crosswire.transport.open_connection import OpenConnection
from crosswire.types import Close, CloseCode


class SessionEvents(Protocol):
    """Callbacks for the life of a session."""

    def session_opened(self, session: Session) -> bool:
        """Use a session that can send from now on; return False if it is not wanted any more.

        The owner calls :meth:`Session.release_events` when the handlers of ``on_open`` have ended.
        """
        ...

    def session_let_in(self, session: Session) -> None:
        """Note that the server has let the client in."""

    def session_stable(self, session: Session) -> None:
        """Note that the connection is stable."""

    def session_closed(self, session: Session, close: Close) -> None:
        """Note the end of a session that was wanted."""


class Session:
    """A connection, the calls that wait on it, and its heartbeat; the receiver of its transport.

    Args:
        owner: callbacks.
        run: object that stands for the owner's row of attempts to which this one belongs.
        router: calls the handlers of the server's events and calls.
        calls: of the client to the server, on this connection alone.
        heartbeat: runs while the server has let the client in.
        ping_text: the heartbeat's text.
        stable_after: seconds, see :class:`Admission`.
        hooks: of the client.
        rooms: with the client's positions, which its messages move.
        observer: traces the client; None if nobody does.

    Attributes:
        run: as given.
        is_ready: whether the server has let the client in.
    """

    def __init__(
        self,
        owner: SessionEvents,
        run: object,
        router: MessageRouter,
        calls: Calls,
        heartbeat: HeartbeatTimer,
        ping_text: str,
        stable_after: float,
        hooks: Hooks,
        rooms: RoomTable,
        observer: ClientObserver | None = None,
    ) -> None:
        self._observer = observer
        self._calling: Calling = calls if observer is None else observer.calls(calls)
        self._owner = owner
        self.run = run
        self._router = router
        self._calls = calls
        self._heartbeat = heartbeat
        self._ping_text = ping_text
        self._stable_after = stable_after
        self._hooks = hooks
        self._rooms = rooms
        self._connection: OpenConnection | None = None
        self._codec: ClientCodec = CLIENT_JSON
        self._encode = self._encoder()
        self._admission: Admission | None = None  # None before it opens, and once it is stable
        self._buffer: EventBuffer | None = None
        self._open = False
        self._wanted = True
        self._close: Close | None = None
        self._ended = asyncio.Event()
        self.is_ready = False

    # Sending

    def send(self, event: str, data: Any) -> None:
        """Send an event; raises :exc:`NotConnected` or :exc:`InvalidPayload`."""
        self._transmit(self._encode(messages.event(event, data)))

    async def call(
        self,
        event: str,
        data: Any,
        *,
        timeout: float,
        on_pending: Pending | None,
        pending_after: float,
        kind: PayloadType,
    ) -> Any:
        """Call the server; see :meth:`crosswire.Client.call`."""

        def send(call_id: str) -> None:
            self._transmit(self._encode(messages.client_call(event, data, call_id)))

        return await self._calling.call(event, send, timeout, on_pending, pending_after, kind)

    # Ending

    def close(self, code: CloseCode, reason: str) -> None:
        """Start the closing handshake. Calls that wait fail now, and nothing more is sent or received."""
        self._stop_use(reason, Close(code, reason))
        if self._buffer is not None:
            self._buffer.take_all().clear()
        if self._connection is not None:
            self._connection.close(code, reason)

    def abort(self, close: Close) -> None:
        """Drop the connection. Calls that wait fail now; events that have arrived are still handled."""
        self._stop_use(close.reason, close)
        if self._connection is not None:
            self._connection.abort(close)

    async def wait_ended(self) -> None:
        """Wait until the connection is gone."""
        await self._ended.wait()

    # Events of the transport

    def opened(self, connection: OpenConnection) -> None:
        """Begin to use a connection whose upgrade has succeeded."""
        self._connection = connection
        self._open = True
        if connection.subprotocol == MSGPACK_SUBPROTOCOL:
            self._codec = CLIENT_MSGPACK
            self._encode = self._encoder()
        self._admission = Admission(self, announced=connection.announces, stable_after=self._stable_after)
        self._buffer = EventBuffer(connection, self._buffer_timed_out)
        self._wanted = self._owner.session_opened(self)
        if not self._wanted:
            self.abort(Close(CloseCode.CLIENT_CLOSED, "closed by the client"))

    def release_events(self) -> None:
        """Handle the events that have come while ``on_open`` ran, and from now on new ones at once."""
        buffer, self._buffer = self._buffer, None
        if buffer is not None:
            arrivals = buffer.take_all()
            while arrivals:
                self._handle(*arrivals.popleft())

    def text(self, text: str) -> None:
        """Receive a text frame: the heartbeat's echo, or a message of the client protocol."""
        if text != self._ping_text:
            self._receive(text)
        elif self._open:
            if self._admission is not None:
                self._admission.received()
            self._heartbeat.echoed()

    def binary(self, data: bytes) -> None:
        """Receive a message of the client protocol in a binary frame."""
        self._receive(data)

    def closed(self, close: Close) -> None:
        """Fail the calls that wait, and report to the owner that the connection is gone."""
        self._stop_use(f"the connection was lost ({f'{close.code} {close.reason}'.rstrip()})", close)
        if self._wanted:
            self._owner.session_closed(self, close)
        self._ended.set()

    # Events of the admission

    def let_in(self) -> None:
        """Start the heartbeat, and report to the owner that the server has let the client in."""
        self.is_ready = True
        self._heartbeat.start(self._ping, self._drop_silent, self._has_moved)
        self._owner.session_let_in(self)

    def stable(self) -> None:
        """Report to the owner that the connection is stable."""
        self._admission = None
        self._owner.session_stable(self)

    def admission_timed_out(self) -> None:
        """Drop a connection on which the server neither lets the client in nor closes."""
        self.abort(Close(CloseCode.ABNORMAL, "the server did not say in time whether it lets the client in"))

    # Internals

    def _encoder(self) -> Callable[[msgspec.Struct], bytes]:
        """Return the function that encodes messages; with their place in the trace if the client is traced."""
        plain, observer = partial(encode, self._codec), self._observer
        if observer is None:
            return plain

        def traced(message: msgspec.Struct) -> bytes:
            traceparent = observer.traceparent()
            return plain(message if traceparent is None else messages.traced(message, traceparent))

        return traced

    def _transmit(self, data: bytes) -> None:
        connection = self._connection
        if not self._open or connection is None:
            raise NotConnected("the connection is closed or closing", self._close)
        if not (connection.send_binary(data) if self._codec.binary else connection.send_text(data)):
            raise NotConnected("the connection is closing", connection.ending)

    def _reply(self, data: bytes) -> None:
        try:
            self._transmit(data)
        except NotConnected:
            self._hooks.warnings.warn(
                "answer", "an answer was not sent: the connection that the server's call came on is gone"
            )

    def _ping(self) -> None:
        if self._connection is not None:
            self._connection.ask(self._ping_text.encode())

    def _has_moved(self) -> bool:
        if self._buffer is not None and self._buffer.is_full:
            return True  # the echo may have come, but nothing is read
        return self._connection is not None and self._connection.moved()

    def _drop_silent(self) -> None:
        self.abort(Close(CloseCode.ABNORMAL, "the server did not answer the heartbeat"))

    def _stop_use(self, why: str, close: Close) -> None:
        if self._open:
            self._open = False
            self._close = close
            if self._admission is not None:
                self._admission.stop()
            self._heartbeat.stop()
            self._calls.lost(why, close)

    def _receive(self, raw: str | bytes) -> None:
        if not self._open:
            return
        try:
            message = self._codec.decode(raw)
        except InvalidMessage as error:
            self._hooks.fire(self._hooks.on_message, raw)
            self._undecodable(error)
            return
        if self._admission is not None and self._ends_admission(self._admission, message):
            return
        if self._buffer is not None and message.event is not None:
            self._buffer.add(raw, message)
        else:
            self._handle(raw, message)

    def _ends_admission(self, admission: Admission, message: Message) -> bool:
        if message.event == READY and not self.is_ready:
            admission.ready()
            return True
        admission.received()
        return False

    def _handle(self, raw: str | bytes, message: PlacedMessage) -> None:
        self._hooks.fire(self._hooks.on_message, raw)
        if message.event is None:
            self._answered(message)
            return
        if message.at is not None and not self._rooms.move(message.at):
            return  # a message of a room that the client has handled before
        self._router.receive(message, self._codec, self._reply)

    def _buffer_timed_out(self) -> None:
        self._hooks.warnings.warn(
            "held",
            "on_open still runs after %g s: events no longer wait for it; start a task for what takes longer",
            MAX_BUFFERED_TIME,
        )
        self.release_events()

    def _undecodable(self, error: InvalidMessage) -> None:
        if error.callback_id is not None:
            self._calls.failed(error.callback_id, error)
        else:
            self._hooks.warnings.warn(
                "message", "a message of the server can't be decoded, and was ignored: %r", error.message
            )

    def _answered(self, message: Message) -> None:
        if message.callback_id is None:
            self._hooks.warnings.warn("message", "a message without an event and without a call's id was ignored")
        elif message.error is not None:
            self._calls.failed(message.callback_id, EventError(message.error.code, message.error.message))
        else:
            self._calls.answered(message.callback_id, self._codec, message.payload)
