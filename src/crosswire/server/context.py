"""What the parts of one server share."""

from __future__ import annotations

import asyncio
import logging
import time
from typing import TYPE_CHECKING

from crosswire.core.calls import CallIds
from crosswire.core.throttle import Throttle
from crosswire.errors import EventError, InvalidPayload
from crosswire.rooms.fanout import FanOut
from crosswire.runtime.dispatch import fire
from crosswire.runtime.home import get_ident
from crosswire.runtime.tasks import Tasks
from crosswire.runtime.wheel import TimerWheel
from crosswire.runtime.workers import Workers
from crosswire.server.ids import SocketIds
from crosswire.server.sessions import Sessions
from crosswire.types import Heartbeat, Limits

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
    ) -> None:
        self.limits = limits
        self.heartbeat = heartbeat
        self.hooks = hooks
        self.registry = registry
        self.fanout = fanout
        self.interest = interest
        self.sessions = Sessions()
        self.stopping = False
        self.tasks = Tasks()
        self.workers = Workers(self.tasks)
        self.wheel = TimerWheel()
        self.call_ids = CallIds()
        self.socket_ids = SocketIds()
        self.clock = time.monotonic
        self.thread = get_ident()
        self._throttle = Throttle()

    def report(self, socket: Socket | None, error: BaseException, what: str) -> None:
        """Tell of a failure of the application's own code: to ``on_error``, and to the log, a few of a kind at a time.

        A refusal is an answer and no failure, and it is none that a stop cancels a handler; data of a client that does
        not fit is told to ``on_error`` alone.
        """
        if isinstance(error, EventError) and not isinstance(error, InvalidPayload):
            return
        if self.stopping and isinstance(error, asyncio.CancelledError):
            return
        if not isinstance(error, InvalidPayload):
            self._log(error, what)
        if socket is not None:
            self.tell(socket, error)

    def tell(self, socket: Socket, error: BaseException) -> None:
        """Tell ``on_error`` alone."""
        if len(self.tasks) >= _MOST_TASKS:
            self._log(error, "a handler, and on_error is too slow to be told: it")
            return
        fire(self.hooks.on_error, (socket, error), self.tasks, self._log_failed_hook)

    def _log_failed_hook(self, error: BaseException) -> None:
        self._log(error, "on_error")

    def _log(self, error: BaseException, what: str) -> None:
        if (held_back := self._throttle.admit((what, type(error)), self.clock())) is None:
            return
        also = f" ({held_back} more of these were not logged)" if held_back else ""
        logger.error("%s failed%s", what, also, exc_info=error)
