"""The life of one connection: authentication, ``on_connect``, its events, ``on_disconnect``."""

from __future__ import annotations

import asyncio
import contextvars
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from crosswire.core.formats import Format
from crosswire.core.frames import Opcode, encode_frame
from crosswire.core.listeners import AnyHook
from crosswire.core.messages import JSON, READY, Codec, event
from crosswire.errors import Reject
from crosswire.runtime.contexts import run_in
from crosswire.runtime.dispatch import fire
from crosswire.runtime.tasks import is_being_cancelled
from crosswire.runtime.wheel import Timer
from crosswire.server.authentication import Verdict, checked_user
from crosswire.server.backlog import Backlog
from crosswire.server.departure import Departure
from crosswire.server.entry import Entry
from crosswire.server.handshake import Handshake
from crosswire.server.socket import Socket
from crosswire.server.work import Work
from crosswire.transport.interface import Connection
from crosswire.types import Close, CloseCode

if TYPE_CHECKING:
    from crosswire.server.context import Context
    from crosswire.server.router import Router


_READY = event(READY, None)
_BATCH = 100
"""Messages that waited and are handled in one turn of the event loop."""
_WHILE_CALLED = 16
"""How many times ``Limits.max_message`` may wait while the client is called, and its answer is behind that."""
_PATIENCE = 2.0
"""Seconds for which messages wait, while no handler ends and no more may be at work, before they are refused."""


class Phase(Enum):
    """Where a connection is in its life. Each begins when what the former is about has ended, or was cancelled."""

    AUTHENTICATING = auto()
    """It has no user yet, or was refused."""
    GREETING = auto()
    """``on_connect`` is at work, or other servers are being told."""
    CATCHING_UP = auto()
    """It is let in, and what waited is handled: what came before, or while as many handlers as may be were at work."""
    OPEN = auto()
    """What comes is handled at once."""
    LEAVING = auto()
    """It is gone, or as good as that, and nothing more is handled."""


