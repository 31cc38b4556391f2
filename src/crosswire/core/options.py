"""Checks of options and arguments. Errors contain advice."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from difflib import get_close_matches
from math import inf
from sys import float_info
from typing import TypeGuard

from crosswire.core.names import require_event, require_name
from crosswire.core.utf8 import has_utf8
from crosswire.errors import ConfigError, UsageError

MAX_NODE_NAME = 200
"""Characters of a node's name."""
MAX_SECONDS = 3_155_760_000.0
"""Seconds of a century: the longest time that an option takes. Clocks and Redis can't count some of those beyond."""
MAX_LISTED = 10_000
"""Entries of a list that nodes send each other in an answer."""
MAX_CHECKED = 1024
"""Names of nodes that are called, and as many names of events, that are remembered as checked."""
_CHECKED_NODES = set[str]()
_CHECKED_EVENTS = set[str]()


def suggestion(value: object, known: Sequence[str]) -> str:
    """Return ``" Did you mean 'x'?"`` if ``value`` is nearly one of ``known``, else an empty string."""
    near = get_close_matches(value.strip().lower(), known, 1, 0.7) if isinstance(value, str) else []
    return f" Did you mean {near[0]!r}?" if near else ""


def is_seconds(value: object, *, zero: bool = False) -> TypeGuard[float]:
    """Return whether ``value`` is a number above 0 up to :data:`MAX_SECONDS`, or 0 as well if ``zero``."""
    if isinstance(value, bool) or not isinstance(value, int | float):
        return False
    return 0 < value <= MAX_SECONDS or (zero and value == 0)


def require_seconds(option: str, value: object, *, zero: bool = False, endless: bool = False) -> float:
    """Return ``value`` if it is a number of seconds above 0, or 0 as well if ``zero``, and at most a century.

    If ``endless``, more than a century is taken too, and is infinite.

    Raises:
        ConfigError: it is not.
    """
    if is_seconds(value, zero=zero):
        return value
    if endless and isinstance(value, int | float) and value > MAX_SECONDS:
        return inf
    most = f", at most {MAX_SECONDS:.0f}" if is_finite(value) else ""
    raise ConfigError(f"{_given(option, value)}: give a number of seconds{_bound(zero)}{most}")


def is_finite(value: object) -> TypeGuard[float]:
    """Return whether ``value`` is a number above 0 that a float can hold and is not infinite."""
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 < value <= float_info.max


def require_rate(option: str, value: object) -> float:
    """Return ``value`` if it is a finite number above 0: how many a second.

    Raises:
        ConfigError: it is not.
    """
    if is_finite(value):
        return value
    raise ConfigError(f"{_given(option, value)}: give a number above 0: how many a second")


def require_count(option: str, value: object, *, zero: bool = False) -> int:
    """Return ``value`` if it is a whole number above 0, or 0 as well if ``zero``.

    Raises:
        ConfigError: it is not.
    """
    if isinstance(value, int) and not isinstance(value, bool) and value >= (not zero):
        return value
    raise ConfigError(f"{_given(option, value)}: give a whole number{_bound(zero)}")


def require_timeout(value: object) -> float:
    """Return the timeout of a call if it is a number of seconds above 0; more than a century is infinite.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value > 0:
        return value if value <= MAX_SECONDS else inf
    raise UsageError(f"a timeout is a number of seconds greater than 0, not {value!r}")


def require_call(node: str, event: str, timeout: float) -> None:
    """Check the arguments of a call of a node.

    Raises:
        UsageError: one of them can't be used: see the functions for each of them.
    """
    try:  # nearly always all three are as before
        if (
            node in _CHECKED_NODES
            and event in _CHECKED_EVENTS
            and (type(timeout) is float or type(timeout) is int)
            and timeout > 0
        ):
            return
    except TypeError:
        pass  # not hashable, and so no name
    require_name(node, "a node's name")
    require_event(event)
    require_timeout(timeout)
    _remember(node, _CHECKED_NODES)
    _remember(event, _CHECKED_EVENTS)


def _remember(name: str, checked: set[str]) -> None:
    """Remember a name that was checked; not a long one, so that little memory is taken."""
    if len(name) <= MAX_NODE_NAME:
        if len(checked) >= MAX_CHECKED:
            checked.clear()
        checked.add(name)


def require_limit(value: object) -> int:
    """Return the number of entries that a list may have if it is a whole number from 1 to :data:`MAX_LISTED`.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, int) and not isinstance(value, bool) and 1 <= value <= MAX_LISTED:
        return value
    raise UsageError(f"limit is a whole number from 1 to {MAX_LISTED}, not {value!r}")


