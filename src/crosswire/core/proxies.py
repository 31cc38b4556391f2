"""The client behind trusted proxies: who sent a request, by its header fields (RFC 7239)."""

from __future__ import annotations

import ipaddress
import re
from collections.abc import Iterator
from typing import NamedTuple

from crosswire.core.headers import Headers
from crosswire.errors import ConfigError

UNIX = "unix"
_MAX_HOPS = 100
"""Entries of proxies that are read."""

# RFC 7239, section 4: a pair is a token, "=", and a token or a quoted string; `;` joins pairs, `,` elements.
_TOKEN = r"[!#$%&'*+\-.^_`|~0-9A-Za-z]+"
_PAIR = re.compile(rf'[ \t]*(?:({_TOKEN})=({_TOKEN}|"(?:[^"\\]|\\.)*"))?[ \t]*(;|,|\Z)')
_NODE = re.compile(r"(?:\[([^\]]*)\]|([^:\[\]]*))(?::[0-9]{1,5}|:[A-Za-z0-9._-]+)?")
_OBFUSCATED = re.compile(r"_[A-Za-z0-9._-]+")
_ESCAPED = re.compile(r"\\(.)")

_SCHEMES = {"http": "http", "https": "https", "ws": "http", "wss": "https"}

Network = ipaddress.IPv4Network | ipaddress.IPv6Network


class RequestSource(NamedTuple):
    """The sender of a request, as far as trusted proxies know it.

    Attributes:
        remote: an address; or the placeholder of a proxy that hides it (``_name``, ``unknown``); or empty for a Unix
            socket.
        scheme: ``http`` or ``https``.
    """

    remote: str
    scheme: str


class TrustedProxies:
    """Set of proxies that are trusted to name their clients.

    Args:
        trusted: addresses and networks, such as ``10.0.0.0/8``, and ``unix`` for everybody on the server's Unix socket.

    Raises:
        ConfigError: one is none of these.
    """

    __slots__ = ("_networks", "_unix")

    def __init__(self, trusted: tuple[str, ...]) -> None:
        self._unix = UNIX in trusted
        self._networks: tuple[Network, ...] = tuple(_network(each) for each in trusted if each != UNIX)

    def trusts(self, address: str) -> bool:
        """Return whether an address is that of a trusted proxy; an empty one is that of a Unix socket."""
        if not address:
            return self._unix
        found = _address(address)
        return found is not None and any(found in network for network in self._networks)

    def resolve(self, peer: str, scheme: str, headers: Headers) -> RequestSource:
        """Return the sender of a request.

        Each proxy appends the address it got the request from. So the list is read from its end, for as long as the
        proxy that wrote an entry is trusted. Anybody could have written the entries before.

        Args:
            peer: the address of the connection.
            scheme: of the connection.
            headers: of the request: ``Forwarded`` (RFC 7239), or ``X-Forwarded-For`` and ``X-Forwarded-Proto``. Where
                both are given and name different clients, one of them was sent by the client, and both are ignored.
        """
        if not self.trusts(peer):
            return RequestSource(peer, scheme)
        standard = self._walk(peer, scheme, _forwarded(headers)) if "forwarded" in headers else None
        usual = None
        if "x-forwarded-for" in headers or "x-forwarded-proto" in headers:
            usual = self._walk(peer, scheme, _x_forwarded(headers))
        if standard is None or usual is None:
            return standard or usual or RequestSource(peer, scheme)
        return standard if standard.remote == usual.remote else RequestSource(peer, scheme)

    def _walk(self, peer: str, scheme: str, hops: Iterator[_Hop]) -> RequestSource:
        for _, hop in zip(range(_MAX_HOPS), hops, strict=False):
            scheme = hop.scheme or scheme
            if hop.client is None:
                break
            peer = hop.client
            if not self.trusts(peer):
                break
        return RequestSource(peer, scheme)


class _Hop(NamedTuple):
    """An entry that one proxy wrote: its client and the scheme, each None if it is not named."""

    client: str | None
    scheme: str | None


def _forwarded(headers: Headers) -> Iterator[_Hop]:
    """Yield the entries of the proxies, the nearest first, until one is malformed."""
    for field in reversed(headers.get_all("forwarded")):
        elements = _elements(field)
        if elements is None:
            return
        for each in reversed(elements):
            yield _Hop(_node(each["for"]) if "for" in each else None, _SCHEMES.get(each.get("proto", "").lower()))


def _elements(field: str) -> list[dict[str, str]] | None:
    """Return the elements of a field, or None if it is malformed, as then any part of it may be forged."""
    elements: list[dict[str, str]] = [{}]
    at = 0
    while True:
        pair = _PAIR.match(field, at)
        if pair is None:
            return None
        name, value, end = pair.groups()
        if name is not None:
            if name.lower() in elements[-1]:
                return None
            elements[-1][name.lower()] = _ESCAPED.sub(r"\1", value[1:-1]) if value[0] == '"' else value
        if end == ",":
            elements.append({})
        at = pair.end()
        if not end:
            return [each for each in elements if each]


def _x_forwarded(headers: Headers) -> Iterator[_Hop]:
    clients = _listed(headers, "x-forwarded-for")
    schemes = _listed(headers, "x-forwarded-proto")
    for number, client in enumerate(reversed(clients)):
        # Some proxies add a scheme for each hop; most replace it, so that there is one.
        scheme = schemes[-1 - min(number, len(schemes) - 1)] if schemes else ""
        yield _Hop(_node(client), _SCHEMES.get(scheme.lower()))
    if not clients and schemes:
        yield _Hop(None, _SCHEMES.get(schemes[-1].lower()))


def _listed(headers: Headers, name: str) -> list[str]:
    return [part.strip() for value in headers.get_all(name) for part in value.split(",") if part.strip()]


def _node(text: str) -> str | None:
    """Return a node's address without its port, or its placeholder; None if it is malformed."""
    if text.lower() == "unknown" or _OBFUSCATED.fullmatch(text):
        return text
    if text.lower() in (UNIX, UNIX + ":"):
        return ""
    if (found := _address(text)) is not None:
        return str(found)
    match = _NODE.fullmatch(text)
    if match is None:
        return None
    name = match[1] if match[1] is not None else match[2]
    if name.lower() == "unknown" or _OBFUSCATED.fullmatch(name):
        return name
    found = _address(name)
    return None if found is None else str(found)


def _address(text: str) -> ipaddress.IPv4Address | ipaddress.IPv6Address | None:
    """Parse an address. An IPv4 address mapped to IPv6, as dual-stack sockets report it, is returned as IPv4."""
    try:
        found = ipaddress.ip_address(text.partition("%")[0])
    except ValueError:
        return None
    mapped = getattr(found, "ipv4_mapped", None)
    return found if mapped is None else mapped


def _network(text: str) -> Network:
    try:
        return ipaddress.ip_network(text)
    except ValueError as error:
        advice = "give an address, a network such as '10.0.0.0/8', or 'unix'"
        if "host bits" in str(error):
            advice = f"write {str(ipaddress.ip_network(text, strict=False))!r}"
        raise ConfigError(f"trusted_proxies: {text!r}: {advice}") from None
