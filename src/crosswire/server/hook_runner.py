"""Runs the hooks of connections."""

from __future__ import annotations

import asyncio
from functools import partial

from crosswire.core.listeners import AnyHook
from crosswire.errors import Reject
from crosswire.runtime.background_tasks import BackgroundTasks, is_being_cancelled
from crosswire.runtime.handler_calls import fire
from crosswire.runtime.log_records import about
from crosswire.server.failures import FailureReporter
from crosswire.server.held_messages import SMALL_MESSAGE, HeldLimits, text_size
from crosswire.server.hooks import Hooks
from crosswire.server.running_handlers import RunningHandlers
from crosswire.server.session_view import SessionView
from crosswire.types import Close


class HookRunner:
    """Runs the hooks of connections. A hook that raises closes its connection or is reported.

    Args:
        hooks: the application's.
        tasks: where asynchronous hooks run.
        max_handlers: maximum number of running handlers and hooks of a connection; beyond it, its hooks are left out.
        held: limits on the memory of a connection's messages.
        failures: reports hooks that fail.

    Attributes:
        on_connect: the application's hook; if it has no listeners, :meth:`run_on_connect` need not be called.
        on_disconnect: the same.
        on_heartbeat: the application's hook, to be given to :meth:`run`.
        on_message: the same.
        on_pong: the same.
    """

    __slots__ = (
        "_failures",
        "_held",
        "_max_handlers",
        "_tasks",
        "on_connect",
        "on_disconnect",
        "on_heartbeat",
        "on_message",
        "on_pong",
    )

    def __init__(
        self, hooks: Hooks, tasks: BackgroundTasks, max_handlers: int, held: HeldLimits, failures: FailureReporter
    ) -> None:
        self.on_heartbeat = hooks.on_heartbeat
        self.on_message = hooks.on_message
        self.on_pong = hooks.on_pong
        self.on_connect = hooks.on_connect
        self.on_disconnect = hooks.on_disconnect
        self._tasks = tasks
        self._max_handlers = max_handlers
        self._held = held
        self._failures = failures

    def run(self, session: SessionView, hook: AnyHook, *arguments: object) -> None:
        """Run a hook that the client can trigger as often as it likes, within the limit on running handlers."""
        if not hook:
            return
        handlers = session.handlers
        held = sum(text_size(raw) for raw in arguments if isinstance(raw, str | bytes) and len(raw) > SMALL_MESSAGE)
        if handlers.running >= self._max_handlers or self._would_hold_too_much(handlers, hook, held):
            text = "%s was left out for %r: handlers at work are as many, or hold as much, as they may"
            extra = about(session.socket, event=hook.name)
            self._failures.losses.messages["hook left out"] += 1
            self._failures.warnings.warn(f"hook {hook.name}", text, hook.name, session.socket, extra=extra)
            return
        failed = partial(self._failed, session, hook)
        task = fire(hook, (session.socket, *arguments), self._tasks, failed, handlers.copy_context)
        if task is not None:
            handlers.follow(task, held)
            session.hold_messages_if_busy()

    def held_back(self, session: SessionView, limit: str, *, tells: bool) -> None:
        """Report that a client is over a rate; see ``FailureReporter.held_back``."""
        self._failures.held_back(session, limit, tells=tells)

    def _would_hold_too_much(self, handlers: RunningHandlers, hook: AnyHook, held: int) -> bool:
        if handlers.running and handlers.memory > self._held.at_work:
            return True
        return held > self._held.all and any(listener.is_async for listener in hook.listeners)

    def run_on_connect(self, session: SessionView) -> asyncio.Task[None] | None:
        """Run ``on_connect`` in the context of the connection itself; return its task if it is not done."""
        failed = partial(self._failed, session, self.on_connect)
        task = fire(self.on_connect, (session.socket,), self._tasks, failed, session.handlers.context)
        if task is None or task.done():
            session.handlers.share_context()
            return None
        session.handlers.follow(task)
        return task

    def run_on_disconnect(self, session: SessionView, close: Close) -> None:
        """Run ``on_disconnect``, which no limit leaves out."""
        failed = partial(self._failed, session, self.on_disconnect)
        fire(self.on_disconnect, (session.socket, close), self._tasks, failed, session.handlers.copy_context)

    def _failed(self, session: SessionView, hook: AnyHook, error: BaseException) -> None:
        if isinstance(error, Reject):
            session.client.close(error.close_code, error.reason)
        elif session.client.is_open or not (isinstance(error, asyncio.CancelledError) and is_being_cancelled()):
            # A hook that is cancelled because its connection is gone, or the server stops, has not failed.
            self._failures.report(session, error, "a hook", event=hook.name)
