"""Lets new connections in: authentication, duplicates of a user, ``on_connect``."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from functools import partial
from typing import Any, Protocol

from crosswire.core.limits import Limits
from crosswire.errors import NameTooLong
from crosswire.runtime.background_tasks import BackgroundTasks, is_being_cancelled
from crosswire.runtime.log_records import about
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.server.authentication import FirstMessage, Verdict, conclude
from crosswire.server.authorities import Authorities
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.duplicates import ALONE, DuplicatePolicy
from crosswire.server.failures import FailureReporter
from crosswire.server.first_message import FirstMessageWait
from crosswire.server.hook_runner import HookRunner
from crosswire.server.ready_wait import ReadyWait
from crosswire.server.registry import Registry
from crosswire.server.session_view import SessionView
from crosswire.server.socket import Socket
from crosswire.types import CloseCode, Identity


class NewSession(SessionView, Protocol):
    """A session that is not let in yet.

    Attributes:
        pending: the task that finds out whether it is let in; cancelled by the session if the connection ends.
        ready_wait: the wait for ``on_connect`` and for other servers; None if there is nothing to wait for.
        first_message: the wait for the message with the client's token; None if it is not awaited.
    """

    pending: asyncio.Task[None] | None
    ready_wait: ReadyWait | None
    first_message: FirstMessageWait | None

    def admitted(self) -> None:
        """The connection has its user; ``on_connect`` is called next."""

    def ready(self) -> None:
        """``on_connect`` has ended, and the user can be reached."""


class ConnectionSetup:
    """Lets the connections of a server in, or refuses them.

    Args:
        registry: gives a connection its user, unless another connection keeps it out.
        duplicates: decides which connection of a user stays, and announces the connection to other servers.
        hooks: runs ``on_connect``.
        tasks: where ``authenticate`` runs.
        wheel: for timeouts.
        limits: on the time of an asynchronous ``authenticate`` and of ``on_connect``, and on the length of a user's id.
        failures: reports hooks that fail.
        authorities: keeps identities.
    """

    __slots__ = (
        "_authorities",
        "_duplicates",
        "_failures",
        "_hooks",
        "_max_name",
        "_registry",
        "_tasks",
        "_timeout",
        "_wheel",
    )

    def __init__(
        self,
        registry: Registry[ConnectedClient[Socket]],
        duplicates: DuplicatePolicy,
        hooks: HookRunner,
        tasks: BackgroundTasks,
        wheel: TimerWheel,
        limits: Limits,
        failures: FailureReporter,
        authorities: Authorities,
    ) -> None:
        self._authorities = authorities
        self._registry = registry
        self._duplicates = duplicates
        self._hooks = hooks
        self._tasks = tasks
        self._wheel = wheel
        self._timeout = limits.auth_timeout
        self._max_name = limits.name
        self._failures = failures

    def begin(self, session: NewSession, verdict: Verdict) -> None:
        """Let a connection in, refuse it, or run the rest of ``authenticate``."""
        pending = verdict.pending
        if verdict.first_message is not None:
            session.first_message = FirstMessageWait()
            pending = partial(self._read_first_message, session.first_message, verdict.first_message)
        if pending is not None:
            work = self._authenticate(session, pending)
            session.pending = self._tasks.start(work, "crosswire authenticate", "authenticate")
        else:
            self._admit_or_refuse(session, verdict)

    async def _read_first_message(self, wait: FirstMessageWait, then: FirstMessage) -> Any:
        result = then.verify(await wait.payload())
        return await result if isinstance(result, Awaitable) else result

    async def _authenticate(self, session: NewSession, hook: Callable[[], Awaitable[Any]]) -> None:
        timer = self._wheel.start(self._timeout, partial(self._authenticate_timed_out, session))
        try:
            verdict = await conclude(hook, session.handlers.context())
        except (Exception, asyncio.CancelledError) as error:
            if isinstance(error, asyncio.CancelledError) and is_being_cancelled():
                self._refuse(session, CloseCode.INTERNAL_ERROR, "authentication failed")
                raise
            self._failures.report(None, error, "authenticate", event="authenticate")
            self._refuse(session, CloseCode.INTERNAL_ERROR, "authentication failed")
        else:
            session.pending = None
            if session.client.is_open:
                self._admit_or_refuse(session, verdict)
        finally:
            timer.cancel()

    def _authenticate_timed_out(self, session: NewSession) -> None:
        """Close the connection now: ``authenticate`` might not end when it is cancelled."""
        text = "authenticate did not end within %g s, so %r was not let in"
        extra = about(session.socket, event="authenticate")
        self._failures.warnings.warn("slow authenticate", text, self._timeout, session.socket, extra=extra)
        self._refuse(session, CloseCode.TRY_AGAIN_LATER, "authentication took too long")
        if session.pending is not None:
            session.pending.cancel()

    def _admit_or_refuse(self, session: NewSession, verdict: Verdict) -> None:
        if verdict.reject is not None:
            self._refuse(session, verdict.reject.close_code, verdict.reject.reason)
            return
        user, identity = verdict.user or session.client.id, verdict.identity
        if len(user) > self._max_name:
            self._failures.over_limit(session, "name", NameTooLong("a user id", self._max_name))
            self._refuse(session, CloseCode.TRY_AGAIN_LATER, f"a user id may have {self._max_name} characters")
        elif identity is not None and (refusal := self._authorities.refusal(identity)) is not None:
            self._refuse(session, refusal.close_code, refusal.reason)
        elif self._registry.admit(session.client, user):
            self._admitted(session, identity)
        else:
            work = self._resolve_duplicate(session, user, identity)
            session.pending = self._tasks.start(work, "crosswire duplicate")

    async def _resolve_duplicate(self, session: NewSession, user: str, identity: Identity | None) -> None:
        """Let the connection in if no older connection of the user is alive; else refuse it."""
        await self._duplicates.drop_dead(user)
        session.pending = None
        if not session.client.is_open:
            return
        if identity is not None and (refusal := self._authorities.refusal(identity)) is not None:
            self._refuse(session, refusal.close_code, refusal.reason)
        elif self._registry.admit(session.client, user):
            self._admitted(session, identity)
        else:
            self._refuse(session, CloseCode.REPLACED, "the user is connected already")

    def _admitted(self, session: NewSession, identity: Identity | None) -> None:
        """Run ``on_connect`` and announce the user, and let the connection in when both have ended."""
        client = session.client
        if identity is not None:
            new_context = session.handlers.new_context
            client.authority = self._authorities.hold(client, session.socket.handshake, new_context, identity)
        session.admitted()
        hooks = self._hooks
        on_connect = hooks.run_on_connect(session) if hooks.on_connect.listeners else None
        announcing = None if client.stamp == ALONE else self._duplicates.announcement(client)
        announcement = None if announcing is None else self._tasks.start(announcing, "crosswire announcement")
        if on_connect is None and (announcement is None or announcement.done()):
            session.ready()
        else:
            timed_out = partial(self._on_connect_timed_out, session)
            session.ready_wait = ReadyWait(
                on_connect, announcement, self._timeout, self._wheel, session.ready, timed_out
            )

    def _on_connect_timed_out(self, session: NewSession) -> None:
        error = TimeoutError(f"on_connect did not end within Limits.auth_timeout, which is {self._timeout} s")
        self._failures.report(session, error, "on_connect", event="on_connect")
        self._refuse(session, CloseCode.TRY_AGAIN_LATER, "on_connect took too long")

    def _refuse(self, session: NewSession, code: int, reason: str) -> None:
        if session.client.is_open:  # else it is gone, or was refused before
            self._failures.losses.refused(code)
        session.client.close(code, reason)
