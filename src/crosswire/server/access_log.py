"""The access log: a line when a client is let in, and one when its connection ends."""

from __future__ import annotations

import logging
from collections.abc import Callable
from typing import Any

from crosswire.core.options import require_bool
from crosswire.runtime import environment
from crosswire.runtime.log_records import get_logger
from crosswire.runtime.repeated_records import RepeatedRecord
from crosswire.runtime.throttled_warnings import shown
from crosswire.server.connected_client import ConnectedClient
from crosswire.server.session_view import SessionView
from crosswire.server.socket import Socket
from crosswire.types import Close

_logger = get_logger("crosswire.access")
_LET_IN = RepeatedRecord(_logger, logging.INFO, "user %r connected from %r to %r")
_ENDED = RepeatedRecord(_logger, logging.INFO, "the connection of user %r from %r ended after %.3f s: %d %r")
_NOT_LET_IN = RepeatedRecord(_logger, logging.INFO, "a client from %r was not let in: %d %r")


class AccessLog:
    """Log of the connections of a server, at INFO.

    Queries are left out, as they may hold tokens.

    Args:
        node: returns the name of the server.
    """

    __slots__ = ("_node",)

    def __init__(self, node: Callable[[], str]) -> None:
        self._node = node

    def let_in(self, session: SessionView) -> float | None:
        """Log that a client is let in; return the time, for :meth:`ended`. None if nobody reads the log."""
        if not _LET_IN.is_enabled():
            return None
        handshake = session.socket.handshake
        remote, path = handshake.remote, shown(handshake.path)
        attributes = {**self._about(session.client), "remote": remote, "path": path}
        _LET_IN.log((shown(session.client.user), remote, path), attributes)
        return environment.monotonic()

    def ended(self, session: SessionView, since: float | None, close: Close) -> None:
        """Log the end of a connection, and of one that was refused after the upgrade.

        Args:
            session: of the connection.
            since: what :meth:`let_in` returned; None if the client was not let in.
            close: code and reason.
        """
        if not _ENDED.is_enabled():
            return
        client = session.client
        remote, code, reason = session.socket.handshake.remote, int(close.code), shown(close.reason)
        attributes = {**self._about(client), "remote": remote, "code": code, "reason": reason}
        if since is None:
            _NOT_LET_IN.log((remote, code, reason), attributes)
            return
        attributes["duration"] = lasted = environment.monotonic() - since
        _ENDED.log((shown(client.user), remote, lasted, code, reason), attributes)

    def _about(self, client: ConnectedClient[Socket]) -> dict[str, Any]:
        return {"user": client.user, "socket": client.id, "event": None, "node": self._node()}


def access_log_for(access_log: object, node: Callable[[], str]) -> AccessLog | None:
    """Return the log for the option ``access_log``, or None if there is to be none.

    Raises:
        ConfigError: it is neither True nor False.
    """
    require_bool("access_log", access_log)
    return AccessLog(node) if access_log else None