def require_drain(value: object) -> float:
    """Return the time to stop in if it is a number of seconds, 0 or more; more than a century is infinite.

    Raises:
        UsageError: it is not.
    """
    if isinstance(value, int | float) and not isinstance(value, bool) and value >= 0:
        return value if value <= MAX_SECONDS else inf
    raise UsageError(f"drain is a number of seconds, 0 or more, not {value!r}")


def require_one_of(option: str, value: object, known: Sequence[str]) -> None:
    """Check that ``value`` is one of some strings.

    Raises:
        ConfigError: it is not; the text names the nearest.
    """
    if not isinstance(value, str) or value not in known:
        listed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
        raise ConfigError(f"{_given(option, value)}: give {listed}.{suggestion(value, known)}")


def require_bool(option: str, value: object) -> None:
    """Check that ``value`` is True or False, and no other value that is only true or false in a condition.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{_given(option, value)}: give True or False")


def require_kind(option: str, value: object, kind: type, advice: str) -> None:
    """Check that ``value`` is an object of a class, and not the class itself.

    Raises:
        ConfigError: it is not; ``advice`` says what to write instead.
    """
    if not isinstance(value, kind):
        raise ConfigError(f"{option}={value!r}: {advice}")


def require_strings(option: str, value: object) -> tuple[str, ...]:
    """Return a collection of strings, none of them twice, as a tuple.

    Raises:
        ConfigError: it is one string, or something else.
    """
    if isinstance(value, str):
        raise ConfigError(f"{option} takes a collection, not one string: write [{value!r}]")
    if isinstance(value, bytes) or not isinstance(value, Collection):
        raise ConfigError(f"{option}={value!r}: give a list of strings")
    strings = tuple(value)
    for each in strings:
        if not isinstance(each, str):
            raise ConfigError(f"{option}: {each!r} is no string")
        if strings.count(each) > 1:
            raise ConfigError(f"{option}: {each!r} is there twice")
    return strings


def require_node_name(value: object) -> str:
    """Return the name of a node.

    Raises:
        ConfigError: it is no string, empty, too long to be one, or would break a line of a log.
    """
    if not isinstance(value, str) or not value.strip():
        raise ConfigError(f"name={value!r}: give a string that is not empty, or leave it out for a generated name")
    if not has_utf8(value) or not value.isprintable() or len(value) > MAX_NODE_NAME:
        raise ConfigError(f"name={value!r}: give at most {MAX_NODE_NAME} printable characters, in one line")
    return value


def require_host(value: object) -> str:
    """Return the address or name of a host to listen on.

    Raises:
        ConfigError: it is no host, or contains other parts of a URL; the text says what to do.
    """
    if not isinstance(value, str):
        raise ConfigError(f"host={value!r}: give a string: an address, a name, '' for all addresses, or 'unix:/path'")
    if value == "*":
        raise ConfigError("host='*': give '' for all addresses, '0.0.0.0' for all of IPv4")
    if "://" in value:
        raise ConfigError(f"host={value!r}: give only the host, without a scheme, and the port as port=")
    if value[:1] == "[":
        raise ConfigError(f"host={value!r}: give an IPv6 address without brackets, and the port as port=")
    if any(character.isspace() or not character.isprintable() or character in "/?#@" for character in value):
        raise ConfigError(
            f"host={value!r}: an address or name can't have such characters; a Unix socket is 'unix:/path'"
        )
    head, colon, port = value.rpartition(":")
    if colon and ":" not in head and (port.isdigit() or not port):
        raise ConfigError(f"host={value!r}: give the port as port={port or '...'}")
    if colon and not _is_ipv6(value):
        raise ConfigError(f"host={value!r}: this is no IPv6 address")
    return value


def _bound(zero: bool) -> str:
    return ", 0 or more" if zero else " greater than 0"


def _given(option: str, value: object) -> str:
    """Return an option and its value as an application writes them: ``port='x'``, or ``Redis(prefix='x')``.

    Args:
        option: a name, or a class and a name as in ``"Redis(prefix)"``.
        value: the value that was given.
    """
    return f"{option[:-1]}={value!r})" if option.endswith(")") else f"{option}={value!r}"


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
