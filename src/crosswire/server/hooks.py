"""The life events of a server that an application can attach to."""

from __future__ import annotations

from crosswire.core.listeners import Hook
from crosswire.server.socket import Socket
from crosswire.types import Close


class Hooks:
    """One :class:`Hook` for each life event; ``Server`` shows them as its own attributes."""

    __slots__ = (
        "on_connect",
        "on_disconnect",
        "on_error",
        "on_heartbeat",
        "on_listening",
        "on_message",
        "on_pong",
        "on_start",
        "on_stop",
    )

    def __init__(self) -> None:
        self.on_connect: Hook[[Socket]] = Hook("on_connect", 1)
        self.on_disconnect: Hook[[Socket, Close]] = Hook("on_disconnect", 2)
        self.on_message: Hook[[Socket, str | bytes]] = Hook("on_message", 2)
        self.on_error: Hook[[Socket, BaseException]] = Hook("on_error", 2)
        self.on_pong: Hook[[Socket]] = Hook("on_pong", 1)
        self.on_heartbeat: Hook[[Socket]] = Hook("on_heartbeat", 1)
        self.on_start: Hook[[]] = Hook("on_start", 0)
        self.on_listening: Hook[[]] = Hook("on_listening", 0)
        self.on_stop: Hook[[]] = Hook("on_stop", 0)
