"""What the parts of one server share."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from crosswire.core.calls import CallIds
from crosswire.core.limits import Heartbeat, Limits
from crosswire.core.throttle import Throttle
from crosswire.errors import EventError, InvalidPayload
from crosswire.rooms.fanout import FanOut
from crosswire.runtime.dispatch import fire
from crosswire.runtime.interrupts import BrokenOff
from crosswire.runtime.loop_thread import get_ident
from crosswire.runtime.notices import Notices, reason
from crosswire.runtime.slow import SlowWatch
from crosswire.runtime.tasks import Tasks
from crosswire.runtime.wheel import TimerWheel
from crosswire.runtime.workers import Workers
from crosswire.server.ids import SocketIds
from crosswire.server.sessions import Sessions

if TYPE_CHECKING:
    from crosswire.server.hooks import Hooks
    from crosswire.server.interest import Interest
    from crosswire.server.registry import Registry
    from crosswire.server.socket import Socket

logger = logging.getLogger("crosswire.server")

_MOST_TASKS = 10_000
"""Background tasks beyond which ``on_error`` is told no more: clients can make handlers fail as fast as they send."""


class Context:
    """The services of one server.

    Attributes:
        limits: the server's.
        notices: warns of what is lost and nobody is told of.
        heartbeat: the server's.
        hooks: the application's.
        registry: who is connected, and where.
        interest: what is heard of them from other servers.
        fanout: pushes messages to many.
        sessions: all connections, those not let in yet too.
        stopping: whether the server stops, or has.
        tasks: what runs in the background.
        workers: asynchronous handlers of events, in those tasks.
        wheel: timers of connections.
        call_ids: for calls to clients.
        socket_ids: for connections.
        clock: gives seconds.
        thread: of the event loop; calls of the application from another are refused.
    """

    __slots__ = (
        "_throttle",
        "call_ids",
        "clock",
        "fanout",
        "heartbeat",
        "hooks",
        "interest",
        "limits",
        "notices",
        "registry",
        "sessions",
        "socket_ids",
        "stopping",
        "tasks",
        "thread",
        "wheel",
        "workers",
    )

    def __init__(
        self,
        limits: Limits,
        heartbeat: Heartbeat,
        hooks: Hooks,
        registry: Registry,
        fanout: FanOut,
        interest: Interest,
        watch: SlowWatch | None = None,
    ) -> None:
        self.limits = limits
        self.heartbeat = heartbeat
        self.hooks = hooks
        self.registry = registry
        self.fanout = fanout
        self.interest = interest
        self.sessions = Sessions()
        self.stopping = False
        self.tasks = Tasks(watch)
        self.workers = Workers(self.tasks)
        self.wheel = TimerWheel()
        self.call_ids = CallIds()
        self.socket_ids = SocketIds()
        self.clock = time.monotonic
        self.thread = get_ident()
        self.notices = Notices(logger)
        self._throttle = Throttle()

    def report(self, socket: Socket | None, error: BaseException, what: str, *, answers: bool = False) -> None:
        """Tell of what the application's own code raised: to ``on_error``, and to the log, a few of a kind at a time.

        A refusal is no failure. Where it answers a call, the caller is told; else ``on_error`` is, or without one the
        log. So is data of a client that does not fit. That a stop cancels a handler is no failure, nor is what a signal
        breaks off.

        Args:
            socket: whose event it was, if it was one's.
            error: what was raised.
            what: raised it.
            answers: whether a caller is told of a refusal.
        """
        if isinstance(error, BrokenOff) or (self.stopping and isinstance(error, asyncio.CancelledError)):
            return
        if socket is None:
            self._log(error, what)
        elif not isinstance(error, EventError):
            self._log(error, what)
            self.tell(socket, error)
        elif isinstance(error, InvalidPayload) or not answers:
            self.lost(socket, error, what, answers=answers)

    def lost(self, socket: Socket, error: EventError, what: str, *, answers: bool = False) -> None:
        """Tell of a client's event that came to nothing: to ``on_error``; without one to the log, if nobody else is."""
        if self.hooks.on_error:
            self.tell(socket, error)
        elif not answers:
            text = "%s refused what %r sent, and there is no on_error hook to tell: %s"
            self.notices.warn(f"refused {type(error).__name__}", text, what, socket, reason(error))

    def tell(self, socket: Socket, error: BaseException) -> None:
        """Tell ``on_error`` alone."""
        if len(self.tasks) >= _MOST_TASKS:
            self._log(error, "a handler, and on_error is too slow to be told: it")
            return
        fire(self.hooks.on_error, (socket, error), self.tasks, self._log_failed_hook, socket.copy_context)

    def _log_failed_hook(self, error: BaseException) -> None:
        self._log(error, "on_error")

    def _log(self, error: BaseException, what: str) -> None:
        if (held_back := self._throttle.admit((what, type(error)), self.clock())) is None:
            return
        also = f" ({held_back} more of these were not logged)" if held_back else ""
        logger.error("%s failed%s", what, also, exc_info=error)
