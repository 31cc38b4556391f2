"""Receives what arrives on one connection, from its opening to its end."""

from __future__ import annotations

import asyncio
import contextvars
from functools import lru_cache, partial

from crosswire.core.codecs import JSON, Codec
from crosswire.core.formats import Encoded, Format, message_format
from crosswire.core.frames import Opcode
from crosswire.core.listeners import AnyHook
from crosswire.core.messages import READY, answer, event
from crosswire.runtime import environment
from crosswire.runtime.timer_wheel import Timer
from crosswire.server.authentication import Verdict
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.first_message import FirstMessageWait
from crosswire.server.handshake import Handshake
from crosswire.server.ready_wait import ReadyWait
from crosswire.server.running_handlers import RunningHandlers
from crosswire.server.session_parts import SessionParts
from crosswire.server.session_phase import SessionPhase
from crosswire.server.socket import Socket
from crosswire.server.teardown import Teardown
from crosswire.server.waiting_messages import WaitingMessages
from crosswire.transport.interface import Connection
from crosswire.types import Close

READY_MESSAGE = event(READY, None)
"""Message to a client of version 1 of the protocol: the connection is let in."""
CATCH_UP_TIME = 0.002
"""Seconds of a turn of the event loop in which waiting messages are handled. What has begun is handled to its end."""
BUSY_TIMEOUT = 2.0
"""Seconds that calls wait for a handler to end, at the limit on running handlers, before they are refused."""

_AUTHENTICATING, _CONNECTING, _CATCHING_UP, _OPEN, _ENDING = SessionPhase
"""The same, by names that cost nothing: members of an enum are looked up slowly before Python 3.12."""


