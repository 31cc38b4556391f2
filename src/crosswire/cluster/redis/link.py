"""Connections to Redis."""

from __future__ import annotations

import asyncio
import os
import socket
import ssl
from collections.abc import Callable
from typing import Any, cast

import hiredis

from crosswire.runtime.flusher import Flusher

Take = Callable[[Any], None]
Lost = Callable[[str], None]


class Unreachable(ConnectionError):
    """A Redis can't be used now; the text says why."""


class Unresponsive(Unreachable):
    """A Redis does not answer."""


class Denied(Unreachable):
    """A Redis refuses this node until somebody changes the configuration of the Redis or of the node."""


class Link(asyncio.Protocol):
    """A connection. Commands of one turn of the event loop leave in one write, without waiting for replies.

    Args:
        flusher: writes them at the end of the turn; None for one of its own.

    Attributes:
        heard: the number of reads; a change shows that the other end is alive.
    """

    def __init__(self, flusher: Flusher | None = None) -> None:
        loop = asyncio.get_running_loop()
        self.heard = 0
        self._reader = hiredis.Reader()
        self._take: Take = _ignore
        self._lost: Lost = _ignore
        self._ended: str | None = None
        self._out: list[bytes] = []
        self._schedule = (flusher or Flusher()).schedule
        self._gone = loop.create_future()
        self._transport: asyncio.Transport | None = None

    def listen(self, take: Take, lost: Lost) -> None:
        """Set the callbacks.

        Args:
            take: called with each reply; an error reply is a ``hiredis.ReplyError``.
            lost: called once, with the reason, when either side has ended the connection.

        Raises:
            Unreachable: the connection has ended already.
        """
        if self._ended is not None:
            raise Unreachable(self._ended)
        self._take, self._lost = take, lost

    def send(self, data: bytes) -> None:
        """Write ``data``, whole commands, at the end of this turn."""
        if not self._out:
            self._schedule(self)
        self._out.append(data)

    def close(self, reason: str) -> None:
        """Abort the connection; commands that are not written yet are dropped. A second call does nothing."""
        if self._ended is not None:
            return
        lost, self._ended = self._lost, reason
        self._take = self._lost = _ignore
        if self._transport is not None:
            self._transport.abort()
        else:
            self._gone.set_result(None)
        lost(reason)

    async def closed(self) -> None:
        """Wait until the socket is closed."""
        await asyncio.wait((self._gone,))

    # asyncio.Protocol

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Keep the transport, or abort it if the link was closed meanwhile."""
        self._transport = cast(asyncio.Transport, transport)
        if self._ended is not None:
            self._transport.abort()
            return
        own = transport.get_extra_info("socket")
        if own.family in (socket.AF_INET, socket.AF_INET6):
            own.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)

    def data_received(self, data: bytes) -> None:
        """Parse the replies that are complete, and pass them on."""
        self.heard += 1
        reader = self._reader
        try:
            reader.feed(data)
            gets = reader.gets
            while (reply := gets()) is not False:
                self._take(reply)
        except hiredis.ProtocolError as error:
            self.close(f"it does not speak the protocol of Redis: {error}")

    def connection_lost(self, exc: Exception | None) -> None:
        """Close the link with the reason."""
        self.close("it closed the connection" if exc is None else f"the connection was lost: {text_of(exc)}")
        if not self._gone.done():
            self._gone.set_result(None)

    def flush(self) -> None:
        """Write the commands of this turn."""
        out, self._out = self._out, []
        if self._ended is None and self._transport is not None:
            self._transport.write(out[0] if len(out) == 1 else b"".join(out))


class RedisConnection:
    """A connection to a Redis that may be lost and opened again.

    Attributes:
        link: the current link; None while there is none.
    """

    __slots__ = ("link",)

    def __init__(self) -> None:
        self.link: Link | None = None

    @property
    def connected(self) -> bool:
        """Whether there is a link."""
        return self.link is not None

    @property
    def heard(self) -> int:
        """The number of reads of the current link; a change shows that the other end is alive."""
        return self.link.heard if self.link is not None else 0

    def drop(self, reason: str) -> None:
        """Abort the link, if there is one."""
        if self.link is not None:
            self.link.close(reason)

    async def close(self) -> None:
        """Abort the link, if there is one, and wait until its socket is closed."""
        if (link := self.link) is not None:
            link.close("closed")
            await link.closed()


def text_of(error: BaseException) -> str:
    """Return the text of an exception. For an OSError, that of the operating system, as texts of event loops differ."""
    if isinstance(error, OSError) and error.errno and not isinstance(error, ssl.SSLError | socket.gaierror):
        return os.strerror(error.errno)
    return str(error) or type(error).__name__


def _ignore(_: object) -> None:
    """Ignore a reply or a reason."""
