"""Checks of the names of users, rooms and events."""

from __future__ import annotations

from crosswire.core.utf8 import has_utf8
from crosswire.errors import UsageError

RESERVED = "$"
"""Event names that start with this belong to the protocol."""
MAX_KEPT_NAME = 128
"""Characters of a name that is kept for the next message: whoever chooses names must not fill the memory with them."""


def require_name(value: object, what: str) -> str:
    """Return ``value`` if it is a non-empty string that has a UTF-8 form.

    Raises:
        UsageError: it is anything else. Numbers are not converted.
    """
    if type(value) is str and value and value.isascii():  # nearly always, and fast
        return value
    if not isinstance(value, str):
        raise UsageError(f"{what} must be a string, not {type(value).__name__} ({value!r}): convert it yourself")
    if not value:
        raise UsageError(f"{what} must not be empty")
    if not has_utf8(value):
        raise UsageError(f"{what} must be text that has a UTF-8 form, not {value!r}: it has half of a surrogate pair")
    return value


def require_prefix(value: object) -> str:
    """Return ``value`` if it can be the beginning of a name; it may be empty.

    Raises:
        UsageError: it is no string, or has no UTF-8 form.
    """
    return value if value == "" and isinstance(value, str) else require_name(value, "a prefix")


def require_event(value: object) -> str:
    """Return ``value`` if it can be the name of an event.

    Raises:
        UsageError: it is empty, no string, starts with ``$``, or has no UTF-8 form.
    """
    if type(value) is str and value and value[0] != RESERVED and value.isascii():  # nearly always, and fast
        return value
    name = require_name(value, "an event's name")
    if name.startswith(RESERVED):
        raise UsageError(
            f"the event name {name!r} is reserved: names that start with {RESERVED!r} belong to the protocol"
        )
    return name
