"""TCP connections to hosts that have several addresses, not all of which need to work."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar

from aiohappyeyeballs import AddrInfoType, start_connection

CONNECTION_ATTEMPT_DELAY = 0.25
"""Seconds that an address has to answer before the next one is tried too (RFC 8305, section 8)."""

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


async def dial(
    make: Callable[[], ProtocolT], host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.Transport, ProtocolT]:
    """Connect to the address of a host that answers first (RFC 8305: IPv6 and IPv4 in turn, each with a head start).

    asyncio can do that, uvloop can't; aiohappyeyeballs does it for both. There is no timeout: cancel it.

    Args:
        make: factory of the protocol.
        host: name or address; with ``tls``, the server's certificate must be valid for it.
        port: port of the server.
        tls: context for a connection with TLS.

    Raises:
        OSError: the name has no address, none of them answers, or TLS failed.
    """
    loop = asyncio.get_running_loop()
    own = await _race(await _addresses(loop, host, port))
    try:
        own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        return await loop.create_connection(make, sock=own, ssl=tls, server_hostname=None if tls is None else host)
    except BaseException:
        own.close()
        raise


async def _addresses(loop: asyncio.AbstractEventLoop, host: str, port: int) -> list[AddrInfoType]:
    if "%" not in host:  # a scope needs the resolver
        try:
            version = ip_address(host).version
        except ValueError:
            pass
        else:  # the resolver would start a thread only to parse an address
            family = socket.AF_INET if version == 4 else socket.AF_INET6
            return [(family, socket.SOCK_STREAM, socket.IPPROTO_TCP, "", (host, port))]
    found: list[AddrInfoType] = []
    try:
        found.extend(await loop.getaddrinfo(host, port, type=socket.SOCK_STREAM))
    except UnicodeError as error:
        raise OSError(f"{host!r} can't be the name of a host: {error}") from error
    if not found:
        raise OSError(f"{host!r} has no address")
    return found


async def _race(addresses: list[AddrInfoType]) -> socket.socket:
    try:
        return await start_connection(addresses, happy_eyeballs_delay=CONNECTION_ATTEMPT_DELAY, interleave=1)
    except (RuntimeError, IndexError) as error:  # raised by uvloop and aiohappyeyeballs instead of an OSError
        raise OSError(f"no address could be reached: {error}") from error
