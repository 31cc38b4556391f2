"""Checks of the names that users of the library give: misuse is raised where it is called."""

from __future__ import annotations

from crosswire.errors import UsageError

RESERVED = "$"
"""Event names that start with this belong to the protocol."""


def require_name(value: object, what: str) -> str:
    """Return ``value`` if it is a non-empty string.

    Raises:
        UsageError: it is anything else; numbers are refused, not converted.
    """
    if not isinstance(value, str):
        raise UsageError(f"{what} must be a string, not {type(value).__name__} ({value!r}): convert it yourself")
    if not value:
        raise UsageError(f"{what} must not be empty")
    return value


def require_event(value: object) -> str:
    """Return ``value`` if it can be the name of an event.

    Raises:
        UsageError: it is empty, no string, or starts with ``$``.
    """
    if type(value) is str and value and value[0] != RESERVED:  # the rule, and the fastest
        return value
    name = require_name(value, "an event's name")
    if name.startswith(RESERVED):
        raise UsageError(f"the event name {name!r} is reserved: names that start with {RESERVED!r} are the protocol's")
    return name
