"""The access log: a line when a client is let in, and one when its connection ends."""

from __future__ import annotations

import logging
from collections.abc import Callable

from crosswire.core.options import require_bool
from crosswire.runtime import environment
from crosswire.runtime.log_records import about, get_logger
from crosswire.runtime.throttled_warnings import shown
from crosswire.server.session_view import SessionView
from crosswire.types import Close

logger = get_logger("crosswire.access")


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
        if not logger.isEnabledFor(logging.INFO):
            return None
        handshake = session.socket.handshake
        remote, path = handshake.remote, shown(handshake.path)
        extra = about(session.socket, node=self._node()) | {"remote": remote, "path": path}
        logger.info("user %r connected from %r to %r", shown(session.socket.user), remote, path, extra=extra)
        return environment.monotonic()

    def ended(self, session: SessionView, since: float | None, close: Close) -> None:
        """Log the end of a connection, and of one that was refused after the upgrade.

        Args:
            session: of the connection.
            since: what :meth:`let_in` returned; None if the client was not let in.
            close: code and reason.
        """
        if not logger.isEnabledFor(logging.INFO):
            return
        remote, code, reason = session.socket.handshake.remote, int(close.code), shown(close.reason)
        extra = about(session.socket, node=self._node()) | {"remote": remote, "code": code, "reason": reason}
        if since is None:
            logger.info("a client from %r was not let in: %d %r", remote, code, reason, extra=extra)
            return
        extra["duration"] = lasted = environment.monotonic() - since
        text = "the connection of user %r from %r ended after %.3f s: %d %r"
        logger.info(text, shown(session.socket.user), remote, lasted, code, reason, extra=extra)


def access_log_for(access_log: object, node: Callable[[], str]) -> AccessLog | None:
    """Return the log for the option ``access_log``, or None if there is to be none.

    Raises:
        ConfigError: it is neither True nor False.
    """
    require_bool("access_log", access_log)
    return AccessLog(node) if access_log else None
