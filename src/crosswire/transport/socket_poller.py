"""Watches the sockets of a listener with an epoll of its own, which is one thing to watch for the event loop."""

from __future__ import annotations

import asyncio
import select
import sys
from contextvars import Context, copy_context
from typing import Protocol

READ_SIZE = 64 * 1024
"""Bytes that are read at once from a connection whose protocol has no buffer of its own."""
MAX_EVENTS = 256
"""Sockets that are served in one turn of the event loop. Those that are left come first in the next one."""
LONE_TURNS = 8
"""Turns in which a socket that was alone in the last ones is served unasked, before epoll is asked for others again."""

if sys.platform == "linux":
    READABLE, WRITABLE = select.EPOLLIN, select.EPOLLOUT
    MORE_BEHIND = select.EPOLLRDHUP | select.EPOLLHUP | select.EPOLLERR | select.EPOLLPRI
    _NEWS = select.EPOLLET | select.EPOLLRDHUP | select.EPOLLPRI
else:
    READABLE, WRITABLE, MORE_BEHIND, _NEWS = 1, 4, 0, 0


class PolledSocket(Protocol):
    """Socket that a poller watches."""

    def ready(self, events: int) -> bool:
        """Read or write, and return whether bytes were read.

        Args:
            events: has :data:`READABLE`, :data:`WRITABLE`, or of :data:`MORE_BEHIND` what says that one read does not
                take all: the end of the connection is behind it, or an urgent byte, at which the kernel ends a read.
        """
        ...

    def ready_alone(self, events: int) -> bool:
        """Do the same as the only socket that is served in a turn of the event loop."""
        ...

    def fail(self, error: BaseException) -> None:
        """Drop the connection: what was called has raised."""


class EndedSocket(Protocol):
    """Transport of a connection that has ended."""

    def lose(self) -> None:
        """Close the socket, and tell the protocol."""

    def fail(self, error: BaseException) -> None:
        """Report that :meth:`lose` has raised."""


def can_poll() -> bool:
    """Return whether this platform has epoll."""
    return sys.platform == "linux"


class SocketPoller:
    """Watches sockets, and serves those of one turn of the event loop in one callback.

    With a watcher of the event loop for each connection, a callback of the event loop is made for each that is ready,
    with its handle and its context. Here the event loop watches one descriptor, and a connection is an entry in a
    dictionary.

    A connection that is alone on its server shares no turn with others, and would pay for the second look, into the
    epoll, by itself. So where the same socket was alone twice, it is taken for the one that the event loop has found.
    If it was not, the next turn looks.

    A connection is reported when something comes, and not for as long as it is there: epoll would look at each
    connection again in the next turn, to find out that all has been read. So what reads less than there is, or might
    be, asks to be told again, see :meth:`watch`.

    The callback runs in the context in which the poller was made: one for all connections.

    Attributes:
        buffer: where the bytes of connections are read into that have no buffer of their own.
    """

    __slots__ = ("_context", "_epoll", "_is_ending", "_lone", "_lone_turns", "_loop", "_lost", "_sockets", "buffer")

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._context: Context = copy_context()
        self._epoll = select.epoll()
        self._sockets: dict[int, PolledSocket] = {}  # by descriptor, those too that are not watched for now
        self._lost: list[EndedSocket] = []
        self._is_ending = False
        self._lone = -1  # descriptor of the socket that was alone in the last turn, and was read
        self._lone_turns = 0  # in which it is served unasked
        self.buffer = memoryview(bytearray(READ_SIZE))
        self._loop.add_reader(self._epoll.fileno(), self._serve)

    def __len__(self) -> int:
        return len(self._sockets)

    def add(self, descriptor: int, polled: PolledSocket) -> None:
        """Tell of what there is to read from a connection, as it comes."""
        self._epoll.register(descriptor, READABLE | _NEWS)
        self._sockets[descriptor] = polled

    def add_listening(self, descriptor: int, polled: PolledSocket) -> None:
        """Tell in each turn that connections wait in a socket, for as long as they do."""
        self._epoll.register(descriptor, READABLE)
        self._sockets[descriptor] = polled

    def replace(self, descriptor: int, polled: PolledSocket) -> None:
        """Let another object be told when there is something to read."""
        self._sockets[descriptor] = polled

    def watch(self, descriptor: int, events: int, before: int) -> None:
        """Watch a connection for other events than before; 0 for none, as epoll reports its end even then.

        With the same events as before, what is left is told again.
        """
        if not before:
            self._epoll.register(descriptor, events | _NEWS)
        elif events:
            self._epoll.modify(descriptor, events | _NEWS)
        else:
            self._epoll.unregister(descriptor)

    def remove(self, descriptor: int, events: int = 0) -> None:
        """Forget a socket, which is watched for ``events``, before it is closed."""
        if events:
            self._epoll.unregister(descriptor)
        self._sockets.pop(descriptor, None)
        if self._is_ending:
            self.end()

    def lose_soon(self, ended: EndedSocket) -> None:
        """Call ``lose`` of a transport in the next turn of the event loop, when what it is called by is done."""
        if not self._lost:
            self._loop.call_soon(self._lose, context=self._context)
        self._lost.append(ended)

    def end(self) -> None:
        """Close the epoll, once there are no more sockets."""
        self._is_ending = True
        if not self._sockets and not self._epoll.closed:
            self._loop.remove_reader(self._epoll.fileno())
            self._epoll.close()

    def _serve(self) -> None:
        if self._lone_turns:
            self._lone_turns -= 1
            self._serve_alone(self._lone, READABLE)
            return
        found, sockets = self._epoll.poll(0, MAX_EVENTS), self._sockets
        if len(found) == 1:
            ((descriptor, events),) = found
            was_alone = descriptor == self._lone
            self._lone = descriptor
            if self._serve_alone(descriptor, events) and was_alone:
                self._lone_turns = LONE_TURNS
            return
        self._lone = -1
        for descriptor, events in found:
            try:
                polled = sockets[descriptor]
            except KeyError:  # it was removed by one of the others
                continue
            try:
                polled.ready(events)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - the others must be served all the same
                polled.fail(error)

    def _serve_alone(self, descriptor: int, events: int) -> bool:
        """Serve the only socket of a turn; return whether it was read."""
        polled = self._sockets.get(descriptor)
        try:
            if polled is not None and polled.ready_alone(events):
                return True
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:  # noqa: BLE001 - it is reported
            assert polled is not None
            polled.fail(error)
        self._lone, self._lone_turns = -1, 0
        return False

    def _lose(self) -> None:
        lost, self._lost = self._lost, []
        for each in lost:
            try:
                each.lose()
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:  # noqa: BLE001 - the others must be told all the same
                each.fail(error)
