"""What the parts of one server share."""

from __future__ import annotations

import time
from typing import TYPE_CHECKING

from crosswire.core.calls import CallIds
from crosswire.core.limits import Heartbeat, Limits
from crosswire.rooms.fanout import FanOut
from crosswire.runtime.loop_thread import get_ident
from crosswire.runtime.slow import SlowWatch
from crosswire.runtime.tasks import Tasks
from crosswire.runtime.wheel import TimerWheel
from crosswire.runtime.workers import Workers
from crosswire.server.failures import FailureReporter
from crosswire.server.ids import SocketIds
from crosswire.server.sessions import Sessions

if TYPE_CHECKING:
    from crosswire.server.hooks import Hooks
    from crosswire.server.interest import Interest
    from crosswire.server.registry import Registry
    from crosswire.server.socket import Socket


class Context:
    """The services of one server.

    Attributes:
        limits: the server's.
        heartbeat: the server's.
        hooks: the application's.
        registry: who is connected, and where.
        interest: what is heard of them from other servers.
        failures: told of what the application's own code raised.
        fanout: pushes messages to many.
        sessions: all connections, those not let in yet too.
        tasks: what runs in the background.
        workers: asynchronous handlers of events, in those tasks.
        wheel: timers of connections.
        call_ids: for calls to clients.
        socket_ids: for connections.
        clock: gives seconds.
        thread: of the event loop; calls of the application from another are refused.
    """

    __slots__ = (
        "call_ids",
        "clock",
        "failures",
        "fanout",
        "heartbeat",
        "hooks",
        "interest",
        "limits",
        "registry",
        "sessions",
        "socket_ids",
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
        registry: Registry[Socket],
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
        self.tasks = Tasks(watch)
        self.workers = Workers(self.tasks)
        self.wheel = TimerWheel()
        self.call_ids = CallIds()
        self.socket_ids = SocketIds()
        self.clock = time.monotonic
        self.thread = get_ident()
        self.failures = FailureReporter(hooks.on_error, self.tasks)
