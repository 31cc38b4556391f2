"""Transport of one connection on its own socket, in place of the event loop's."""

from __future__ import annotations

import asyncio
import socket
from typing import Any

from crosswire.transport.socket_poller import MORE_BEHIND, READABLE, WRITABLE, SocketPoller
from crosswire.transport.watermarks import HIGH_WATER_MARK


class SocketReader(asyncio.BufferedProtocol):
    """Protocol that reads from the socket of its transport by itself, where that is a :class:`SocketTransport`.

    The poller calls it directly, in place of the transport. It calls the transport's ``ready`` for all that it does not
    do by itself: anything but a read, and reads for which it needs ``get_buffer`` and ``buffer_updated``.
    """

    __slots__ = ()

    def read_from(self, transport: SocketTransport) -> None:
        """Begin to read: ``ready``, ``ready_alone`` and ``fail`` are called from now on."""
        raise NotImplementedError

    def ready(self, events: int) -> bool:
        raise NotImplementedError

    def ready_alone(self, events: int) -> bool:
        raise NotImplementedError

    def fail(self, error: BaseException) -> None:
        raise NotImplementedError


class SocketTransport(asyncio.Transport):
    """Transport of a connection that was accepted, without TLS; as the event loop's, but with fewer parts.

    The event loop's transports ask for both addresses of a connection, set options of its socket, and have a watcher
    and a handle each. A server that accepts thousands a second feels that; and connections that are accepted one in
    each turn of the event loop share none of the work of a turn.

    While reading is paused the poller still watches, until something comes: a pause that is over before, as that of a
    request that waits for its turn, needs no system call.

    Args:
        own: the connection's socket, which does not block.
        address: of the peer, as ``accept`` told it.
        poller: watches the socket, from :meth:`begin` on.
        protocol: of the connection.

    Attributes:
        own: as given; read by the transport, or by a protocol that is a :class:`SocketReader`.
    """

    __slots__ = (
        "_address",
        "_descriptor",
        "_error",
        "_events",
        "_has_ended_sending",
        "_high",
        "_is_buffered",
        "_is_closing",
        "_is_lost",
        "_is_reading",
        "_is_writer_paused",
        "_low",
        "_poller",
        "_protocol",
        "_waiting",
        "own",
    )

    def __init__(
        self, own: socket.SocketType, address: object, poller: SocketPoller, protocol: asyncio.BaseProtocol
    ) -> None:
        self.own = own
        self._descriptor = own.fileno()
        self._address = address
        self._poller = poller
        self._events = 0  # that the poller watches for
        self._waiting: bytearray | None = None  # bytes that the kernel has not taken
        self._high, self._low = HIGH_WATER_MARK, HIGH_WATER_MARK // 4
        self._is_writer_paused = False  # whether the protocol is told not to write
        self._has_ended_sending = False
        self._is_reading = True
        self._is_closing = False
        self._is_lost = False  # whether nothing is read and written any more, and the protocol is told, or will be
        self._error: BaseException | None = None  # by which it was lost
        self._protocol = protocol
        self._is_buffered = False
        if isinstance(protocol, asyncio.BufferedProtocol):
            self.set_protocol(protocol)

    def begin(self) -> None:
        """Tell the protocol of the connection, and read unless it has ended that, or paused."""
        self._events = READABLE
        self._poller.add(self._descriptor, self)
        try:
            self._protocol.connection_made(self)
        except Exception as error:  # noqa: BLE001 - the next connections are accepted all the same
            self.fail(error)

    # PolledSocket

    def ready(self, events: int) -> bool:
        if events != READABLE and self._waiting is not None:
            self._write_waiting(self._waiting)
        if not self._is_reading:
            self._watch(self._events & ~READABLE)
            return False
        protocol: Any = self._protocol
        view = protocol.get_buffer(-1) if self._is_buffered else self._poller.buffer
        try:
            size = self.own.recv_into(view)
        except OSError as error:
            self.reading_failed(error)
            return False
        if not size:
            self.end_of_reading()
            return False
        if self._is_buffered:
            protocol.buffer_updated(size)
        else:
            protocol.data_received(bytes(view[:size]))
        if size == len(view) or events & MORE_BEHIND:
            self.read_again()
        return True

    ready_alone = ready

    def fail(self, error: BaseException) -> None:
        asyncio.get_running_loop().call_exception_handler(
            {
                "message": "a connection is dropped, as its protocol has failed",
                "exception": error,
                "transport": self,
                "protocol": self._protocol,
            }
        )
        self._drop(error)

    # What a SocketReader calls

    def reading_failed(self, error: OSError) -> None:
        """Drop the connection, unless there was only nothing to read yet."""
        if not isinstance(error, BlockingIOError | InterruptedError):
            self._drop(error)

    def read_again(self) -> None:
        """Go on in the next turn, as there may be more to read than was read, or the end."""
        if not self._is_closing:
            self._report_again()

    def end_of_reading(self) -> None:
        """Tell the protocol that the peer sends nothing more, and close the connection if it wants that."""
        protocol: Any = self._protocol
        if protocol.eof_received():
            self.pause_reading()
        else:
            self.close()

    # EndedSocket

    def lose(self) -> None:
        self._poller.remove(self._descriptor)
        self.own.close()
        try:
            self._protocol.connection_lost(self._error if isinstance(self._error, Exception) else None)
        finally:
            self._protocol = _ENDED
            self._error = None

    # asyncio.BaseTransport

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        if name == "peername":
            return self._address
        if name == "socket":
            return self.own
        if name == "sockname":
            return self.own.getsockname()
        return default

    def is_closing(self) -> bool:
        return self._is_closing

    def close(self) -> None:
        if not self._is_closing:
            self._is_closing = True
            self._is_reading = False
            if self._waiting is None:
                self._drop(None)

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        self._protocol = protocol
        self._is_buffered = isinstance(protocol, asyncio.BufferedProtocol)
        if isinstance(protocol, SocketReader):
            protocol.read_from(self)
            self._poller.replace(self._descriptor, protocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        return self._protocol

    # asyncio.ReadTransport

    def is_reading(self) -> bool:
        return self._is_reading

    def pause_reading(self) -> None:
        self._is_reading = False

    def resume_reading(self) -> None:
        if not self._is_closing:
            self._is_reading = True
            self._watch(self._events | READABLE)

    # asyncio.WriteTransport

    def set_write_buffer_limits(self, high: int | None = None, low: int | None = None) -> None:
        if high is None:
            high = HIGH_WATER_MARK if low is None else 4 * low
        self._high, self._low = high, high // 4 if low is None else low
        self._pause_protocol()

    def get_write_buffer_limits(self) -> tuple[int, int]:
        return self._low, self._high

    def get_write_buffer_size(self) -> int:
        return 0 if self._waiting is None else len(self._waiting)

    def write(self, data: bytes | bytearray | memoryview[Any]) -> None:
        if self._has_ended_sending:
            raise RuntimeError("nothing can be written behind write_eof()")
        if self._is_closing or not data:
            return
        if self._waiting is not None:
            self._waiting += data
        else:
            sent = self._send(data)
            if self._is_lost or sent == len(data):
                return
            self._waiting = bytearray(memoryview(data)[sent:])
            self._watch(self._events | WRITABLE)
        self._pause_protocol()

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        if not (self._is_closing or self._has_ended_sending):
            self._has_ended_sending = True
            if self._waiting is None:
                self._end_sending()

    def abort(self) -> None:
        self._drop(None)

    # The socket

    def _watch(self, events: int) -> None:
        if events != self._events and not self._is_lost:
            before, self._events = self._events, events
            self._poller.watch(self._descriptor, events, before)

    def _report_again(self) -> None:
        """Let the poller report in the next turn what it has reported before, as far as it still is so."""
        self._poller.watch(self._descriptor, self._events, self._events)

    def _send(self, data: bytes | bytearray | memoryview[Any]) -> int:
        """Return the number of bytes that the kernel has taken."""
        try:
            return self.own.send(data)
        except (BlockingIOError, InterruptedError):
            return 0
        except OSError as error:
            self._drop(error)
            return 0

    def _write_waiting(self, waiting: bytearray) -> None:
        del waiting[: self._send(waiting)]
        if self._is_lost:
            return
        is_full = bool(waiting)  # the kernel's buffer, so that epoll reports when there is room again
        if self._is_writer_paused and len(waiting) <= self._low:
            self._is_writer_paused = False
            self._protocol.resume_writing()  # it may write, behind what waits
        if self._is_lost:
            return
        if waiting:
            if not is_full:
                self._report_again()
            return
        self._waiting = None
        self._watch(self._events & ~WRITABLE)
        if self._is_closing:
            self._drop(None)
        elif self._has_ended_sending:
            self._end_sending()

    def _pause_protocol(self) -> None:
        if not self._is_writer_paused and self.get_write_buffer_size() > self._high:
            self._is_writer_paused = True
            self._protocol.pause_writing()

    def _end_sending(self) -> None:
        try:
            self.own.shutdown(socket.SHUT_WR)
        except OSError as error:  # the peer is gone
            self._drop(error)

    def _drop(self, error: BaseException | None) -> None:
        """Read and write nothing more; tell the protocol in the next turn."""
        if self._is_lost:
            return
        self._watch(0)
        self._is_lost = self._is_closing = True
        self._is_reading = False
        self._waiting = None
        self._error = error
        self._poller.lose_soon(self)


_ENDED = asyncio.Protocol()
"""Protocol that transports have when they have ended."""
