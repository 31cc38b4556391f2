"""All errors that Crosswire raises, in one tree.

* :exc:`CrosswireError`

  * :exc:`UsageError`: a call that can never work, raised where it is made.
  * :exc:`ConfigError`: an option that can't be used, raised at start or registration.
  * :exc:`Reject`: raised by *your* hooks and handlers to refuse a connection.
  * :exc:`NotConnected`: there is no open connection to send through.
  * :exc:`CallTimeout`: nobody answered in time.
  * :exc:`NodeGone`: the node that was called is not alive, or died before it answered.

    * :exc:`NoOwner`: no living node may own the room.

  * :exc:`BusUnavailable`: other nodes can't be reached over the bus, or it refuses what this node has to do.
  * :exc:`EventError`: the peer answered with a refusal; raise it to refuse.

    * :exc:`InvalidPayload`: the data does not fit the wire or the handler's type.
    * :exc:`InvalidMessage`: received data is no message of the client protocol.

  * :exc:`ProtocolFailure`: the peer broke RFC 6455; its connection is closed.

Each has a stable ``code`` for programs; its text is for people and may change.
"""

from __future__ import annotations

from typing import NamedTuple

__all__ = [
    "BusUnavailable",
    "CallTimeout",
    "ConfigError",
    "CrosswireError",
    "EventError",
    "InvalidMessage",
    "InvalidPayload",
    "NoOwner",
    "NodeGone",
    "NotConnected",
    "ProtocolFailure",
    "Refused",
    "Reject",
    "UsageError",
]


class Close(NamedTuple):
    """The end of a connection: a WebSocket close code and the reason given with it.

    1005 stands for a Close frame without a code, 1006 for a connection that was lost without one.
    """

    code: int
    reason: str = ""


class CrosswireError(Exception):
    """Base of all errors of Crosswire.

    Attributes:
        code: a stable name for programs to compare with; of :exc:`Refused` the close code, a number.
    """

    code: str = "CROSSWIRE_ERROR"


class UsageError(CrosswireError, TypeError, ValueError):
    """A call that can never work: an empty event name, a user id that is no string.

    It is a ``TypeError`` and a ``ValueError`` too, as both are what a Python developer would catch.
    """

    code = "USAGE"


class ConfigError(CrosswireError):
    """An option or a handler that can't be used; the text says what to change."""

    code = "CONFIG"


SENDABLE = "use 1000-1003, 1007-1014 or 3000-4999"
"""Advice about a close code that can't be sent."""


def may_be_sent(close_code: int) -> bool:
    """Return whether a Close frame may contain the code (RFC 6455, section 7.4)."""
    return (1000 <= close_code <= 1014 and close_code not in (1004, 1005, 1006)) or 3000 <= close_code <= 4999


_TEMPORARY_STATUS = frozenset({408, 425, 429})


def is_final(status: int) -> bool:
    """Return whether an HTTP status means that it is of no use to try again: 4xx, except for temporary ones."""
    return 400 <= status < 500 and status not in _TEMPORARY_STATUS


class Reject(CrosswireError):
    """Refuse a connection: raise it from ``authenticate`` or from an event handler.

    Args:
        close_code: WebSocket close code. The default is 4011, after which clients do not come back. With a ``status``
            of 408, 425, 429 or 5xx, the default is 1013, after which clients try again.
        reason: at most 123 bytes of UTF-8; longer text is cut.
        status: HTTP status 400-599 that refuses the upgrade itself. A synchronous ``authenticate`` runs before the
            upgrade, in an ASGI application an asynchronous one too; anywhere else the connection is closed with
            ``close_code``.

    Example::

        raise Reject(4011, "Auth failure")
        raise Reject(status=401)
    """

    code = "REJECTED"

    def __init__(self, close_code: int | None = None, reason: str = "", *, status: int | None = None) -> None:
        if close_code is None:
            close_code = 1013 if status is not None and not is_final(status) else 4011
        if not may_be_sent(close_code):
            raise UsageError(f"the close code {close_code} can't be sent: {SENDABLE}")
        if status is not None and not 400 <= status <= 599:
            raise UsageError(f"status {status} is no refusal: use 400-599")
        if not isinstance(reason, str):
            raise UsageError(f"the reason of a refusal is a string, not {reason!r}")
        super().__init__(reason or f"rejected with {status or close_code}")
        self.close_code = close_code
        self.reason = reason
        self.status = status


class NotConnected(CrosswireError, ConnectionError):
    """No connection is open: it was never made, was lost, or is closing.

    Args:
        text: advice about it.
        close: end of the last connection.

    Attributes:
        close: end of the last connection of the client that raised this; None if there was none, or no client.
    """

    code = "WS_NOT_OPEN"

    def __init__(self, text: str = "", close: Close | None = None) -> None:
        super().__init__(text)
        self.close = close


