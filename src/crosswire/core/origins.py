"""The browser origins that may connect (RFC 6454)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterable
from typing import NamedTuple

from crosswire.errors import ConfigError

_DEFAULT_PORTS = {"http": 80, "https": 443}
_PAGES_OF = {"ws": "http", "wss": "https"}
_SCHEME = re.compile(r"[a-z][a-z0-9+.-]*")
_LABELS = re.compile(r"[a-z0-9_~!$&'()*+,;=-]+(\.[a-z0-9_~!$&'()*+,;=-]+)*\.?")
_DIFFERENT = re.compile("[ßς\u200c\u200d]")  # browsers (IDNA 2008) and Python (IDNA 2003) write these differently
_MAX_ORIGIN = 500
"""Characters of an origin."""

_NULL = "null"
_ANY = "*"


class _Origin(NamedTuple):
    scheme: str
    host: str
    port: int | None


class Origins:
    """Set of allowed origins. Scheme and host are compared case-insensitively; a default port is the same as none.

    Args:
        allowed: origins such as ``https://example.com`` or ``http://localhost:3000``; ``https://*.example.com`` for
            the subdomains of one, at any depth, without itself; ``null`` for pages without an origin; ``*`` for any.

    Raises:
        ConfigError: one of them can never match; the text says what to write instead.
    """

    __slots__ = ("_any", "_exact", "_null", "_parents")

    def __init__(self, allowed: Iterable[str]) -> None:
        self._any = self._null = False
        self._exact: set[_Origin] = set()
        self._parents: set[_Origin] = set()
        for each in allowed:
            self._add(each)

    def allows(self, origin: str) -> bool:
        """Return whether a page of this origin may connect."""
        if self._any:
            return True
        if origin == _NULL:
            return self._null
        try:
            found = _parse(origin)
        except ValueError:
            return False
        return found in self._exact or any(_is_below(found, parent) for parent in self._parents)

    def _add(self, text: str) -> None:
        if text == _ANY:
            self._any = True
            return
        if text.lower() == _NULL:
            self._null = True
            return
        scheme, sep, rest = text.partition("://*.")
        try:
            if sep:
                self._parents.add(_parse(f"{scheme}://{rest}"))
            else:
                self._exact.add(_parse(text))
        except ValueError as error:
            raise ConfigError(f"origins: {text!r} can never match: {error}") from None


def _is_below(origin: _Origin, parent: _Origin) -> bool:
    same = (origin.scheme, origin.port) == (parent.scheme, parent.port)
    return same and origin.host.endswith("." + parent.host) and len(origin.host) > len(parent.host) + 1


def _parse(text: str) -> _Origin:
    """Split an origin into its parts, normalised.

    Raises:
        ValueError: it is no origin; the text says why.
    """
    if len(text) > _MAX_ORIGIN or any(character.isspace() or not character.isprintable() for character in text):
        raise ValueError("it has a space or a control character, or is too long")
    scheme, sep, rest = text.partition("://")
    scheme = scheme.lower()
    if not sep:
        raise ValueError(f"it has no scheme: write 'https://{text.strip('/')}'")
    if not _SCHEME.fullmatch(scheme):
        raise ValueError(f"{scheme!r} is no scheme")
    if scheme in _PAGES_OF:
        raise ValueError(f"an origin is the address of a page: write {_PAGES_OF[scheme]!r} for {scheme!r}")
    if scheme == "file":
        raise ValueError("pages from files have the origin 'null'")
    rest = rest.removesuffix("/")
    if any(character in rest for character in "/?#\\"):
        raise ValueError("an origin has no path: leave it out")
    if "@" in rest:
        raise ValueError("an origin has no user: leave it out")
    host, port = _split(rest)
    return _Origin(scheme, _host(host), None if port == _DEFAULT_PORTS.get(scheme) else port)


def _split(text: str) -> tuple[str, int | None]:
    host, colon, port = text.rpartition(":")
    if not colon or text.endswith("]"):
        return text, None
    if not port:
        return host, None
    if not (port.isascii() and port.isdigit()) or not 0 < int(port) <= 65535:
        raise ValueError(f"{port!r} is no port; leave it out for the scheme's default")
    return host, int(port)


def _host(host: str) -> str:
    if host.startswith("["):
        return f"[{ipaddress.IPv6Address(host.removeprefix('[').removesuffix(']')).compressed}]"
    if not host:
        raise ValueError("it has no host")
    if "*" in host:
        raise ValueError("'*' is allowed alone, or as the first label of a host, as in 'https://*.example.com'")
    if not host.isascii():
        host = _ascii(host)
    host = host.lower()
    if not _LABELS.fullmatch(host):
        raise ValueError(f"{host!r} is no host; write an IPv6 address in brackets")
    return host


def _ascii(host: str) -> str:
    if _DIFFERENT.search(host):
        raise ValueError("write the host in ASCII, as browsers send it: 'xn--...'")
    try:
        return host.encode("idna").decode("ascii")
    except UnicodeError:
        raise ValueError("the host can't be written in ASCII") from None