class Session:
    """Receives what arrives on one connection, and knows what may be done with it yet.

    Until the connection is let in its messages wait, but for answers, pongs and heartbeats: what the application asks
    of it in ``on_connect`` must not wait for itself. Of the rest ``Limits.max_message`` bytes are held, more while an
    answer is waited for; then reading pauses, and the client is held back.

    Attributes:
        socket: the application's view of the connection; there from ``opened`` on.
        work: handlers and hooks at work for it.
    """

    __slots__ = (
        "_backlog",
        "_context",
        "_departure",
        "_echo_due",
        "_entry",
        "_format",
        "_handshake",
        "_has_caught_up",
        "_patience",
        "_phase",
        "_router",
        "_task",
        "_tells_ready",
        "_verdict",
        "socket",
        "work",
    )

    def __init__(
        self,
        handshake: Handshake,
        format: Format,
        verdict: Verdict,
        variables: contextvars.Context,
        *,
        router: Router,
        context: Context,
    ) -> None:
        self._handshake = handshake
        self._format = format
        self._verdict: Verdict | None = verdict
        self._router = router
        self._context = context
        self._phase = Phase.AUTHENTICATING
        self._backlog: Backlog | None = None
        self._has_caught_up = False
        self._patience: Timer | None = None
        self._tells_ready = handshake.understands >= 1
        self._echo_due = False
        self._task: asyncio.Task[None] | None = None
        self._entry: Entry | None = None
        self._departure: Departure | None = None
        self.work = Work(variables)
        self.socket: Socket

    # Receiver

    def opened(self, connection: Connection) -> None:
        """Begin: let the connection in, refuse it, or ask who it is."""
        self.socket = Socket(self._handshake, connection, self._format, self._context, self.work.copy_context)
        self._context.sessions.add(self)
        verdict, self._verdict = self._verdict, None
        assert verdict is not None, "a connection opens once"
        if verdict.reject is not None:
            self.socket.close(verdict.reject.close_code, verdict.reject.reason)
        elif verdict.pending is not None:
            self._task = self._context.tasks.start(
                self._authenticate(verdict.pending), "crosswire authenticate", "authenticate"
            )
        else:
            self._admit(verdict.user)

    def text(self, text: str) -> None:
        """Take a text message: the heartbeat, or JSON."""
        self.socket.keepalive.heard = True
        if text == self._context.heartbeat.text:
            self._heartbeat()
        elif self._phase is Phase.OPEN:
            self._deliver(JSON, text)
        else:
            self._receive_early(JSON, text)

    def binary(self, data: bytes) -> None:
        """Take a binary message: MessagePack if that was agreed on, else JSON."""
        self.socket.keepalive.heard = True
        codec = self._format.codec if self._format.codec.binary else JSON
        if self._phase is Phase.OPEN:
            self._deliver(codec, data)
        else:
            self._receive_early(codec, data)

    def pong(self, payload: bytes) -> None:
        """Take a pong."""
        self.socket.pong(payload)
        self._tell(self._context.hooks.on_pong)

    def closed(self, close: Close) -> None:
        """End: the connection is gone, whoever closed it."""
        left_by_peer = self.socket.is_open
        self._context.sessions.discard(self)
        self.socket.retire()
        if self._phase is Phase.AUTHENTICATING:
            self._phase = Phase.LEAVING
            self._backlog = None
            if self._task is not None:
                self._task.cancel()
            return
        if not left_by_peer:
            self._give_up()
        if self._phase is Phase.OPEN and not self.work.running:
            self._end(close)
        else:
            self._leave(close)

    # How it is let in

    async def _authenticate(self, hook: Callable[[], Awaitable[Any]]) -> None:
        async def ask() -> Any:
            return await hook()

        patience = self._context.wheel.start(self._context.limits.auth_timeout, self._authenticate_no_longer)
        try:
            user = checked_user(await run_in(self.work.context(), ask()))
        except Reject as reject:
            self.socket.close(reject.close_code, reject.reason)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                self.socket.close(CloseCode.INTERNAL_ERROR, "authentication failed")
                raise
            self._context.failures.report(None, error, "authenticate")
            self.socket.close(CloseCode.INTERNAL_ERROR, "authentication failed")
        else:
            self._task = None
            self._admit(user)
        finally:
            patience.cancel()

    def _authenticate_no_longer(self) -> None:
        """Close the connection, though ``authenticate`` may not end when it is cancelled."""
        text = "authenticate did not end within %g s, so %r was not let in"
        self._context.failures.notices.warn("slow authenticate", text, self._context.limits.auth_timeout, self.socket)
        self.socket.close(CloseCode.TRY_AGAIN_LATER, "authentication took too long")
        if self._task is not None:
            self._task.cancel()

    def _admit(self, user: str | None) -> None:
        if not self.socket.is_open:
            return
        known = self.socket.id if user is None else user
        if self._context.duplicates.keeps_out(self.socket, known):
            self._task = self._context.tasks.start(self._contest(known), "crosswire duplicate")
        else:
            self._welcome(known)

    async def _contest(self, user: str) -> None:
        """See whether the user's older connection is alive, and keeps this one out."""
        await self._context.duplicates.drop_dead(user)
        self._task = None
        if self.socket.is_open:
            self._welcome(user)

    def _welcome(self, user: str) -> None:
        if not self._context.registry.admit(self.socket, user):
            self.socket.close(CloseCode.REPLACED, "the user is connected already")
            return
        self._phase = Phase.GREETING
        tasks = self._context.tasks
        greeting = fire(self._context.hooks.on_connect, (self.socket,), tasks, self._hook_failed, self.work.context)
        arrival = self._context.duplicates.announcement(self.socket)
        announcing = None if arrival is None else tasks.start(arrival, "crosswire arrival")
        if greeting is not None:
            self.work.follow(greeting)
        if (greeting is None or greeting.done()) and (announcing is None or announcing.done()):
            self._let_in()
        else:
            seconds, wheel = self._context.limits.auth_timeout, self._context.wheel
            self._entry = Entry(greeting, announcing, seconds, wheel, self._let_in, self._greet_no_longer)

    def _greet_no_longer(self) -> None:
        seconds = self._context.limits.auth_timeout
        error = TimeoutError(f"on_connect did not end within Limits.auth_timeout, which is {seconds} s")
        self._context.failures.report(self.socket, error, "on_connect")
        self.socket.close(CloseCode.TRY_AGAIN_LATER, "on_connect took too long")

    def _let_in(self) -> None:
        self._entry = None
        self._phase = Phase.CATCHING_UP
        if self.socket.is_open:
            if self._tells_ready:
                self.socket.deliver(self._format.frame(_READY))
            if self._echo_due:
                self._echo()
        self._catch_up()

    def _catch_up(self) -> None:
        """Handle what waited, as many in a turn and at once as a connection may have handlers."""
        if self._phase is not Phase.CATCHING_UP:
            return
        self._end_patience()
        for _ in range(_BATCH):
            if not self._backlog or self._is_closed_here:
                self._caught_up()
                self.hold_if_full()  # what was handled last may be at work
                return
            if self._is_busy:
                self._wait_for_one()
                return
            self._backlog.handle_next()
        self._catch_up_soon()

    def hold_if_full(self) -> None:
        """Let what comes wait for a while if as many handlers are at work as may be: a burst loses nothing."""
        if self._phase is Phase.OPEN and self._is_busy:
            self._phase = Phase.CATCHING_UP
            self._wait_for_one()

    def _wait_for_one(self) -> None:
        """Go on when a handler has ended. What came after it was let in waits a while only; then the router refuses."""
        if self._has_caught_up:
            self._patience = self._context.wheel.start(_PATIENCE, self._still_full)
        self.work.when_one_ends(self._catch_up_soon)

    def _end_patience(self) -> None:
        if self._patience is not None:
            self._patience.cancel()
            self._patience = None

    def _still_full(self) -> None:
        if self._phase is Phase.CATCHING_UP and self._departure is None:
            while self._backlog:
                self._backlog.handle_next()
            self._caught_up()

    def _catch_up_soon(self) -> None:
        asyncio.get_running_loop().call_soon(self._catch_up, context=self.work.copy_context())

    def _caught_up(self) -> None:
        self._backlog = None
        self._end_patience()
        if self._departure is not None:
            self._phase = Phase.LEAVING
            self._departure.settle()
            return
        self._phase = Phase.OPEN
        self._has_caught_up = True
        self.socket.resume_reading()

    @property
    def _is_closed_here(self) -> bool:
        """Whether the application or the server closed it; a peer that has gone is heard to the end."""
        return self._departure is None and not self.socket.is_open

    @property
    def _is_busy(self) -> bool:
        """Whether the next message might be too much."""
        at_once = 2 if self._context.hooks.on_message else 1
        return 0 < self.work.running > self._context.limits.handlers - at_once

    # What arrives

    def _receive_early(self, codec: Codec, data: str | bytes) -> None:
        """Take a message before others may overtake it: an answer now, anything else in its turn."""
        if self.socket.awaits_answers and self._router.answered(self.socket, codec, data):
            if hook := self._context.hooks.on_message:
                self._keep(len(data), self._fire, hook, self.socket, data)
        else:
            self._keep(len(data), self._deliver, codec, data)

    def _keep(self, size: int, handle: Callable[..., None], *arguments: Any) -> None:
        if self._backlog is None:
            self._backlog = Backlog()
        self._backlog.add(size, handle, *arguments)
        if self._holds_enough():
            self.socket.pause_reading(self._read_on)

    def _holds_enough(self) -> bool:
        """Whether so much waits that the client has to; not as soon while its answer may be behind what it sends."""
        times = _WHILE_CALLED if self.socket.awaits_answers else 1
        return self._backlog is not None and self._backlog.size > times * self._context.limits.max_message

    def _read_on(self) -> None:
        """The client is called while it is held back."""
        if not self._holds_enough():
            self.socket.resume_reading()

    def _deliver(self, codec: Codec, data: str | bytes) -> None:
        hook = self._context.hooks.on_message
        if hook.listeners:
            self._fire(hook, self.socket, data)
        self._router.receive(self, codec, data)

    def _heartbeat(self) -> None:
        if self._tells_ready and self._phase in (Phase.AUTHENTICATING, Phase.GREETING):
            self._echo_due = True
        else:
            self._echo()
        self._tell(self._context.hooks.on_heartbeat)

    def _echo(self) -> None:
        self.socket.deliver(encode_frame(Opcode.TEXT, self._context.heartbeat.text.encode()))

    def _tell(self, hook: AnyHook) -> None:
        if not hook:
            return
        if self._phase is Phase.OPEN:
            self._fire(hook, self.socket)
        else:
            self._keep(0, self._fire, hook, self.socket)

    def _fire(self, hook: AnyHook, *arguments: object) -> None:
        """Fire a hook that the client can trigger as often as it likes, within the limit on running handlers."""
        if not hook:
            return
        if self.work.running >= self._context.limits.handlers:
            text = "%s was left out for %r: as many handlers as it may have are still at work"
            self._context.failures.notices.warn(f"hook {hook.name}", text, hook.name, self.socket)
            return
        task = fire(hook, arguments, self._context.tasks, self._hook_failed, self.work.copy_context)
        if task is not None:
            self.work.follow(task)
            self.hold_if_full()

    def _hook_failed(self, error: BaseException) -> None:
        if isinstance(error, Reject):
            self.socket.close(error.close_code, error.reason)
        elif self.socket.is_open or not (isinstance(error, asyncio.CancelledError) and is_being_cancelled()):
            # one that is cancelled because its connection is gone, or the server stops, has not failed
            self._context.failures.report(self.socket, error, "a hook")

    # How it ends

    def _leave(self, close: Close) -> None:
        """Let what is at work end, and what has come be handled, before ``on_disconnect``."""
        self._departure = Departure(
            self.socket,
            self.work,
            self._context.wheel,
            self._context.limits.linger,
            self._context.sessions.departing,
            self._give_up,
            lambda: self._end(close),
        )
        if self._phase is Phase.OPEN:
            self._phase = Phase.LEAVING
            self._departure.settle()
        elif self._entry is not None:
            self._entry.hurry()

    def _give_up(self) -> None:
        """Forget what came and was not handled."""
        if self._backlog is not None:
            self._backlog.clear()

    def _end(self, close: Close) -> None:
        self._phase = Phase.LEAVING
        hooks, tasks = self._context.hooks, self._context.tasks
        fire(hooks.on_disconnect, (self.socket, close), tasks, self._hook_failed, self.work.copy_context)
