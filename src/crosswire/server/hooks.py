"""The hooks of a server."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any, TypeVar

from crosswire.core.listeners import Hook
from crosswire.core.return_types import Answer, Sendable
from crosswire.core.signatures import Arguments
from crosswire.server.authentication import FirstMessage
from crosswire.server.handshake import Handshake
from crosswire.server.socket import Socket
from crosswire.transport.interface import Response
from crosswire.types import Close, Identity

HandlerT = TypeVar(
    "HandlerT", bound=Callable[[Socket, Any], Answer] | Callable[[Socket], Answer] | Callable[[], Answer]
)
"""A handler of clients' events."""

_User = str | Identity | None
_Authenticated = _User | FirstMessage | Awaitable[_User]

UserHookT = TypeVar("UserHookT", bound=Callable[[Handshake], _Authenticated] | Callable[[], _Authenticated])
"""An ``authenticate`` hook."""

PageT = TypeVar("PageT", bound=Callable[[Handshake], Sendable | Response] | Callable[[], Sendable | Response])
"""A handler of plain HTTP requests."""

_SOCKET_ARGUMENTS = Arguments(socket=Socket)


class Hooks:
    """The hooks of a server, each a :class:`Hook`; ``Server`` has them as attributes too."""

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
        self.on_connect: Hook[[Socket]] = Hook("on_connect", _SOCKET_ARGUMENTS)
        self.on_disconnect: Hook[[Socket, Close], [Socket]] = Hook(
            "on_disconnect", Arguments(socket=Socket, close=Close)
        )
        self.on_message: Hook[[Socket, str | bytes], [Socket]] = Hook(
            "on_message", Arguments(socket=Socket, raw=(str, bytes))
        )
        self.on_error: Hook[[Socket, Exception], [Socket]] = Hook(
            "on_error", Arguments(socket=Socket, exc=BaseException)
        )
        self.on_pong: Hook[[Socket]] = Hook("on_pong", _SOCKET_ARGUMENTS)
        self.on_heartbeat: Hook[[Socket]] = Hook("on_heartbeat", _SOCKET_ARGUMENTS)
        self.on_start: Hook[[]] = Hook("on_start")
        self.on_listening: Hook[[]] = Hook("on_listening")
        self.on_stop: Hook[[]] = Hook("on_stop")
