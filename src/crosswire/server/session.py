"""Receives what arrives on one connection, from its opening to its end."""

from __future__ import annotations

import asyncio
import contextvars
from enum import Enum, auto
from functools import lru_cache, partial

from crosswire.core.codecs import JSON, Codec
from crosswire.core.formats import Encoded, Format, message_format
from crosswire.core.frames import Opcode
from crosswire.core.limits import Heartbeat, Limits
from crosswire.core.listeners import AnyHook
from crosswire.core.messages import READY, answer, event
from crosswire.runtime import environment
from crosswire.runtime.timer_wheel import Timer, TimerWheel
from crosswire.server.access_log import AccessLog
from crosswire.server.authentication import Verdict
from crosswire.server.client_factory import ClientFactory
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.connection_setup import ConnectionSetup
from crosswire.server.first_message import FirstMessageWait
from crosswire.server.handshake import Handshake
from crosswire.server.held_messages import HeldLimits
from crosswire.server.hook_runner import HookRunner
from crosswire.server.ready_wait import ReadyWait
from crosswire.server.router import MessageRouter
from crosswire.server.running_handlers import RunningHandlers
from crosswire.server.sessions import Sessions
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


class SessionPhase(Enum):
    """Phases of a connection. Each begins when the work of the phase before it has ended, or was cancelled."""

    AUTHENTICATING = auto()
    """The connection has no user yet, or was refused."""
    CONNECTING = auto()
    """``on_connect`` runs, or the user is being announced to other servers."""
    CATCHING_UP = auto()
    """The connection is let in, and messages that waited are handled, or wait for handlers to end."""
    OPEN = auto()
    """Messages are handled at once."""
    ENDING = auto()
    """The connection is gone, or about to be, and no more messages are handled."""


_OPEN = SessionPhase.OPEN
"""The same, by a name that costs nothing: members of an enum are looked up slowly before Python 3.12."""


