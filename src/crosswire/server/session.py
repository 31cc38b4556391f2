"""The life of one connection: authentication, then events, until it closes."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from enum import Enum, auto
from typing import TYPE_CHECKING, Any

from crosswire.core.formats import Format
from crosswire.core.frames import Opcode, encode_frame
from crosswire.core.listeners import AnyHook
from crosswire.core.messages import JSON, READY, Codec, event
from crosswire.errors import Reject
from crosswire.runtime.dispatch import fire
from crosswire.runtime.tasks import is_being_cancelled
from crosswire.server.authentication import Verdict, checked_user
from crosswire.server.handshake import Handshake
from crosswire.server.socket import Socket
from crosswire.transport.interface import Connection
from crosswire.types import Close, CloseCode

if TYPE_CHECKING:
    from crosswire.server.context import Context
    from crosswire.server.router import Router


_READY = event(READY, None)


class Phase(Enum):
    """Where a connection is in its life."""

    WAITING = auto()
    """``authenticate`` or ``on_connect`` has not ended yet: messages wait."""
    OPEN = auto()
    CLOSED = auto()


class Session:
    """Receives what arrives on one connection, and knows what may be done with it yet.

    Attributes:
        socket: the application's view of the connection; there from ``opened`` on.
        running: asynchronous handlers at work for it, and hooks that its messages triggered.
    """

    __slots__ = (
        "_admitted",
        "_backlog",
        "_context",
        "_echo_due",
        "_format",
        "_handshake",
        "_phase",
        "_router",
        "_task",
        "_tells_ready",
        "_verdict",
        "running",
        "socket",
    )

    def __init__(
        self, handshake: Handshake, format: Format, verdict: Verdict, router: Router, context: Context
    ) -> None:
        self._handshake = handshake
        self._format = format
        self._verdict: Verdict | None = verdict
        self._router = router
        self._context = context
        self._phase = Phase.WAITING
        self._backlog: list[tuple[Codec, str | bytes]] | None = None
        self._admitted = False
        self._tells_ready = handshake.understands >= 1
        self._echo_due = False
        self._task: asyncio.Task[None] | None = None
        self.running = 0
        self.socket: Socket

    # Receiver

    def opened(self, connection: Connection) -> None:
        """Begin: let the connection in, refuse it, or ask who it is."""
        self.socket = Socket(self._handshake, connection, self._format, self._context)
        self._context.sessions.add(self)
        verdict, self._verdict = self._verdict, None
        assert verdict is not None, "a connection opens once"
        if verdict.reject is not None:
            self.socket.close(verdict.reject.close_code, verdict.reject.reason)
        elif verdict.pending is not None:
            self._task = self._context.tasks.start(self._authenticate(verdict.pending), "crosswire authenticate")
        else:
            self._admit(verdict.user)

    def text(self, text: str) -> None:
        """Take a text message: the heartbeat, or JSON."""
        self.socket.heard()
        if text == self._context.heartbeat.text:
            if self._tells_ready and self._phase is Phase.WAITING:
                self._echo_due = True
            else:
                self._echo()
            self._fire(self._context.hooks.on_heartbeat, self.socket)
        elif self._phase is Phase.OPEN:
            self._deliver(JSON, text)
        else:
            self._keep(JSON, text)

    def binary(self, data: bytes) -> None:
        """Take a binary message: MessagePack if that was agreed on, else JSON."""
        self.socket.heard()
        codec = self._format.codec if self._format.codec.binary else JSON
        if self._phase is Phase.OPEN:
            self._deliver(codec, data)
        else:
            self._keep(codec, data)

    def pong(self, payload: bytes) -> None:
        """Take a pong."""
        self.socket.pong(payload)
        self._fire(self._context.hooks.on_pong, self.socket)

    def closed(self, close: Close) -> None:
        """End: the connection is gone, whoever closed it."""
        self._phase = Phase.CLOSED
        self._backlog = None
        self._context.sessions.discard(self)
        if self._task is not None:
            self._task.cancel()
        self.socket.retire()
        if self._admitted:
            fire(self._context.hooks.on_disconnect, (self.socket, close), self._context.tasks, self._hook_failed)

    # What happens between.

    async def _authenticate(self, hook: Callable[[], Awaitable[Any]]) -> None:
        patience = asyncio.timeout(self._context.limits.auth_timeout)
        try:
            async with patience:
                user = checked_user(await hook())
        except Reject as reject:
            self.socket.close(reject.close_code, reject.reason)
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                self.socket.close(CloseCode.INTERNAL_ERROR, "authentication failed")
                raise
            if patience.expired():
                self.socket.close(CloseCode.TRY_AGAIN_LATER, "authentication took too long")
                text = "authenticate did not end within %g s, so %r was not let in"
                self._context.notices.warn("slow authenticate", text, self._context.limits.auth_timeout, self.socket)
                return
            self._context.report(None, error, "authenticate")
            self.socket.close(CloseCode.INTERNAL_ERROR, "authentication failed")
        else:
            self._task = None
            self._admit(user)

    def _admit(self, user: str | None) -> None:
        if not self.socket.is_open:
            return
        known = self.socket.id if user is None else user
        if self._context.registry.keeps_out(self.socket, known):
            self._task = self._context.tasks.start(self._contest(known), "crosswire duplicate")
        else:
            self._welcome(known)

    async def _contest(self, user: str) -> None:
        """See whether the user's older connection is alive, and keeps this one out."""
        await self._context.registry.make_way(user)
        self._task = None
        if self.socket.is_open:
            self._welcome(user)

    def _welcome(self, user: str) -> None:
        if not self._context.registry.admit(self.socket, user):
            self.socket.close(CloseCode.REPLACED, "the user is connected already")
            return
        self._admitted = True
        greeting = fire(self._context.hooks.on_connect, (self.socket,), self._context.tasks, self._hook_failed)
        arrival = self._context.interest.arrival(self.socket)
        announcing = None if arrival is None else self._context.tasks.start(arrival, "crosswire arrival")
        waiting = [task for task in (greeting, announcing) if task is not None and not task.done()]
        if waiting:
            self._open_after(waiting)
        else:
            self._open()

    def _open_after(self, waiting: list[asyncio.Task[None]]) -> None:
        patience = self._context.wheel.start(self._context.limits.auth_timeout, self._open)

        def ended(_task: asyncio.Task[None]) -> None:
            if all(task.done() for task in waiting):
                patience.cancel()  # it would keep a connection that is gone by then
                self._open()

        for task in waiting:
            task.add_done_callback(ended)

    def _open(self) -> None:
        if self._phase is not Phase.WAITING:
            return
        self._phase = Phase.OPEN
        if self._tells_ready and self.socket.is_open:
            self.socket.deliver(self._format.frame(_READY))
        if self._echo_due and self.socket.is_open:
            self._echo()
        backlog, self._backlog = self._backlog, None
        for codec, data in backlog or ():
            if self.socket.is_open:
                self._deliver(codec, data)

    def _echo(self) -> None:
        self.socket.deliver(encode_frame(Opcode.TEXT, self._context.heartbeat.text.encode()))

    def _keep(self, codec: Codec, data: str | bytes) -> None:
        backlog = self._backlog = self._backlog or []
        backlog.append((codec, data))
        limits = self._context.limits
        if len(backlog) > limits.backlog or sum(len(each) for _, each in backlog) > limits.max_message:
            self._backlog = None
            self.socket.close(CloseCode.POLICY, "too many messages before the connection was let in")

    def _deliver(self, codec: Codec, data: str | bytes) -> None:
        if hook := self._context.hooks.on_message:
            self._fire(hook, self.socket, data)
        self._router.receive(self, codec, data)

    def _fire(self, hook: AnyHook, *arguments: object) -> None:
        """Fire a hook that the client can trigger as often as it likes, within the limit on running handlers."""
        if not hook:
            return
        if self.running >= self._context.limits.handlers:
            text = "%s was left out for %r: as many handlers as it may have are still at work"
            self._context.notices.warn(f"hook {hook.name}", text, hook.name, self.socket)
            return
        task = fire(hook, arguments, self._context.tasks, self._hook_failed)
        if task is not None and not task.done():
            self.running += 1
            task.add_done_callback(self._hook_ended)

    def _hook_ended(self, _task: asyncio.Task[None]) -> None:
        self.running -= 1

    def _hook_failed(self, error: BaseException) -> None:
        if isinstance(error, Reject):
            self.socket.close(error.close_code, error.reason)
        else:
            self._context.report(self.socket, error, "a hook")
