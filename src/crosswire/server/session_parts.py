"""The parts of a server that its sessions share."""

from __future__ import annotations

from dataclasses import dataclass

from crosswire.core.limits import Heartbeat, Limits
from crosswire.runtime.timer_wheel import TimerWheel
from crosswire.server.access_log import AccessLog
from crosswire.server.client_factory import ClientFactory
from crosswire.server.connection_setup import ConnectionSetup
from crosswire.server.held_messages import HeldLimits
from crosswire.server.hook_runner import HookRunner
from crosswire.server.router import MessageRouter
from crosswire.server.sessions import Sessions


@dataclass(slots=True)
class SessionParts:
    """Parts that every session of a server uses, in one object, so that a session refers to it once.

    Attributes:
        client_factory: makes the client and the socket.
        setup: lets the connection in.
        router: handles the messages once the connection is let in; replaced by what measures or traces one.
        hooks: runs the hooks.
        limits: what the client may use.
        held: limits on the memory of its messages.
        heartbeat: has the text that is echoed.
        wheel: for timers.
        sessions: all sessions of the server; each is among them from ``opened`` to ``closed``.
        access_log: where connections and their ends are logged, or None.
    """

    client_factory: ClientFactory
    setup: ConnectionSetup
    router: MessageRouter
    hooks: HookRunner
    limits: Limits
    held: HeldLimits
    heartbeat: Heartbeat
    wheel: TimerWheel
    sessions: Sessions
    access_log: AccessLog | None
