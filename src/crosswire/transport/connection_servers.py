"""Accept connections on one socket: by themselves, or through a server of the event loop."""

from __future__ import annotations

import asyncio
import errno
import socket
from collections.abc import Callable, Sized
from typing import Protocol

from crosswire.transport.socket_poller import READABLE, SocketPoller
from crosswire.transport.socket_transport import SocketTransport

ACCEPTED_IN_TURN = 64
"""Connections that are accepted in one turn of the event loop: they share its work, and others do not wait long."""
ACCEPTED_WHEN_BEHIND = 2
"""Connections that are accepted in a turn however many others wait for theirs: it handles at least as many requests,
one that has waited and one that has just come."""
LOOP_ACCEPTED_AT_ONCE = 4
"""Connections that asyncio's own loop accepts in one turn: it takes the length of the queue for that number."""
_OF_ONE_CONNECTION = (
    "ECONNABORTED",
    "EHOSTDOWN",
    "EHOSTUNREACH",
    "ENETDOWN",
    "ENETUNREACH",
    "ENONET",
    "ENOPROTOOPT",
    "EOPNOTSUPP",
    "EPERM",
    "EPROTO",
    "ETIMEDOUT",
)
_FAILED_BEFORE = frozenset(getattr(errno, name, 0) for name in _OF_ONE_CONNECTION)
"""Errors of ``accept`` that tell of a connection which has failed already, see accept(2); others may stay."""

MakeProtocol = Callable[[], asyncio.Protocol]
"""Function that makes the protocol of a new connection."""


class ConnectionServer(Protocol):
    """Accepts connections on one socket.

    Attributes:
        accepted_at_once: connections that it accepts at most before :meth:`Gate.check` is called.
    """

    accepted_at_once: int

    def close(self) -> None:
        """Accept no more, and close the socket."""

    def close_soon(self) -> None:
        """Do the same while a connection is being accepted."""


class Gate(Protocol):
    """Decides whether more connections are accepted."""

    def check(self) -> None:
        """Note that connections were accepted: close the servers if there is no room for more."""

    def accept_failed(self, error: OSError) -> None:
        """Close the servers for a while: nothing can be accepted."""


class LoopServer:
    """Accepts connections as a server of the event loop.

    Args:
        server: of the event loop.
    """

    __slots__ = ("_server", "accepted_at_once")

    def __init__(self, server: asyncio.Server) -> None:
        self._server = server
        is_asyncio = isinstance(asyncio.get_running_loop(), asyncio.SelectorEventLoop)
        self.accepted_at_once = LOOP_ACCEPTED_AT_ONCE if is_asyncio else 1  # uvloop's

    def close(self) -> None:
        self._server.close()

    def close_soon(self) -> None:
        loop = asyncio.get_running_loop()
        if isinstance(loop, asyncio.SelectorEventLoop):  # else it accepts some that the server can't take then
            for each in self._server.sockets:
                loop.remove_reader(each.fileno())
        loop.call_soon(self._server.close)  # not now: the event loop is in the middle of it


class ListeningSocket(socket.socket):
    """Socket that listens, and accepts connections with as few calls as possible.

    A plain one looks its family and its type up in enums for each connection, and makes an object of Python's class
    ``socket.socket``. Ours has them at hand, and makes one of the base of that class, which is written in C and which
    the garbage collector need not know: that is eleven Python functions less in the life of a connection.

    Args:
        place: socket that listens, or is about to; it can't be used any more.
    """

    __slots__ = ("family", "type")

    family: socket.AddressFamily
    type: socket.SocketKind

    def __init__(self, place: socket.socket) -> None:
        family, kind = place.family, place.type
        super().__init__(family, kind, place.proto, place.detach())
        self.family, self.type = family, kind  # pyright: ignore[reportIncompatibleMethodOverride]

    def take(self) -> tuple[socket.SocketType, object]:
        """Accept a connection: return its socket, which does not block, and the address of its peer.

        Raises:
            OSError: as :meth:`socket.socket.accept`.
        """
        descriptor, address = self._accept()  # type: ignore[attr-defined]  # what Python's own accept() calls
        own = socket.SocketType(self.family, self.type, self.proto, descriptor)
        own.setblocking(False)
        return own, address


class SocketServer:
    """Accepts connections by itself, many in a turn, and gives each a ``SocketTransport``.

    A server of uvloop accepts one connection in each turn. When thousands come at once, each of them takes a turn, and
    one for its request, and one for the answer. Here they come in groups, as long as the server keeps up with
    them. Else they wait in the kernel's queue: once accepted, a client has a second to send its request before it may
    have to give way, and one whose request only waits to be handled must not.

    Args:
        place: socket that listens, or is about to; it is closed with the server.
        poller: watches it, and the connections.
        make_protocol: makes the protocol of each.
        gate: told of each group.
        behind: the connections whose bytes wait to be handled.
    """

    __slots__ = ("_behind", "_gate", "_is_closed", "_make_protocol", "_place", "_poller", "accepted_at_once")

    def __init__(
        self, place: socket.socket, poller: SocketPoller, make_protocol: MakeProtocol, gate: Gate, behind: Sized
    ) -> None:
        self._place = ListeningSocket(place)
        self._poller = poller
        self._make_protocol = make_protocol
        self._gate = gate
        self._behind = behind
        self._is_closed = False
        self.accepted_at_once = 1
        self._place.setblocking(False)
        if self._place.family != socket.AF_UNIX:  # a connection inherits it
            self._place.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        poller.add_listening(self._place.fileno(), self)

    def close(self) -> None:
        if not self._is_closed:
            self._is_closed = True
            self._poller.remove(self._place.fileno(), READABLE)
            self._place.close()

    close_soon = close

    # PolledSocket

    def ready(self, events: int) -> bool:
        """Accept the connections that wait, up to :data:`ACCEPTED_IN_TURN`, the fewer the more are not handled yet.

        Return False, as no bytes are read.
        """
        for _ in range(max(ACCEPTED_WHEN_BEHIND, ACCEPTED_IN_TURN - len(self._behind))):
            try:
                own, address = self._place.take()
            except (BlockingIOError, InterruptedError):
                break
            except OSError as error:
                if error.errno in _FAILED_BEFORE:
                    continue
                self._gate.accept_failed(error)
                return False
            try:
                SocketTransport(own, address, self._poller, self._make_protocol()).begin()
            except BaseException:  # nobody has it yet who would close it
                own.close()
                raise
            if self._is_closed:  # by the gate
                return False
        self._gate.check()
        return False

    ready_alone = ready

    def fail(self, error: BaseException) -> None:
        """Report that a connection could not begin; the next ones may."""
        text = "a connection could not be accepted"
        asyncio.get_running_loop().call_exception_handler({"message": text, "exception": error})
