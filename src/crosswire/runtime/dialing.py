"""Opens TCP connections to names that have several addresses, not all of which need to work."""

from __future__ import annotations

import asyncio
import socket
import ssl
from collections.abc import Callable
from ipaddress import ip_address
from typing import TypeVar

from aiohappyeyeballs import AddrInfoType, start_connection

HEAD_START = 0.25
"""Seconds that an address has to answer before the next is tried beside it (RFC 8305, section 8)."""

ProtocolT = TypeVar("ProtocolT", bound=asyncio.BaseProtocol)


async def dial(
    make: Callable[[], ProtocolT], host: str, port: int, tls: ssl.SSLContext | None = None
) -> tuple[asyncio.Transport, ProtocolT]:
    """Connect to the address of a host that answers first (RFC 8305: IPv6 and IPv4 in turn, each with a head start).

    asyncio can do it, uvloop can't; the race is that of aiohappyeyeballs on both. No limit to the time that it takes is
    set here: cancel it.

    Args:
        make: gives the protocol.
        host: a name or an address; with ``tls`` the server's certificate has to be for it.
        port: of the server.
        tls: for a connection with TLS.

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
        else:  # the resolver would need a thread to find out as much
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
        return await start_connection(addresses, happy_eyeballs_delay=HEAD_START, interleave=1)
    except (RuntimeError, IndexError) as error:  # so uvloop says what would be an OSError, and the race that it failed
        raise OSError(f"no address could be connected to: {error}") from error