class Session:
    """Receives what arrives on one connection, and handles it or lets it wait, according to the phase.

    Until the connection is let in its messages wait, except answers, as ``on_connect`` may call the client. While it
    has no user, pongs are only signs of life, and heartbeats are echoed later. Later messages wait while as many
    handlers are at work as may be, or their messages take as much memory as they may. ``Limits.max_message`` bytes may
    wait, more while an answer is awaited; then reading pauses, and the client is held back.

    Args:
        client_factory: makes the client and the socket.
        setup: lets the connection in.
        router: handles the messages once the connection is let in.
        hooks: runs the hooks.
        limits: what the client may use.
        held: limits on the memory of its messages.
        heartbeat: has the text that is echoed.
        wheel: for timers.
        sessions: all sessions of the server; this session is among them from ``opened`` to ``closed``.
        access_log: where connections and their ends are logged, or None.
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
        "_access_log",
        "_busy_timer",
        "_client_factory",
        "_echo_due",
        "_format",
        "_handshake",
        "_has_caught_up",
        "_heartbeat",
        "_hooks",
        "_let_in_at",
        "_level",
        "_limits",
        "_phase",
        "_router",
        "_sessions",
        "_setup",
        "_teardown",
        "_verdict",
        "_waiting",
        "_wheel",
        "client",
        "first_message",
        "handlers",
        "pending",
        "ready_wait",
        "socket",
    )

    def __init__(
        self,
        client_factory: ClientFactory,
        setup: ConnectionSetup,
        router: MessageRouter,
        hooks: HookRunner,
        limits: Limits,
        held: HeldLimits,
        heartbeat: Heartbeat,
        wheel: TimerWheel,
        sessions: Sessions,
        access_log: AccessLog | None,
        handshake: Handshake,
        format: Format,
        verdict: Verdict,
        variables: contextvars.Context,
    ) -> None:
        self._handshake = handshake
        self._format = format
        self._verdict: Verdict | None = verdict
        self._client_factory = client_factory
        self._setup = setup
        self._router = router
        self._hooks = hooks
        self._limits = limits
        self._heartbeat = heartbeat
        self._wheel = wheel
        self._sessions = sessions
        self._access_log = access_log
        self._let_in_at: float | None = None  # only for the access log
        self._phase = SessionPhase.AUTHENTICATING
        self._has_caught_up = False
        self._busy_timer: Timer | None = None
        self._level = handshake.understands
        self._echo_due = False
        self._teardown: Teardown | None = None
        self.pending: asyncio.Task[None] | None = None
        self.ready_wait: ReadyWait | None = None
        self.first_message: FirstMessageWait | None = None
        self.handlers = RunningHandlers(variables, sessions.handlers)
        self._waiting = WaitingMessages(self.handlers, limits, held)
        self.client: ConnectedClient[Socket]
        self.socket: Socket

    # Receiver

    def opened(self, connection: Connection) -> None:
        """Begin: let the connection in, refuse it, or authenticate it."""
        if not connection.framed:
            self._format = message_format(msgpack=self._format.codec.binary)
        self.client = self._client_factory.make(connection, self._format, self._handshake, self._level)
        self.socket = self.client.socket
        self.client.keepalive.quiet = True
        self._sessions.add(self)
        verdict, self._verdict = self._verdict, None
        assert verdict is not None, "a connection opens once"
        self._setup.begin(self, verdict)

    def text(self, text: str) -> None:
        """Take a text message: the heartbeat, or JSON."""
        self.client.keepalive.heard = True
        if text == self._heartbeat.text:
            self._receive_heartbeat()
        elif self._phase is _OPEN and not self._hooks.on_message.listeners:
            self._sessions.received += 1
            self._router.receive(self, JSON, text)
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
        self._run_in_turn(self._hooks.on_pong)

    def held_back(self, limit: str) -> None:
        """Report that the client is over a rate, and is read later."""
        self._hooks.held_back(self, limit, tells=self._phase is not SessionPhase.AUTHENTICATING)

    def closed(self, close: Close) -> None:
        """End the session, as the connection is gone."""
        left_by_client = self.client.is_open
        self._stop_busy_timer()
        self._sessions.discard(self, close.code)
        self.client.retire()
        if self._access_log is not None:
            self._access_log.ended(self, self._let_in_at, close)
        if self._phase is SessionPhase.AUTHENTICATING:
            self._phase = SessionPhase.ENDING
            self._waiting.clear()
            if self.pending is not None:
                self.pending.cancel()
            return
        if not left_by_client:
            self._waiting.clear()
        if self._phase is SessionPhase.OPEN and not self.handlers.running:
            self._end(close)
        else:
            self._tear_down(close)

    # NewSession

    def admitted(self) -> None:
        """Go on to ``on_connect``: the connection has its user."""
        self.client.keepalive.quiet = False
        self._phase = SessionPhase.CONNECTING

    def ready(self) -> None:
        """Let the connection in, and handle the messages that waited."""
        self.ready_wait = None
        self._phase = SessionPhase.CATCHING_UP
        if self.client.is_open:
            if self._access_log is not None:
                self._let_in_at = self._access_log.let_in(self)
            if self._level >= 1:
                self.client.send_encoded(self._format.encode(READY_MESSAGE))
            if self.first_message is not None and (call_id := self.first_message.call_id) is not None:
                self.client.send_encoded(self._format.encode(answer(call_id, None)))
            if self._echo_due:
                self._echo()
        self._catch_up()

    # Catching up

    def _catch_up(self) -> None:
        """Handle waiting messages for ``CATCH_UP_TIME`` in a turn, within the limit on running handlers."""
        if self._phase is not SessionPhase.CATCHING_UP:
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
        if self._phase is SessionPhase.OPEN and self._is_busy:
            self._phase = SessionPhase.CATCHING_UP
            self._wait_for_handler()
            self._waiting.pause_if_full(self.client)

    def postpone(self, codec: Codec, data: str | bytes, needs: int) -> None:
        """Let a message and all behind it wait until there are ``needs`` bytes for it, or no handler is at work."""
        self._waiting.put_back(needs, partial(self._router.receive, self), codec, data)
        self.hold_messages_if_busy()

    def _wait_for_handler(self) -> None:
        """Go on when a handler has ended; once the connection was let in, messages wait no longer than the timeout."""
        if self._has_caught_up and self._busy_timer is None:
            self._busy_timer = self._wheel.start(BUSY_TIMEOUT, self._busy_timed_out)
        self.handlers.when_one_ends(self._catch_up_soon)

    def _stop_busy_timer(self) -> None:
        if self._busy_timer is not None:
            self._busy_timer.cancel()
            self._busy_timer = None

    def _busy_timed_out(self) -> None:
        """Refuse the calls that wait, as their callers do not wait for long; events go on waiting."""
        self._busy_timer = None
        if self._phase is SessionPhase.CATCHING_UP and self._teardown is None:
            self._waiting.remove_messages(partial(self._router.refused, self))
            self._waiting.resume_if_not_full(self.client)
            self._busy_timer = self._wheel.start(BUSY_TIMEOUT, self._busy_timed_out)

    def _catch_up_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._catch_up, context=self.handlers.copy_context())

    def _caught_up(self) -> None:
        self._waiting.clear()
        self._stop_busy_timer()
        if self._teardown is not None:
            self._phase = SessionPhase.ENDING
            self._teardown.wait_for_handlers()
            return
        self._phase = SessionPhase.OPEN
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
        return self._waiting.must_wait(2 if self._hooks.on_message else 1)

    # Messages

    def _receive(self, codec: Codec, data: str | bytes) -> None:
        self._sessions.received += 1
        hook = self._hooks.on_message
        if hook.listeners:
            self._hooks.run(self, hook, data)
        self._router.receive(self, codec, data)

    def _receive_early(self, codec: Codec, data: str | bytes) -> None:
        """Take a message while earlier ones wait: handle an answer at once, and queue any other message."""
        if self.first_message is not None and self.first_message.take(codec, data):
            return
        if self.client.awaits_answers and self._router.answered(self, codec, data):
            self._sessions.received += 1
            if hook := self._hooks.on_message:
                self._waiting.add(self.client, len(data), self._hooks.run, self, hook, data)
        else:
            self._waiting.add_message(self.client, self._receive, codec, data)

    def _receive_heartbeat(self) -> None:
        self.client.keepalive.sends_heartbeats = True
        if self._phase is SessionPhase.AUTHENTICATING or (self._level >= 1 and self._phase is SessionPhase.CONNECTING):
            self._echo_due = True
        else:
            self._echo()
        self._run_in_turn(self._hooks.on_heartbeat)

    def _echo(self) -> None:
        self.client.send_encoded(_encode_echo(self._format, self._heartbeat.text))

    def _run_in_turn(self, hook: AnyHook) -> None:
        """Run a hook, behind the messages that wait; nothing of the application runs before the client has a user."""
        if not hook:
            return
        if self._phase is _OPEN:
            self._hooks.run(self, hook)
        elif self._phase is not SessionPhase.AUTHENTICATING:
            self._waiting.add(self.client, 0, self._hooks.run, self, hook)

    # The end

    def _tear_down(self, close: Close) -> None:
        """Let handlers end, and messages that have come be handled, before ``on_disconnect``."""
        self._teardown = Teardown(
            self.socket,
            self.handlers,
            self._wheel,
            self._limits.linger,
            self._sessions,
            self._waiting.clear,
            lambda: self._end(close),
        )
        if self._phase is _OPEN:
            self._phase = SessionPhase.ENDING
            self._teardown.wait_for_handlers()
        elif self.ready_wait is not None:
            self.ready_wait.skip_arrival()
        if self._sessions.handlers.full:
            self._teardown.hurry()

    def _end(self, close: Close) -> None:
        self._phase = SessionPhase.ENDING
        self._hooks.run_on_disconnect(self, close)


@lru_cache(maxsize=64)
def _encode_echo(format: Format, text: str) -> Encoded:
    """Return a heartbeat as it is echoed; cached, because servers have one text and few formats."""
    return format.raw(Opcode.TEXT, text.encode())