class Refused(NotConnected):
    """A client was not let in: ``authenticate`` refused it, or the server's HTTP did.

    Args:
        code: the close code.
        reason: reason that the server gave.
        status: the HTTP status that refused the upgrade, if the upgrade was refused.

    Attributes:
        code: the close code: 4011 after ``Reject()``; 1008 if HTTP refused for good, 1006 if it did for now.
        reason: the reason given with it; for HTTP such as ``"HTTP 401"``.
        status: the HTTP status, or None if the connection was upgraded, and closed then.
        close: both, as a :class:`~crosswire.types.Close`.

    Example::

        try:
            await client.connect()
        except Refused as refusal:
            if refusal.code == 4011 or refusal.status == 401:
                ...  # log in again
    """

    code: int  # type: ignore[assignment]  # pyright: ignore[reportIncompatibleVariableOverride]
    close: Close

    def __init__(self, code: int, reason: str = "", *, status: int | None = None) -> None:
        super().__init__(f"the server refused the connection with {f'{code} {reason}'.rstrip()}", Close(code, reason))
        self.code = code
        self.reason = reason
        self.status = status


class CallTimeout(CrosswireError, TimeoutError):
    """A call was sent and nobody answered within its timeout. It may still have been carried out."""

    code = "CALLBACK_TIMEOUT"


class NodeGone(CrosswireError, ConnectionError):
    """The node that was called is no living member of the cluster, or died before it answered.

    Args:
        name: of the node.
    """

    code = "NODE_GONE"

    def __init__(self, name: str) -> None:
        super().__init__(f"there is no living node {name!r}; see `nodes` for the living ones")
        self.name = name


class NoOwner(NodeGone):
    """No living node may own the room, as the option ``owns`` of all of them says.

    Args:
        namespace: of the room.
    """

    code = "NO_OWNER"

    def __init__(self, namespace: str) -> None:
        CrosswireError.__init__(self, f"no living node may own rooms of {namespace!r}: see the option owns= of nodes")
        self.name = ""


class BusUnavailable(CrosswireError, ConnectionError):
    """Other nodes can't be reached over the bus. This node's own clients are served; try again later.

    In another thread than the event loop's, a ``send`` raises it if the event loop takes nothing for 5 seconds.
    It is also raised if every Redis that can be reached refuses a command, for example by its ACL. The text names each
    Redis, and its answer.
    """

    code = "BUS_UNAVAILABLE"


class EventError(CrosswireError):
    """A refusal: raise it in a handler and the caller's ``call`` raises the same.

    Args:
        code: code for programs, such as ``"full"``. Crosswire's own are ``HANDLER_ERROR``, ``NO_HANDLER``,
            ``INVALID_PAYLOAD``, ``INVALID_MESSAGE``, ``TOO_LARGE``, ``NAME_TOO_LONG``, ``ROOM_LIMIT``,
            ``JOIN_RATE``, ``CALL_LIMIT`` and ``BUSY``.
        message: text for people. It crosses the network, so it must contain no secrets.
        sender: name of the node or user that refused, if there is one.
    """

    def __init__(self, code: str, message: str = "", *, sender: str | None = None) -> None:
        super().__init__(code, message)
        self.code = code
        self.message = message
        self.sender = sender

    def __str__(self) -> str:
        return f"{self.code}: {self.message}" if self.message else self.code


class InvalidPayload(EventError):
    """Data that can't be sent (it has no JSON form), or that does not fit the handler's type."""

    def __init__(self, message: str, *, sender: str | None = None) -> None:
        super().__init__("INVALID_PAYLOAD", message, sender=sender)


class NameTooLong(EventError, ValueError):
    """The name of an event, a user or a room is longer than ``Limits.name``."""

    def __init__(self, what: str, limit: int) -> None:
        super().__init__("NAME_TOO_LONG", f"{what} may have {limit} characters")


class InvalidMessage(EventError):
    """Received data is no message of the client protocol.

    Attributes:
        callback_id: id of the call that was meant, if it could be found.
    """

    def __init__(self, message: str, callback_id: str | None = None) -> None:
        super().__init__("INVALID_MESSAGE", message)
        self.callback_id = callback_id


class ProtocolFailure(CrosswireError):
    """The peer broke the WebSocket protocol.

    Args:
        close_code: the code its connection is closed with (RFC 6455, section 7.4.1).
        reason: text for the Close frame.
    """

    code = "PROTOCOL"

    def __init__(self, close_code: int, reason: str) -> None:
        super().__init__(reason)
        self.close_code = close_code
        self.reason = reason
