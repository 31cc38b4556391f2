"""One connection of a client, from the upgrade to its end."""

from __future__ import annotations

import asyncio
import logging
from typing import Any, Protocol

from crosswire.client.calls import Calls, Pending
from crosswire.client.heartbeat import Heartbeat
from crosswire.client.hooks import Hooks
from crosswire.client.router import Delivery, Question, Router
from crosswire.core import messages
from crosswire.core.messages import CLIENT_MSGPACK, JSON, MSGPACK_SUBPROTOCOL, Codec, Message
from crosswire.core.payloads import ANY, RawPayload
from crosswire.errors import EventError, InvalidMessage, InvalidPayload, NotConnected
from crosswire.transport.connector import ClientConnection
from crosswire.types import Close, CloseCode

logger = logging.getLogger("crosswire.client")


class SessionOwner(Protocol):
    """Who wants to know that a session begins and ends."""

    def session_opened(self, session: Session) -> bool:
        """The session can send; return False if it is not wanted any more."""
        ...

    def session_closed(self, session: Session, close: Close) -> None:
        """The session ended; not called for one that was not wanted."""


class Session:
    """What is sent and received on one connection, and the calls that wait for it. A receiver of the transport.

    Args:
        owner: told of the session's begin and end.
        router: gets the server's events and calls.
        calls: the client's own, fresh for this session.
        heartbeat: runs while the session is open.
        ping_text: the heartbeat's text.
        hooks: told of every message.
    """

    def __init__(
        self, owner: SessionOwner, router: Router, calls: Calls, heartbeat: Heartbeat, ping_text: str, hooks: Hooks
    ) -> None:
        self._owner = owner
        self._router = router
        self._calls = calls
        self._heartbeat = heartbeat
        self._ping_text = ping_text
        self._hooks = hooks
        self._connection: ClientConnection | None = None
        self._codec: Codec = JSON
        self._open = False
        self._wanted = True
        self._ended = asyncio.Event()

    # Sending

    def send(self, event: str, data: Any) -> None:
        """Send an event; raises :exc:`NotConnected` or :exc:`InvalidPayload`."""
        self._transmit(self._codec.encode(messages.event(event, data)))

    async def call(
        self, event: str, data: Any, *, timeout: float, on_pending: Pending | None, pending_after: float
    ) -> Any:
        """Call the server; see :meth:`crosswire.Client.call`."""

        def send(call_id: str) -> None:
            self._transmit(self._codec.encode(messages.client_call(event, data, call_id)))

        return await self._calls.call(event, send, timeout, on_pending, pending_after)

    # Ending

    def close(self, code: CloseCode, reason: str) -> None:
        """Start the closing handshake. What waits for an answer fails now, and nothing more is sent or received."""
        self._leave(reason)
        if self._connection is not None:
            self._connection.close(code, reason)

    def abort(self, close: Close) -> None:
        """Drop the connection; otherwise as :meth:`close`."""
        self._leave(close.reason)
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
        self._heartbeat.start(self._ping, self._no_echo)
        self._wanted = self._owner.session_opened(self)
        if not self._wanted:
            self.abort(Close(CloseCode.CLIENT_CLOSED, "closed by the client"))

    def text(self, text: str) -> None:
        """A text message: the heartbeat's echo, or one of the client protocol."""
        if text != self._ping_text:
            self._receive(text)
        elif self._open:
            self._heartbeat.echoed()

    def binary(self, data: bytes) -> None:
        """A message of the client protocol in a binary frame."""
        self._receive(data)

    def closed(self, close: Close) -> None:
        """The connection is gone."""
        self._leave(f"the connection was lost ({close.code} {close.reason})")
        if self._wanted:
            self._owner.session_closed(self, close)
        self._ended.set()

    # Inside

    def _transmit(self, data: bytes) -> None:
        if not self._open or self._connection is None:
            raise NotConnected("the connection is closed or closing")
        if self._codec.binary:
            self._connection.send_binary(data)
        else:
            self._connection.send_text(data)

    def _reply(self, data: bytes) -> None:
        if self._open:
            self._transmit(data)
        else:
            logger.debug("an answer was not sent: the connection that the call came on is gone")

    def _ping(self) -> None:
        if self._connection is not None:
            self._connection.send_text(self._ping_text.encode())

    def _no_echo(self) -> None:
        self.abort(Close(CloseCode.ABNORMAL, "the server did not answer the heartbeat"))

    def _leave(self, why: str) -> None:
        if self._open:
            self._open = False
            self._heartbeat.stop()
            self._calls.lost(why)

    def _receive(self, raw: str | bytes) -> None:
        if not self._open:
            return
        self._hooks.fire(self._hooks.on_message, raw)
        try:
            message = self._codec.decode(raw)
        except InvalidMessage as error:
            logger.debug("a message was ignored: %s", error)
            return
        self._route(message)

    def _route(self, message: Message) -> None:
        if message.event is None:
            self._answered(message)
            return
        delivery = Delivery(message.event, message.payload, self._codec)
        if message.call_id is None:
            self._router.event(delivery)
        else:
            self._router.call(Question(delivery, message.call_id, self._reply))

    def _answered(self, message: Message) -> None:
        if message.callback_id is None:
            logger.debug("a message without an event and without a call's id was ignored")
        elif message.error is not None:
            self._calls.failed(message.callback_id, EventError(message.error.code, message.error.message))
        else:
            self._answer(message.callback_id, message.payload)

    def _answer(self, call_id: str, raw: RawPayload) -> None:
        try:
            value = self._codec.payload(ANY, raw)
        except InvalidPayload as error:
            self._calls.failed(call_id, error)
        else:
            self._calls.answered(call_id, value)
