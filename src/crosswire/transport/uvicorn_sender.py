"""Sends WebSocket frames past the ``send`` of uvicorn, which would make a frame anew for each recipient.

Nothing of uvicorn is imported. Where its protocol is not as expected, or a middleware has wrapped its ``send``,
messages leave through ``send``.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from crosswire.transport.asgi_writer import Send
from crosswire.transport.kernel_buffer import bytes_taken, has_hung_up
from crosswire.transport.listener_context import ListenerContext
from crosswire.transport.outbox import Outbox, OutboxEvents
from crosswire.transport.watermarks import keep_little, set_low_water_mark
from crosswire.types import Close

_PROTOCOLS = ("uvicorn.protocols.websockets.websockets_sansio_impl", "uvicorn.protocols.websockets.wsproto_impl")
"""Modules of uvicorn with protocols that write each frame to their transport at once."""
_ATTRIBUTES = ("transport", "writable", "disconnected", "close_sent")
"""Attributes of such a protocol that are used here."""
_MAX_WRAPPERS = 4
"""Functions of Starlette around ``send`` that are looked through."""


def uvicorn_protocol(send: Any) -> Any:
    """Return the protocol of uvicorn whose ``send`` this is, or that of Starlette around it; else None."""
    for _ in range(_MAX_WRAPPERS):
        owner = getattr(send, "__self__", None)
        module = type(owner).__module__
        if module in _PROTOCOLS:
            return owner if all(hasattr(owner, name) for name in _ATTRIBUTES) else None
        if module == "starlette.websockets":
            send = getattr(owner, "_send", None)
        elif getattr(send, "__module__", None) == "starlette._exception_handler":
            cells = dict(zip(send.__code__.co_freevars, send.__closure__ or (), strict=True))
            send = cells["send"].cell_contents if "send" in cells else None
        else:
            return None
    return None


def drop_if_unread(protocol: Any, timeout: float) -> None:
    """Have uvicorn drop a connection unless the client reads what was sent within ``timeout`` seconds.

    uvicorn closes a connection once all of it has left: that of a client that reads nothing never, and uvicorn waits
    for it before it stops.

    Args:
        protocol: of uvicorn.
        timeout: seconds; 0 to drop it now.
    """
    transport = protocol.transport
    if not transport.get_write_buffer_size():
        return
    if timeout:
        asyncio.get_running_loop().call_later(timeout, transport.abort)
    else:
        transport.abort()


def client_has_left(protocol: Any, *, half: bool) -> bool:
    """Return whether the client of a connection that is not read is gone: uvicorn tells only those who receive.

    Args:
        protocol: of uvicorn.
        half: whether a client that only sends nothing more counts too; what it sent before can still be received.
    """
    transport = protocol.transport
    own = transport.get_extra_info("socket")
    if transport.is_closing() or own is None or own.fileno() < 0:
        return half
    return has_hung_up(own.fileno(), half=half)


class UvicornSender:
    """The ``Sender`` for uvicorn: the frames of a turn leave in one write, shared by all recipients.

    uvicorn itself writes each frame at once, too, so that frames are never mixed. Its task sleeps until uvicorn pauses
    writing, or the connection is closed, which goes through ``send``.

    Args:
        protocol: of uvicorn.
        send: of the ASGI connection.
        context: limits and flusher.
        failed: called when nothing more can be sent.
        events: callback for a full outbox.
    """

    framed = True

    __slots__ = (
        "_close",
        "_failed",
        "_is_held_up",
        "_protocol",
        "_send",
        "_task",
        "_transport",
        "_woken",
        "_written",
        "outbox",
    )

    def __init__(
        self,
        protocol: Any,
        send: Send,
        context: ListenerContext,
        failed: Callable[[Exception], None],
        events: OutboxEvents,
    ) -> None:
        self._protocol = protocol
        self._transport = protocol.transport
        keep_little(self._transport)
        self._send = send
        self._failed = failed
        self.outbox = Outbox(self, context.flusher, context.limits.outbox, events, context.slow_readers)
        self._close: Close | None = None
        self._is_held_up = False
        self._written = 0
        self._woken = asyncio.Event()
        self._task: asyncio.Task[None]

    # Sender

    def start(self) -> None:
        """Start the task that waits for uvicorn."""
        self._task = asyncio.get_running_loop().create_task(self._run(), name="crosswire uvicorn writer")

    def close(self, close: Close) -> None:
        """Let the task send the Close once the outbox is empty."""
        self._close = close
        self.outbox.seal()
        self._woken.set()

    def stop(self) -> None:
        """Cancel the task that waits for uvicorn."""
        self._task.cancel()

    # Writer

    @property
    def waiting(self) -> int:
        """Bytes that uvicorn's transport keeps."""
        transport = self._transport
        return 0 if transport.is_closing() else int(transport.get_write_buffer_size())

    @property
    def taken(self) -> int:
        """Bytes that the client's kernel has taken, or where nobody can tell, the own kernel."""
        own = self._transport.get_extra_info("socket")
        taken = None if own is None or own.fileno() < 0 else bytes_taken(own.fileno())
        return self._written - self.waiting if taken is None else taken

    def write_frames(self, data: bytes) -> None:
        """Write frames to the transport of uvicorn."""
        protocol = self._protocol
        if protocol.disconnected or protocol.close_sent or self._transport.is_closing():
            self._failed(ConnectionError("the client has gone, or uvicorn closes the connection"))
            return
        self._written += len(data)
        self._transport.write(data)
        if not protocol.writable.is_set():
            self._hold_up()
        elif self._transport.get_write_buffer_size():
            self.outbox.watch()

    def set_low_water_mark(self, low: int | None) -> None:
        """Pause the outbox while uvicorn's transport keeps more than ``low`` bytes; None: while it is full."""
        set_low_water_mark(self._transport, low)
        if not self._protocol.writable.is_set():
            self._hold_up()

    def _hold_up(self) -> None:
        self.outbox.pause()
        self._is_held_up = True
        self._woken.set()

    async def _run(self) -> None:
        """Go on when uvicorn's transport can take more, and send the Close at last."""
        try:
            while True:
                await self._woken.wait()
                self._woken.clear()
                while self._is_held_up:
                    await self._protocol.writable.wait()
                    self._is_held_up = False
                    self.outbox.resume()
                if self._close is not None:
                    self.outbox.write_all()
                    if not self._is_held_up:
                        code, reason = int(self._close.code), self._close.reason
                        await self._send({"type": "websocket.close", "code": code, "reason": reason})
                        return
        except Exception as error:  # noqa: BLE001 - an ASGI server may raise anything when the peer is gone
            self._failed(error)
