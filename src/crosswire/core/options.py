"""Checks of options: what can never work is refused where it is given, in a sentence that says what to do."""

from __future__ import annotations

import ipaddress
from collections.abc import Collection, Sequence
from difflib import get_close_matches

from crosswire.core.names import has_utf8
from crosswire.errors import ConfigError

_LONGEST_NAME = 200


def suggestion(value: object, known: Sequence[str]) -> str:
    """Return ``" Did you mean 'x'?"`` if ``value`` is nearly one of ``known``, else an empty string."""
    near = get_close_matches(value.strip().lower(), known, 1, 0.7) if isinstance(value, str) else []
    return f" Did you mean {near[0]!r}?" if near else ""


def require_one_of(option: str, value: object, known: Sequence[str]) -> None:
    """Check that ``value`` is one of some strings.

    Raises:
        ConfigError: it is not; the text names the nearest.
    """
    if not isinstance(value, str) or value not in known:
        listed = f"{', '.join(map(repr, known[:-1]))} or {known[-1]!r}"
        raise ConfigError(f"{option}={value!r}: give {listed}.{suggestion(value, known)}")


def require_bool(option: str, value: object) -> None:
    """Check that ``value`` is True or False, and nothing that counts as it.

    Raises:
        ConfigError: it is not.
    """
    if not isinstance(value, bool):
        raise ConfigError(f"{option}={value!r}: give True or False")


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
        raise ConfigError(f"name={value!r}: give a string that is not empty, or leave it out for one that is made up")
    if not has_utf8(value) or not value.isprintable() or len(value) > _LONGEST_NAME:
        raise ConfigError(f"name={value!r}: give at most {_LONGEST_NAME} characters that can be printed, in one line")
    return value


def require_host(value: object) -> str:
    """Return the address or name of a host, as given to listen on.

    Raises:
        ConfigError: it is none; the text says what belongs elsewhere.
    """
    if not isinstance(value, str):
        raise ConfigError(f"host={value!r}: give a string: an address, a name, '' for all addresses, or 'unix:/path'")
    if value == "*":
        raise ConfigError("host='*': give '' for all addresses, '0.0.0.0' for all of IPv4")
    if "://" in value:
        raise ConfigError(f"host={value!r}: give the host alone, without a scheme, and the port as port=")
    if value[:1] == "[":
        raise ConfigError(f"host={value!r}: give an IPv6 address without brackets, and the port as port=")
    if any(character.isspace() or not character.isprintable() or character in "/?#@" for character in value):
        raise ConfigError(f"host={value!r}: an address or a name has no such characters; a Unix socket is 'unix:/path'")
    head, colon, port = value.rpartition(":")
    if colon and ":" not in head and (port.isdigit() or not port):
        raise ConfigError(f"host={value!r}: give the port as port={port or '...'}")
    if colon and not _is_ipv6(value):
        raise ConfigError(f"host={value!r}: this is no IPv6 address")
    return value


def _is_ipv6(text: str) -> bool:
    try:
        ipaddress.IPv6Address(text)
    except ValueError:
        return False
    return True
