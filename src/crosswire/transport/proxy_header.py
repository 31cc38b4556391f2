"""Parses the header of the PROXY protocol, versions 1 and 2, which a TCP proxy sends before anything else."""

from __future__ import annotations

import ipaddress
import re
from dataclasses import dataclass

_V1 = b"PROXY "
_V1_MAX_SIZE = 107
"""Bytes of the longest line of version 1."""
_V1_LINE = re.compile(rb"PROXY (TCP4|TCP6) (\S+) (\S+) ([1-9][0-9]{0,4}|0) ([1-9][0-9]{0,4}|0)")
_V1_UNKNOWN = re.compile(rb"PROXY UNKNOWN(?: [\x20-\x7e]*)?")
_V2 = b"\r\n\r\n\0\r\nQUIT\n"
_V2_FIXED_SIZE = 16
"""Bytes of a header of version 2 before its addresses."""
_V2_MAX_SIZE = 4096
"""Bytes of the longest header of version 2, with its TLVs; known proxies send a few hundred at most."""

_LOCAL, _PROXY = 0, 1
_UNSPECIFIED, _INET, _INET6, _UNIX = 0, 1, 2, 3
_ADDRESS_BYTES = {_UNSPECIFIED: 0, _INET: 12, _INET6: 36, _UNIX: 216}
_TLV_SSL = 0x20
_OVER_TLS = 0x01


class BadProxyHeader(Exception):
    """The first bytes are no header of the PROXY protocol; the text says why."""


@dataclass(frozen=True, slots=True)
class ProxyHeader:
    """Header that a proxy sent.

    Attributes:
        size: bytes of the header.
        remote: the client's IP address; empty for a client on a Unix socket; None if the connection is the proxy's
            own, such as a health check, or it does not know whose.
        tls: whether the proxy says that the client speaks TLS with it.
    """

    size: int
    remote: str | None
    tls: bool = False


def parse_proxy_header(data: bytes) -> ProxyHeader | None:
    """Parse the header at the beginning of ``data``; return None if the header is incomplete.

    Raises:
        BadProxyHeader: there is no header.
    """
    if data[:1] == _V1[:1]:
        return _read_v1(data)
    if not data.startswith(_V2[: len(data)]):
        raise BadProxyHeader("it does not begin with one")
    return _read_v2(data) if len(data) >= _V2_FIXED_SIZE else None


def _read_v1(data: bytes) -> ProxyHeader | None:
    if not data.startswith(_V1[: len(data)]):
        raise BadProxyHeader("it does not begin with one")
    end = data.find(b"\r\n", 0, _V1_MAX_SIZE)
    if end < 0:
        if len(data) >= _V1_MAX_SIZE:
            raise BadProxyHeader(f"its line is longer than {_V1_MAX_SIZE} bytes")
        return None
    line = data[:end]
    if _V1_UNKNOWN.fullmatch(line):
        return ProxyHeader(end + 2, None)
    match = _V1_LINE.fullmatch(line)
    if match is None:
        raise BadProxyHeader("its line can't be read")
    kind = ipaddress.IPv4Address if match[1] == b"TCP4" else ipaddress.IPv6Address
    try:
        source, _ = kind(match[2].decode("ascii")), kind(match[3].decode("ascii"))
    except ValueError:
        raise BadProxyHeader("its addresses can't be read") from None
    if int(match[4]) > 65535 or int(match[5]) > 65535:
        raise BadProxyHeader("its ports can't be read")
    return ProxyHeader(end + 2, str(source))


def _read_v2(data: bytes) -> ProxyHeader | None:
    version, command = divmod(data[12], 16)
    family = data[13] >> 4
    size = int.from_bytes(data[14:16], "big")
    if version != 2 or command not in (_LOCAL, _PROXY):
        raise BadProxyHeader("its version or command is not known")
    if _V2_FIXED_SIZE + size > _V2_MAX_SIZE:
        raise BadProxyHeader(f"it is longer than {_V2_MAX_SIZE} bytes")
    if len(data) < _V2_FIXED_SIZE + size:
        return None
    if command == _LOCAL:
        return ProxyHeader(_V2_FIXED_SIZE + size, None)
    if family not in _ADDRESS_BYTES or size < _ADDRESS_BYTES[family]:
        raise BadProxyHeader("its addresses are not known, or cut short")
    body = data[_V2_FIXED_SIZE : _V2_FIXED_SIZE + size]
    tls = _speaks_tls(body[_ADDRESS_BYTES[family] :])
    return ProxyHeader(_V2_FIXED_SIZE + size, _source(family, body), tls)


def _source(family: int, body: bytes) -> str | None:
    if family == _INET:
        return str(ipaddress.IPv4Address(body[:4]))
    if family == _INET6:
        return str(ipaddress.IPv6Address(body[:16]))
    return "" if family == _UNIX else None


def _speaks_tls(fields: bytes) -> bool:
    """Look through the type-length-value fields for the one about TLS."""
    at, tls = 0, False
    while at < len(fields):
        size = int.from_bytes(fields[at + 1 : at + 3], "big")
        value = fields[at + 3 : at + 3 + size]
        if len(fields) < at + 3 or len(value) < size:
            raise BadProxyHeader("one of its fields is cut short")
        if fields[at] == _TLV_SSL:
            tls = bool(value[:1] and value[0] & _OVER_TLS)
        at += 3 + size
    return tls
