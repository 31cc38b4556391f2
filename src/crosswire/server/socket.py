"""One client's connection, as the application sees it."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from crosswire.core import messages
from crosswire.core.audience import require_close_code, require_reason, require_timeout, room_of
from crosswire.core.calls import PendingCalls
from crosswire.core.formats import Format
from crosswire.core.frames import Opcode, Push
from crosswire.core.names import require_event, require_name
from crosswire.core.payloads import payload_type
from crosswire.errors import CallTimeout, InvalidPayload, NotConnected, Reject, UsageError
from crosswire.runtime.contexts import ContextFactory
from crosswire.runtime.loop_thread import get_ident, wrong_thread
from crosswire.runtime.notices import shown
from crosswire.runtime.wheel import Timer
from crosswire.server.calls import OneAnswer, Waiter
from crosswire.server.handshake import Handshake
from crosswire.server.keepalive import Keepalive
from crosswire.transport.interface import Connection
from crosswire.types import ANYTHING, Close, CloseCode, T

if TYPE_CHECKING:
    from typing_extensions import TypeForm

    from crosswire.server.context import Context


class Socket:
    """A connection to this server.

    Attributes:
        id: unique to the connection.
        user: whose it is; the id until ``authenticate`` or :meth:`identify` gave another.
        handshake: the HTTP request it began with.
        data: yours, to keep what belongs to the connection.
        format: how messages to it are encoded.
        keepalive: its pings; told of what arrives.
        push: queues an encoded frame; for a fan-out, all others use :meth:`deliver`.
        stamp: when it got its user, to compare with connections to other servers.
        copy_context: gives a copy of the connection's context variables, for one call of the application's code.
    """

    __slots__ = (
        "__weakref__",
        "_background",
        "_calls",
        "_connection",
        "_context",
        "_left",
        "_read_on",
        "copy_context",
        "data",
        "format",
        "handshake",
        "id",
        "keepalive",
        "push",
        "stamp",
        "user",
    )

    def __init__(
        self,
        handshake: Handshake,
        connection: Connection,
        format: Format,
        context: Context,
        copy_context: ContextFactory,
    ) -> None:
        self.id = context.socket_ids.next()
        self.user = self.id
        self.stamp = 0
        self.handshake = handshake
        self.data: dict[str, Any] = {}
        self.format = format
        self.copy_context = copy_context
        self.push: Push = connection.push
        self._connection = connection
        self._context = context
        self.keepalive = Keepalive(connection, context.heartbeat, context.wheel)
        self._calls: PendingCalls[Waiter] | None = None
        self._background: Timer | None = None
        self._left: dict[str, set[str]] | None = None
        self._read_on: Callable[[], None] | None = None

    def __repr__(self) -> str:
        return f"<Socket {self.id} user={shown(self.user)!r}{'' if self.is_open else ' closed'}>"

    @property
    def is_open(self) -> bool:
        """Whether it can still be sent to."""
        return self._left is None

    @property
    def rooms(self) -> dict[str, set[str]]:
        """The rooms it is in, namespace -> ids; of a closed socket, those it was in last."""
        rooms = self._context.registry.rooms.rooms_of(self) if self._left is None else self._left
        return {namespace: set(ids) for namespace, ids in rooms.items()}

    @property
    def latency(self) -> float | None:
        """Milliseconds of the last ping's round trip; None before the first."""
        return self.keepalive.latency

    @property
    def buffered(self) -> int:
        """Bytes that wait to be sent."""
        self._require_here()
        self._context.fanout.flush()
        return self._connection.buffered

    async def drained(self, below: int = 64 * 1024) -> None:
        """Wait until fewer than ``below`` bytes wait to be sent: so much data goes out as fast as the client reads.

        Raises:
            NotConnected: the connection is closed, or is meanwhile.
            UsageError: ``below`` is no whole number greater than 0.
        """
        _require_size(below)
        self._require_open()
        while self.buffered >= below:
            if not await self._connection.drained(below) or not self.is_open:
                raise NotConnected(f"the connection of user {self.user!r} was closed before all was sent")

    def send(self, event: str, data: Any = None) -> None:
        """Send an event. Never waits; to a closed socket it does nothing.

        Raises:
            InvalidPayload: ``data`` can't be encoded.
            UsageError: the event's name is empty or reserved; or this thread is not that of the event loop, here and
                wherever something is done with a socket.
        """
        if get_ident() != self._context.thread:
            raise self._foreign()
        self.deliver(self.format.frame(messages.event(require_event(event), data)))

    def send_raw(self, message: str | bytes) -> None:
        """Send a message of your own protocol: text for a str, binary for bytes.

        Raises:
            InvalidPayload: a str has no UTF-8 form.
            UsageError: as :meth:`send`, for the thread.
        """
        self._require_here()
        if not isinstance(message, str):
            self.deliver(self.format.raw(Opcode.BINARY, bytes(message)))
            return
        try:
            text = message.encode()
        except UnicodeEncodeError as error:
            raise InvalidPayload(f"the message has no UTF-8 form: {error}") from error
        self.deliver(self.format.raw(Opcode.TEXT, text))

    async def call(self, event: str, data: Any = None, *, timeout: float = 5, type: TypeForm[T] = ANYTHING) -> T:
        """Call the client and return its answer.

        Args:
            event: its name.
            data: as for :meth:`send`.
            timeout: seconds.
            type: what the answer is decoded into and must fit: as for a handler's data, a msgspec Struct, dataclass,
                TypedDict or builtin type.

        Raises:
            CallTimeout: no answer came in time.
            EventError: the client refused; :exc:`InvalidPayload`, its answer does not fit.
            ConfigError: the type can't be decoded.
            NotConnected: the connection is closed, or was before the answer came.
            InvalidPayload, UsageError: as :meth:`send`.
        """
        self._require_here()
        require_timeout(timeout)
        waiter = OneAnswer(payload_type(type))
        call_id = self._context.call_ids.next()
        frame = self.format.frame(messages.server_call(require_event(event), data, call_id))
        self.expect(call_id, waiter)
        try:
            self.deliver(frame)
            async with asyncio.timeout(timeout):
                answer: T = await waiter.future
                return answer
        except TimeoutError:
            raise CallTimeout(f"user {self.user!r} did not answer {event!r} within {timeout} s") from None
        finally:
            self.forget(call_id)

    async def join(self, namespace: str, id: str) -> None:
        """Join a room; when it returns, messages to the room reach this socket.

        Raises:
            EventError: ``ROOM_LIMIT``, it is in as many rooms as it may be.
            BusUnavailable: no Redis lets this server listen for the room; the socket is not in it.
            NotConnected: it is closed.
            UsageError: a name is empty or no string.
        """
        self._require_here()
        room = room_of(namespace, id)
        self._require_open()
        joined = self._context.registry.join(self, room.namespace, room.id)
        try:
            await self._context.interest.room_ready(room.namespace, room.id)
        except BaseException:
            if joined:  # whoever is told that it failed, or does not wait for it, is not in
                self._context.registry.leave(self, room.namespace, room.id)
            raise

    async def leave(self, namespace: str, id: str) -> None:
        """Leave a room; does nothing if it is not in it.

        Raises:
            UsageError: a name is empty or no string.
        """
        self._require_here()
        room = room_of(namespace, id)
        self._context.registry.leave(self, room.namespace, room.id)

    async def identify(self, user: str) -> None:
        """Say whose connection this is, from now on. It keeps its rooms.

        Raises:
            Reject: the server refuses duplicates and the user is connected already; this socket is closed with 4012.
            BusUnavailable: no Redis lets this server listen for the user; the socket is whose it was before.
            NotConnected: it is closed.
            UsageError: the user is empty or no string.
        """
        self._require_here()
        require_name(user, "a user id")
        self._require_open()
        before = self.user
        if self._context.registry.keeps_out(self, user):
            await self._context.registry.make_way(user)
            self._require_open()
        if not self._context.registry.rename(self, user):
            refused = Reject(CloseCode.REPLACED, "the user is connected already")
            self.close(refused.close_code, refused.reason)
            raise refused
        try:
            await self._context.interest.arrive(self)
        except BaseException:
            if self.is_open and self.user == user:
                self._context.registry.rename(self, before)
            raise
        if not self.is_open and self._context.registry.duplicates == "refuse":
            raise Reject(CloseCode.REPLACED, "the user is connected already")

    def close(self, code: int = 1000, reason: str = "") -> None:
        """Start the closing handshake. From now on the socket is in no room, and nothing reaches it.

        Raises:
            UsageError: the code can't be sent, or the reason is no string.
        """
        self._require_here()
        require_close_code(code)
        require_reason(reason)
        self.retire()
        self._connection.close(code, reason)

    def enter_background(self) -> None:
        """Note that the client's application went to the background; it is closed unless it comes back in time.

        The time is ``Heartbeat.background``, the close code 4013.
        """
        self._require_here()
        if self._background is None and self.is_open:
            self._background = self._context.wheel.start(self._context.heartbeat.background, self._stayed_away)

    def enter_foreground(self) -> None:
        """Note that the client's application is back."""
        self._require_here()
        if self._background is not None:
            self._background.cancel()
            self._background = None

    # For the server's own parts.

    def deliver(self, frame: bytes) -> None:
        """Queue an encoded frame, behind what was sent to many before."""
        self._context.fanout.flush()
        self.push(frame)

    def expect(self, call_id: str, waiter: Waiter) -> None:
        """Let ``waiter`` have the answer to a call; raises NotConnected if the socket is closed."""
        self._require_open()
        if self._calls is None:
            self._calls = PendingCalls()
        self._calls.add(call_id, waiter)
        if self._read_on is not None:
            self._read_on()

    def forget(self, call_id: str) -> Waiter | None:
        """Wait no more for the answer to a call; return who did."""
        return self._calls.take(call_id) if self._calls is not None else None

    @property
    def awaits_answers(self) -> bool:
        """Whether it has been called and may answer yet."""
        return bool(self._calls)

    def pause_reading(self, called: Callable[[], None]) -> None:
        """Read no more of it; its silence means nothing meanwhile.

        Args:
            called: told when it is called, and its answer would not be read.
        """
        if self._read_on is not None:
            return
        self._read_on = called
        self.keepalive.deaf = True
        self._connection.pause_reading()

    def resume_reading(self) -> None:
        """Read again, if it was paused."""
        if self._read_on is None:
            return
        self._read_on = None
        self.keepalive.deaf = False
        self.keepalive.heard = True
        self._connection.resume_reading()

    def pong(self, payload: bytes) -> None:
        """Take a pong."""
        self.keepalive.pong(payload)

    async def drop_if_dead(self) -> bool:
        """Ping the peer, and drop the connection if that shows no life within ``Heartbeat.probe`` seconds.

        Returns:
            Whether the connection is still there.
        """
        alive = await self.keepalive.answers(self._context.heartbeat.probe)
        if self.is_open and not alive:
            self.abort(Close(CloseCode.ABNORMAL, "no sign of life when the user connected anew"))
        return self.is_open

    def retire(self) -> None:
        """Leave user, rooms and pending calls: the connection is closing or gone. Only the first time counts."""
        if self._left is not None:
            return
        self._left = self._context.registry.drop(self)
        self.keepalive.stop()
        self.enter_foreground()
        for waiter in self._calls.take_all() if self._calls is not None else ():
            waiter.lost(self)

    def abort(self, close: Close) -> None:
        """Drop the connection, which is told of as ``close``."""
        self.retire()
        self._connection.abort(close)

    def _require_here(self) -> None:
        if get_ident() != self._context.thread:
            raise self._foreign()

    def _foreign(self) -> UsageError:
        return wrong_thread(f"the connection of user {self.user!r}")

    def _require_open(self) -> None:
        if not self.is_open:
            raise NotConnected(f"the connection of user {self.user!r} is closed")

    def _stayed_away(self) -> None:
        self.close(CloseCode.BACKGROUND, "in the background for too long")


def _require_size(below: object) -> None:
    if isinstance(below, bool) or not isinstance(below, int) or below <= 0:
        raise UsageError(f"drained(below={below!r}): give a whole number of bytes greater than 0")