class Session:
    """Receives what arrives on one connection, and handles it or lets it wait, according to the phase.

    Until the connection is let in its messages wait, except answers, as ``on_connect`` may call the client. While it
    has no user, pongs are only signs of life, and heartbeats are echoed later. Later messages wait while as many
    handlers are at work as may be, or their messages take as much memory as they may. ``Limits.max_message`` bytes may
    wait, more while an answer is awaited; then reading pauses, and the client is held back.

    Args:
        parts: of the server.
        handshake: the request that the connection began with.
        format: how messages to the client are encoded.
        verdict: the outcome of ``authenticate``, with the user.
        variables: its context variables.

    Attributes:
        client: the connected client; from ``opened`` on.
        socket: the application's view of the connection; from ``opened`` on.
        handlers: handlers and hooks at work for it.
        pending: the task that finds out whether it is let in.
        ready_wait: the wait for ``on_connect`` and for other servers.
        first_message: the wait for the message with the client's token; None if it is not awaited.
    """

    __slots__ = (
        "_busy_timer",
        "_echo_due",
        "_format",
        "_handshake",
        "_has_caught_up",
        "_let_in_at",
        "_level",
        "_parts",
        "_phase",
        "_teardown",
        "_verdict",
        "_waiting",
        "client",
        "first_message",
        "handlers",
        "pending",
        "ready_wait",
        "socket",
    )

    def __init__(
        self,
        parts: SessionParts,
        handshake: Handshake,
        format: Format,
        verdict: Verdict,
        variables: contextvars.Context,
    ) -> None:
        self._parts = parts
        self._handshake = handshake
        self._format = format
        self._verdict: Verdict | None = verdict
        self._let_in_at: float | None = None  # only for the access log
        self._phase = _AUTHENTICATING
        self._has_caught_up = False
        self._busy_timer: Timer | None = None
        self._level = handshake.understands
        self._echo_due = False
        self._teardown: Teardown | None = None
        self._waiting: WaitingMessages | None = None  # until a message has to wait
        self.pending: asyncio.Task[None] | None = None
        self.ready_wait: ReadyWait | None = None
        self.first_message: FirstMessageWait | None = None
        self.handlers = RunningHandlers(variables, parts.sessions.handlers)
        self.client: ConnectedClient[Socket]
        self.socket: Socket

    # Receiver

    def opened(self, connection: Connection) -> None:
        """Begin: let the connection in, refuse it, or authenticate it."""
        if not connection.framed:
            self._format = message_format(msgpack=self._format.codec.binary)
        parts = self._parts
        self.client = client = parts.client_factory.make(connection, self._format, self._handshake, self._level)
        self.socket = client.socket
        client.keepalive.quiet = True
        parts.sessions.add(self)
        verdict, self._verdict = self._verdict, None
        assert verdict is not None, "a connection opens once"
        parts.setup.begin(self, verdict)

    def text(self, text: str) -> None:
        """Take a text message: the heartbeat, or JSON."""
        self.client.keepalive.heard = True
        parts = self._parts
        if text == parts.heartbeat.text:
            self._receive_heartbeat()
        elif self._phase is _OPEN and not parts.hooks.on_message.listeners:
            parts.sessions.received += 1
            parts.router.receive_text(self, text)
        elif self._phase is _OPEN:
            self._receive(JSON, text)
        else:
            self._receive_early(JSON, text)

    def binary(self, data: bytes) -> None:
        """Take a binary message: MessagePack if that was agreed on, else JSON."""
        self.client.keepalive.heard = True
        codec = self._format.codec if self._format.codec.binary else JSON
        if self._phase is _OPEN:
            self._receive(codec, data)
        else:
            self._receive_early(codec, data)

    def pong(self, payload: bytes) -> None:
        """Take a pong, and run ``on_pong`` if the connection is let in."""
        self.client.keepalive.pong(payload)
        self._run_in_turn(self._parts.hooks.on_pong)

    def held_back(self, limit: str) -> None:
        """Report that the client is over a rate, and is read later."""
        self._parts.hooks.held_back(self, limit, tells=self._phase is not _AUTHENTICATING)

    def closed(self, close: Close) -> None:
        """End the session, as the connection is gone."""
        client, parts = self.client, self._parts
        left_by_client = client.is_open
        if self._busy_timer is not None:
            self._stop_busy_timer()
        parts.sessions.discard(self, close.code)
        client.retire()
        if parts.access_log is not None:
            parts.access_log.ended(self, self._let_in_at, close)
        if self._phase is _AUTHENTICATING:
            self._phase = _ENDING
            self._waiting = None
            if self.pending is not None:
                self.pending.cancel()
            return
        if not left_by_client:
            self._waiting = None
        if self._phase is _OPEN and not self.handlers.running:
            self._end(close)
        else:
            self._tear_down(close)

    # NewSession

    def admitted(self) -> None:
        """Go on to ``on_connect``: the connection has its user."""
        self.client.keepalive.quiet = False
        self._phase = _CONNECTING

    def ready(self) -> None:
        """Let the connection in, and handle the messages that waited."""
        self.ready_wait = None
        self._phase = _CATCHING_UP
        client = self.client
        if client.is_open:
            access_log = self._parts.access_log
            if access_log is not None:
                self._let_in_at = access_log.let_in(self)
            if self._level >= 1:
                client.send_encoded(self._format.encode(READY_MESSAGE))
            if self.first_message is not None and (call_id := self.first_message.call_id) is not None:
                client.send_encoded(self._format.encode(answer(call_id, None)))
            if self._echo_due:
                self._echo()
            if self._waiting is None and not self.handlers.running:  # nearly always
                self._phase = _OPEN
                self._has_caught_up = True
                return
        self._catch_up()

    # Catching up

    def _catch_up(self) -> None:
        """Handle waiting messages for ``CATCH_UP_TIME`` in a turn, within the limit on running handlers."""
        if self._phase is not _CATCHING_UP:
            return
        self._stop_busy_timer()
        now = environment.perf_counter()
        end = now + CATCH_UP_TIME
        while now < end:
            if not self._waiting or self._is_closed_by_server:
                self._caught_up()
                self.hold_messages_if_busy()  # the last message may be at work
                return
            if self._is_busy:
                self._wait_for_handler()
                return
            self._waiting.handle_next()
            now = environment.perf_counter()
        self._catch_up_soon()

    def hold_messages_if_busy(self) -> None:
        """Let messages wait while the limits on running handlers are reached, so that a burst loses nothing."""
        if self._phase is _OPEN and self._is_busy:
            self._phase = _CATCHING_UP
            self._wait_for_handler()
            self._queue().pause_if_full(self.client)

    def postpone(self, codec: Codec, data: str | bytes, needs: int) -> None:
        """Let a message and all behind it wait until there are ``needs`` bytes for it, or no handler is at work."""
        self._queue().put_back(needs, partial(self._parts.router.receive, self), codec, data)
        self.hold_messages_if_busy()

    def _wait_for_handler(self) -> None:
        """Go on when a handler has ended; once the connection was let in, messages wait no longer than the timeout."""
        if self._has_caught_up and self._busy_timer is None:
            self._busy_timer = self._parts.wheel.start(BUSY_TIMEOUT, self._busy_timed_out)
        self.handlers.when_one_ends(self._catch_up_soon)

    def _stop_busy_timer(self) -> None:
        if self._busy_timer is not None:
            self._busy_timer.cancel()
            self._busy_timer = None

    def _busy_timed_out(self) -> None:
        """Refuse the calls that wait, as their callers do not wait for long; events go on waiting."""
        self._busy_timer = None
        if self._phase is _CATCHING_UP and self._teardown is None:
            waiting = self._queue()
            waiting.remove_messages(partial(self._parts.router.refused, self))
            waiting.resume_if_not_full(self.client)
            self._busy_timer = self._parts.wheel.start(BUSY_TIMEOUT, self._busy_timed_out)

    def _catch_up_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._catch_up, context=self.handlers.copy_context())

    def _caught_up(self) -> None:
        self._waiting = None
        self._stop_busy_timer()
        if self._teardown is not None:
            self._phase = _ENDING
            self._teardown.wait_for_handlers()
            return
        self._phase = _OPEN
        self._has_caught_up = True
        self.client.resume_reading()

    @property
    def _is_closed_by_server(self) -> bool:
        """Whether this server or the application has closed the connection. Its last messages are then not handled.

        If the client has closed it, the messages that it sent before are handled.
        """
        return self._teardown is None and not self.client.is_open

    @property
    def _is_busy(self) -> bool:
        """Whether the next message might start more handlers than the limits allow, or take more memory."""
        if self.handlers.running <= 0:
            return False
        return self._queue().must_wait(2 if self._parts.hooks.on_message else 1)

    def _queue(self) -> WaitingMessages:
        """Return the messages that wait: none yet, if there have been none."""
        if self._waiting is None:
            self._waiting = WaitingMessages(self.handlers, self._parts.limits, self._parts.held)
        return self._waiting

    def _drop_waiting(self) -> None:
        self._waiting = None

    # Messages

    def _receive(self, codec: Codec, data: str | bytes) -> None:
        parts = self._parts
        parts.sessions.received += 1
        hook = parts.hooks.on_message
        if hook.listeners:
            parts.hooks.run(self, hook, data)
        parts.router.receive(self, codec, data)

    def _receive_early(self, codec: Codec, data: str | bytes) -> None:
        """Take a message while earlier ones wait: handle an answer at once, and queue any other message."""
        if self.first_message is not None and self.first_message.take(codec, data):
            return
        if self.client.awaits_answers and self._parts.router.answered(self, codec, data):
            self._parts.sessions.received += 1
            if hook := self._parts.hooks.on_message:
                self._queue().add(self.client, len(data), self._parts.hooks.run, self, hook, data)
        else:
            self._queue().add_message(self.client, self._receive, codec, data)

    def _receive_heartbeat(self) -> None:
        self.client.keepalive.sends_heartbeats = True
        if self._phase is _AUTHENTICATING or (self._level >= 1 and self._phase is _CONNECTING):
            self._echo_due = True
        else:
            self._echo()
        self._run_in_turn(self._parts.hooks.on_heartbeat)

    def _echo(self) -> None:
        self.client.send_encoded(_encode_echo(self._format, self._parts.heartbeat.text))

    def _run_in_turn(self, hook: AnyHook) -> None:
        """Run a hook, behind the messages that wait; nothing of the application runs before the client has a user."""
        if not hook:
            return
        if self._phase is _OPEN:
            self._parts.hooks.run(self, hook)
        elif self._phase is not _AUTHENTICATING:
            self._queue().add(self.client, 0, self._parts.hooks.run, self, hook)

    # The end

    def _tear_down(self, close: Close) -> None:
        """Let handlers end, and messages that have come be handled, before ``on_disconnect``."""
        self._teardown = Teardown(
            self.socket,
            self.handlers,
            self._parts.wheel,
            self._parts.limits.linger,
            self._parts.sessions,
            self._drop_waiting,
            lambda: self._end(close),
        )
        if self._phase is _OPEN:
            self._phase = _ENDING
            self._teardown.wait_for_handlers()
        elif self.ready_wait is not None:
            self.ready_wait.skip_arrival()
        if self._parts.sessions.handlers.full:
            self._teardown.hurry()

    def _end(self, close: Close) -> None:
        self._phase = _ENDING
        hooks = self._parts.hooks
        if hooks.on_disconnect.listeners:
            hooks.run_on_disconnect(self, close)


@lru_cache(maxsize=64)
def _encode_echo(format: Format, text: str) -> Encoded:
    """Return a heartbeat as it is echoed; cached, because servers have one text and few formats."""
    return format.raw(Opcode.TEXT, text.encode())
