"""A TCP proxy that breaks connections the way networks do: they are cut, fall silent, or stop taking bytes."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections import deque
from collections.abc import Callable
from typing import Self, cast

from crosswire.runtime.background_tasks import BackgroundTasks

_HOST = "127.0.0.1"
_FIRST_BYTES = 4096
"""Bytes from the beginning of each connection that are kept."""
_MAX_DELAYED_BYTES = 1024 * 1024
"""Bytes that a delayed connection holds before it stops reading."""
_RESET_ON_CLOSE = struct.pack("ii", 1, 0)
"""SO_LINGER with a timeout of 0: closing the socket sends an RST."""


class TcpProxy:
    """A proxy in front of a server, on a free port of the loopback interface, while its context is entered.

    A fault for all links applies to the links that exist; later links work. A client is reset if the server can't be
    reached.

    Args:
        host: of the server; resolved and connected to for every link, so the server may stop and start again.
        port: of the server.

    Attributes:
        port: the port of the proxy, for clients.

    Example::

        async with TcpProxy("127.0.0.1", redis.port) as proxy:
            ...
            subscriber = next(link for link in proxy.links if b"SUBSCRIBE" in link.first_bytes)
            proxy.blackhole(subscriber)
    """

    def __init__(self, host: str, port: int) -> None:
        self.port = 0
        self._target = (host, port)
        self._links: list[ProxiedConnection] = []
        self._made = 0
        self._delay = 0.0
        self._refuses = False
        self._connecting = BackgroundTasks()
        self._ended = asyncio.Event()
        self._listener: asyncio.Server

    async def __aenter__(self) -> Self:
        loop = asyncio.get_running_loop()
        self._listener = await loop.create_server(self._new_client, _HOST, 0)
        self.port = self._listener.sockets[0].getsockname()[1]
        return self

    async def __aexit__(self, *exception: object) -> None:
        self._refuses = True
        self._listener.close()
        await self._connecting.cancel()
        while self._links:
            self._ended.clear()
            self.cut()
            await self._ended.wait()
        await self._listener.wait_closed()

    @property
    def links(self) -> list[ProxiedConnection]:
        """The connections through the proxy, oldest first, until both their ends are gone."""
        return list(self._links)

    def blackhole(self, link: ProxiedConnection | None = None, *, up: bool = True, down: bool = True) -> None:
        """Discard all bytes of a link, or of all links, from now on, and leave the connections open.

        Bytes that arrive are read and discarded, so writes of the sender succeed for ever. The end of a connection is
        discarded too, so that the other end does not notice it. A black hole can't be undone, as bytes of the stream
        are missing: cut the link.

        Args:
            link: None for all that there are.
            up: what clients send.
            down: what the server sends.
        """
        for each in self._chosen(link):
            each.client.hole |= up
            each.server.hole |= down
            each.go_on()

    def hold(self, link: ProxiedConnection | None = None, *, up: bool = True, down: bool = True) -> None:
        """Stop reading from a link, or from all links: the kernels' buffers fill up, until the senders can't send.

        Nothing is lost. A connection that its end closes or resets meanwhile is noticed at the release.

        Args:
            link: None for all that there are.
            up: what clients send.
            down: what the server sends.
        """
        for each in self._chosen(link):
            each.client.held |= up
            each.server.held |= down
            each.go_on()

    def release(self, link: ProxiedConnection | None = None) -> None:
        """Read again from a held link, or from all links."""
        for each in self._chosen(link):
            each.client.held = each.server.held = False
            each.go_on()

    def cut(self, link: ProxiedConnection | None = None, *, reset: bool = True) -> None:
        """Close both connections of a link, or of all links.

        Args:
            link: None for all that there are.
            reset: close with an RST, at once; else in order, after the bytes that were read before.
        """
        for each in self._chosen(link):
            each.client.drop(reset)
            each.server.drop(reset)

    def refuse(self, refusing: bool = True) -> None:
        """Reset new connections at once, or no longer; existing links are left alone."""
        self._refuses = refusing

    def delay(self, seconds: float) -> None:
        """Forward bytes of the server after a delay, on new links too; each link holds at most 1 MiB of them."""
        self._delay = seconds
        for each in self._links:
            each.server.delay = seconds

    def _chosen(self, link: ProxiedConnection | None) -> list[ProxiedConnection]:
        return self.links if link is None else [link]

    def _new_client(self) -> _End:
        return ProxiedConnection(self._opened, self._closed).client

    def _opened(self, link: ProxiedConnection) -> None:
        if self._refuses:
            link.client.drop(reset=True)
            return
        link.index, self._made = self._made, self._made + 1
        link.server.delay = self._delay
        self._links.append(link)
        self._connecting.start(self._connect(link), f"proxy link {link.index}")

    async def _connect(self, link: ProxiedConnection) -> None:
        try:
            await asyncio.get_running_loop().create_connection(lambda: link.server, *self._target)
        except OSError:
            link.client.drop(reset=True)  # it learns of it as a client would, by its connection
        except asyncio.CancelledError:
            link.server.transport = None  # uvloop may have made the connection, and never says that it is lost
            raise

    def _closed(self, link: ProxiedConnection) -> None:
        if link in self._links:  # a refused one never was
            self._links.remove(link)
        self._ended.set()


class ProxiedConnection:
    """A client's connection to the proxy and the proxy's to the server.

    Attributes:
        index: counts the links of the proxy, from 0.
        client: the end that the client is connected to.
        server: the end that is connected to the server.
    """

    def __init__(
        self, opened: Callable[[ProxiedConnection], None], closed: Callable[[ProxiedConnection], None]
    ) -> None:
        self.index = -1
        self.client = _End(self)
        self.server = _End(self)
        self.client.other, self.server.other = self.server, self.client
        self._opened = opened
        self._closed = closed

    def __repr__(self) -> str:
        moved = f"{self.bytes_up} bytes up, {self.bytes_down} down, {self.bytes_lost} lost"
        return f"<ProxiedConnection {self.index}: {moved}>"

    @property
    def first_bytes(self) -> bytes:
        """The first 4096 bytes that the client sent: they tell one connection from another."""
        return bytes(self.client.first)

    @property
    def bytes_up(self) -> int:
        """The number of bytes forwarded from the client to the server."""
        return self.client.passed

    @property
    def bytes_down(self) -> int:
        """The number of bytes forwarded from the server to the client."""
        return self.server.passed

    @property
    def bytes_lost(self) -> int:
        """The number of bytes, of both directions, that a black hole has discarded."""
        return self.client.lost + self.server.lost

    def go_on(self) -> None:
        """Let both ends forward the bytes that are due."""
        self.client.go_on()
        self.server.go_on()

    def end_made(self, end: _End) -> None:
        """Handle a connected end: the client's comes first."""
        if end is self.client:
            self._opened(self)
        elif self.client.gone:
            end.drop(reset=True)
        self.go_on()

    def end_lost(self) -> None:
        """Report the link as closed once both ends are gone."""
        if all(end.gone or end.transport is None for end in (self.client, self.server)):
            self._closed(self)


