"""One connection of a client, from the upgrade to its end."""

from __future__ import annotations

import asyncio
from typing import Any, Protocol

from crosswire.client.admission import Admission
from crosswire.client.calls import Calls, Pending
from crosswire.client.encoding import encode
from crosswire.client.heartbeat import HeartbeatTimer
from crosswire.client.held import LONGEST, Held
from crosswire.client.hooks import Hooks
from crosswire.client.router import Router
from crosswire.core import messages
from crosswire.core.messages import CLIENT_MSGPACK, JSON, MSGPACK_SUBPROTOCOL, READY, Codec, Message
from crosswire.core.payloads import PayloadType
from crosswire.errors import EventError, InvalidMessage, NotConnected
from crosswire.transport.connector import ClientConnection
from crosswire.types import Close, CloseCode


class SessionEvents(Protocol):
    """Who wants to know how a session fares."""

    def session_opened(self, session: Session) -> bool:
        """The session can send; return False if it is not wanted any more. Else the owner lets it
        :meth:`~Session.go_on` once the application has heard of it.
        """
        ...

    def session_let_in(self, session: Session) -> None:
        """The server has let the client in."""

    def session_held(self, session: Session) -> None:
        """The session is more than one that is accepted and closed again."""

    def session_closed(self, session: Session, close: Close) -> None:
        """The session ended; not called for one that was not wanted."""


class Session:
    """What is sent and received on one connection, and the calls that wait for it. A receiver of the transport.

    Args:
        owner: told how the session fares.
        router: gets the server's events and calls.
        calls: the client's own, fresh for this session.
        heartbeat: runs while the session is open and the client let in.
        ping_text: the heartbeat's text.
        stable_after: seconds, see :class:`Admission`.
        hooks: told of every message.
    """

    def __init__(
        self,
        owner: SessionEvents,
        router: Router,
        calls: Calls,
        heartbeat: HeartbeatTimer,
        ping_text: str,
        stable_after: float,
        hooks: Hooks,
    ) -> None:
        self._owner = owner
        self._router = router
        self._calls = calls
        self._heartbeat = heartbeat
        self._ping_text = ping_text
        self._stable_after = stable_after
        self._hooks = hooks
        self._connection: ClientConnection | None = None
        self._codec: Codec = JSON
        self._admission: Admission | None = None  # None again once there is nothing more to find out
        self._held: Held | None = None
        self._open = False
        self._wanted = True
        self._close: Close | None = None
        self._ended = asyncio.Event()
        self.is_in = False

    # Sending

    def send(self, event: str, data: Any) -> None:
        """Send an event; raises :exc:`NotConnected` or :exc:`InvalidPayload`."""
        self._transmit(encode(self._codec, messages.event(event, data)))

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
            self._transmit(encode(self._codec, messages.client_call(event, data, call_id)))

        return await self._calls.call(event, send, timeout, on_pending, pending_after, kind)

    # Ending

    def close(self, code: CloseCode, reason: str) -> None:
        """Start the closing handshake. What waits for an answer fails now, and nothing more is sent or received."""
        self._leave(reason, Close(code, reason))
        if self._held is not None:
            self._held.take().clear()
        if self._connection is not None:
            self._connection.close(code, reason)

    def abort(self, close: Close) -> None:
        """Drop the connection. What waits for an answer fails now; what has arrived is still handled."""
        self._leave(close.reason, close)
        if self._connection is not None:
            self._connection.abort(close)

    async def wait_ended(self) -> None:
        """Wait until the connection is gone."""
        await self._ended.wait()

    # What the transport tells

    def opened(self, connection: ClientConnection) -> None:
        """The upgrade is done."""
        self._connection = connection
        self._open = True
        if connection.subprotocol == MSGPACK_SUBPROTOCOL:
            self._codec = CLIENT_MSGPACK
        self._admission = Admission(self, announced=connection.announces, stable_after=self._stable_after)
        self._held = Held(connection, self._held_too_long)
        self._wanted = self._owner.session_opened(self)
        if not self._wanted:
            self.abort(Close(CloseCode.CLIENT_CLOSED, "closed by the client"))

    def go_on(self) -> None:
        """The application has heard that the connection is open: hand it what has come meanwhile, and what comes."""
        held, self._held = self._held, None
        if held is not None:
            arrivals = held.take()
            while arrivals:
                self._deliver(*arrivals.popleft())

    def text(self, text: str) -> None:
        """A text message: the heartbeat's echo, or one of the client protocol."""
        if text != self._ping_text:
            self._receive(text)
        elif self._open:
            if self._admission is not None:
                self._admission.heard()
            self._heartbeat.echoed()

    def binary(self, data: bytes) -> None:
        """A message of the client protocol in a binary frame."""
        self._receive(data)

    def closed(self, close: Close) -> None:
        """The connection is gone."""
        self._leave(f"the connection was lost ({f'{close.code} {close.reason}'.rstrip()})", close)
        if self._wanted:
            self._owner.session_closed(self, close)
        self._ended.set()

    # What the admission tells

    def let_in(self) -> None:
        """The server has let the client in."""
        self.is_in = True
        self._heartbeat.start(self._ping, self._no_echo, self._moved)
        self._owner.session_let_in(self)

    def held(self) -> None:
        """The connection has held."""
        self._admission = None
        self._owner.session_held(self)

    def left_waiting(self) -> None:
        """The server neither lets in nor refuses."""
        self.abort(Close(CloseCode.ABNORMAL, "the server did not say in time whether it lets the client in"))

    # Inside

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
            self._hooks.notices.warn(
                "answer", "an answer was not sent: the connection that the server's call came on is gone"
            )

    def _ping(self) -> None:
        if self._connection is not None:
            self._connection.ask(self._ping_text.encode())

    def _moved(self) -> bool:
        if self._held is not None and self._held.is_full:
            return True  # the echo may have come, but nothing is read
        return self._connection is not None and self._connection.moved()

    def _no_echo(self) -> None:
        self.abort(Close(CloseCode.ABNORMAL, "the server did not answer the heartbeat"))

    def _leave(self, why: str, close: Close) -> None:
        if self._open:
            self._open = False
            self._close = close
            if self._admission is not None:
                self._admission.end()
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
        if self._admission is not None and self._is_admission(self._admission, message):
            return
        if self._held is not None and message.event is not None:
            self._held.add(raw, message)
        else:
            self._deliver(raw, message)

    def _is_admission(self, admission: Admission, message: Message) -> bool:
        if message.event == READY and not self.is_in:
            admission.ready()
            return True
        admission.heard()
        return False

    def _deliver(self, raw: str | bytes, message: Message) -> None:
        self._hooks.fire(self._hooks.on_message, raw)
        if message.event is None:
            self._answered(message)
            return
        self._router.receive(message, self._codec, self._reply)

    def _held_too_long(self) -> None:
        self._hooks.notices.warn(
            "held",
            "on_open still runs after %g s: events no longer wait for it; start a task for what takes longer",
            LONGEST,
        )
        self.go_on()

    def _undecodable(self, error: InvalidMessage) -> None:
        if error.callback_id is not None:
            self._calls.failed(error.callback_id, error)
        else:
            self._hooks.notices.warn(
                "message", "a message of the server can't be decoded, and was ignored: %r", error.message
            )

    def _answered(self, message: Message) -> None:
        if message.callback_id is None:
            self._hooks.notices.warn("message", "a message without an event and without a call's id was ignored")
        elif message.error is not None:
            self._calls.failed(message.callback_id, EventError(message.error.code, message.error.message))
        else:
            self._calls.answered(message.callback_id, self._codec, message.payload)
