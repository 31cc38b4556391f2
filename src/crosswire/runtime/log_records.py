"""Loggers whose records say as attributes which user, socket, event and node they are about."""

from __future__ import annotations

import logging
from collections.abc import MutableMapping
from contextvars import ContextVar
from typing import Any, Protocol

from crosswire.core.escaping import escaped
from crosswire.runtime.one_line_records import guarded_logger

MAX_ATTRIBUTE = 256
"""Characters of an attribute of a record."""

node_name: ContextVar[str | None] = ContextVar("name of the node that this code runs for", default=None)
"""Set at the start of a server or node, so that all tasks, timers and connections that arise from it have it."""


class LoggedSocket(Protocol):
    """A connection that a record can be about: a ``Socket``."""

    @property
    def user(self) -> str:
        """Id of the user whose connection it is."""
        ...

    @property
    def id(self) -> str:
        """An id that no other connection has."""
        ...


class RecordLogger(logging.LoggerAdapter[logging.Logger]):
    """Logger whose records all have the attributes ``user``, ``socket``, ``event`` and ``node``.

    An attribute is None where it is not known, so that a format with ``%(user)s`` never fails. Those that are known are
    given as ``extra=about(...)``; the node is found by itself. Text among them is escaped, like that of the message:
    see one_line_records.py.
    """

    def process(self, msg: Any, kwargs: MutableMapping[str, Any]) -> tuple[Any, MutableMapping[str, Any]]:
        """Add the attributes to the arguments of a call of the logger."""
        attributes: dict[str, Any] = {"user": None, "socket": None, "event": None, "node": node_name.get()}
        attributes |= kwargs.get("extra") or {}
        kwargs["extra"] = safe_attributes(attributes)
        return msg, kwargs


def safe_attributes(attributes: dict[str, Any]) -> dict[str, Any]:
    """Return the attributes of a record with their text escaped, and cut if it is long."""
    for name, value in attributes.items():
        if isinstance(value, str) and (len(value) > MAX_ATTRIBUTE or not value.isprintable()):
            attributes[name] = escaped(value, MAX_ATTRIBUTE)  # an item that is replaced does not disturb the loop
    return attributes


def get_logger(name: str) -> RecordLogger:
    """Return the logger of a name below ``crosswire``."""
    return RecordLogger(guarded_logger(name))


def about(socket: LoggedSocket | None = None, *, event: str | None = None, node: str | None = None) -> dict[str, Any]:
    """Return the attributes of a record that are known."""
    attributes: dict[str, Any] = {}
    if socket is not None:
        attributes |= {"user": socket.user, "socket": socket.id}
    if event is not None:
        attributes["event"] = event
    if node is not None:
        attributes["node"] = node
    return attributes