class _End(asyncio.Protocol):
    """An end of a link, and the direction that starts there: bytes that arrive here leave at the other end.

    Attributes:
        other: end of the link.
        transport: None until it is connected.
        gone: the connection has ended.
        hole: all that arrives is discarded.
        held: nothing is read.
        full: the peer does not read as fast as the other end sends.
        delay: of what arrives, in seconds.
        first: the first bytes that arrived.
        passed: the number of bytes that were forwarded.
        lost: the number of bytes that were discarded.
        read_to_end: the peer has ended its stream.
        passed_to_end: the end of the stream was forwarded.
    """

    other: _End

    def __init__(self, link: ProxiedConnection) -> None:
        self.transport: asyncio.Transport | None = None
        self.gone = self.hole = self.held = self.full = False
        self.delay = 0.0
        self.first = bytearray()
        self.passed = self.lost = 0
        self._link = link
        self._delayed: deque[tuple[float, bytes]] = deque()  # when it is due, and what; b"" is the end of the stream
        self._delayed_size = 0
        self._timer: asyncio.TimerHandle | None = None
        self.read_to_end = self.passed_to_end = False

    def go_on(self) -> None:
        """Forward the bytes that are due, and read on if the other end takes more."""
        loop = asyncio.get_running_loop()
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None
        while self._delayed and not self._stuck and self._delayed[0][0] <= loop.time():
            data = self._delayed.popleft()[1]
            self._delayed_size -= len(data)
            self._hand_on(data)
        if self._delayed and not self._stuck:
            self._timer = loop.call_at(self._delayed[0][0], self.go_on)
        self.regulate()

    def regulate(self) -> None:
        """Pause or resume reading, depending on whether the other end takes more."""
        if self.transport is None or self.transport.is_closing() or self.read_to_end:
            return
        if self._stuck or (self.other.full and not self.hole) or self._delayed_size > _MAX_DELAYED_BYTES:
            self.transport.pause_reading()
        else:
            self.transport.resume_reading()

    def drop(self, reset: bool) -> None:
        """Close or reset the connection, if there is one."""
        if self.transport is None or self.gone:
            return
        if not reset:
            self.transport.close()
            return
        if not self.transport.is_closing():
            own = cast(socket.socket, self.transport.get_extra_info("socket"))
            own.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, _RESET_ON_CLOSE)
        self.transport.abort()

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, and wait for the other end."""
        self.transport = cast(asyncio.Transport, transport)
        self._link.end_made(self)

    def data_received(self, data: bytes) -> None:
        """Keep the first bytes, and forward the data, now or after the delay."""
        if len(self.first) < _FIRST_BYTES:
            self.first += data[: _FIRST_BYTES - len(self.first)]
        self._arrived(data)

    def eof_received(self) -> bool:
        """Forward the end of the stream; the peer may still read."""
        self.read_to_end = True
        self._arrived(b"")
        return True

    def pause_writing(self) -> None:
        """Stop reading at the other end until the peer here reads on."""
        self.full = True
        self.other.regulate()

    def resume_writing(self) -> None:
        """Read again at the other end."""
        self.full = False
        self.other.regulate()

    def connection_lost(self, exc: Exception | None) -> None:
        """Drop the other end too, unless this one is a black hole."""
        self.gone = True
        self._delayed.clear()
        self._delayed_size = 0
        self.go_on()
        if not self.hole:
            self.other.drop(reset=exc is not None)
        self._link.end_lost()

    @property
    def _stuck(self) -> bool:
        return not self.hole and (self.held or self.other.transport is None)

    def _arrived(self, data: bytes) -> None:
        # It may arrive while nothing is to be read: uvloop forgets a pause that is asked for in connection_made.
        self._delayed.append((asyncio.get_running_loop().time() + self.delay, data))
        self._delayed_size += len(data)
        self.go_on()

    def _hand_on(self, data: bytes) -> None:
        if self.hole:
            self.lost += len(data)
        elif (sink := self.other.transport) is not None and not sink.is_closing():
            self.passed += len(data)
            if data:
                sink.write(data)
            else:
                self._end_stream(sink)

    def _end_stream(self, sink: asyncio.Transport) -> None:
        sink.write_eof()
        self.passed_to_end = True
        if self.other.passed_to_end:
            self.drop(reset=False)
            self.other.drop(reset=False)
