"""The subscribing connection to a Redis, and its subscriptions."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Protocol

import hiredis

from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.link import Link, Lost, RedisConnection

MAX_CHANNELS_PER_COMMAND = 1000
"""Maximum number of channels in one SUBSCRIBE: many more would block a Redis for too long."""


class SubscriberEvents(Protocol):
    """Callbacks for probes and refused subscriptions."""

    def echoed(self, body: bytes) -> None:
        """Handle a message on the channel of the probes."""

    def subscription_refused(self, channel: bytes, error: str) -> None:
        """Handle a channel to which the Redis does not let this node subscribe."""

    def all_subscribed(self) -> None:
        """Handle the end of the last refusal."""


class _Request:
    """A command that was sent; Redis sends a reply for each channel, or one error for all of them."""

    __slots__ = ("channels", "left", "subscribes")

    def __init__(self, channels: list[bytes], *, subscribes: bool) -> None:
        self.channels = channels
        self.left = len(channels)
        self.subscribes = subscribes


class _Ping(_Request):
    """A PING; its reply shows that all replies before it have arrived."""

    __slots__ = ("answered",)

    def __init__(self) -> None:
        super().__init__([], subscribes=False)
        self.answered: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def resolve(self) -> None:
        """Resolve the future of the PING."""
        if not self.answered.done():
            self.answered.set_result(None)


_UNKNOWN = object()


class Subscriber:
    """The subscriptions to a Redis, renewed on each new connection.

    The port changes the set of wanted channels, and then calls :meth:`change` with the channel. At the end of the turn
    only the difference to the subscriptions is sent.

    Args:
        wanted: the channels to subscribe to; the port changes it.
        receivers: callbacks for the messages of the channels; the port changes it.
        probe: the channel of the probes, the last one that is subscribed to.
        events: the callbacks.

    Attributes:
        connection: the connection, which may be lost and opened again.
        refusals: the errors of the wanted channels to which the Redis does not let this node subscribe.
    """

    def __init__(
        self,
        wanted: Set[bytes],
        receivers: Mapping[bytes, Callable[[bytes], None]],
        probe: bytes,
        events: SubscriberEvents,
    ) -> None:
        self._wanted = wanted
        self._receiver = receivers.get
        self._probe = probe
        self._events = events
        self.connection = RedisConnection()
        self.refusals: dict[bytes, str] = {}
        self._changed: dict[bytes, None] = {}
        # Channel -> the request that subscribes to it, or None once that was answered. It has the channels to which
        # this connection will be subscribed once Redis has handled all requests.
        self._state: dict[bytes, _Request | None] = {}
        self._requests: deque[_Request] = deque()  # answered in this order
        self._waiters: dict[bytes, list[asyncio.Future[None]]] = {}

    def attach(self, link: Link, lost: Lost) -> asyncio.Future[None]:
        """Use a new connection: subscribe to all wanted channels, and at last to the channel of the probes.

        Returns:
            A future that is done when all replies have arrived, or the connection is lost.

        Raises:
            Unreachable: the connection is lost already.
        """
        link.listen(self.take, lost)
        self.connection.link = link
        self._send(list(self._wanted), subscribes=True)
        self._send([self._probe], subscribes=True)
        return self._waiter(self._probe)

    def ping(self) -> asyncio.Future[None]:
        """Send a PING; return a future that is done with its reply, or when the connection is lost."""
        ping = _Ping()
        if self.connection.link is None:
            ping.resolve()
        else:
            self._requests.append(ping)
            self.connection.link.send(command(b"PING"))
        return ping.answered

    def detach(self) -> None:
        """Forget a lost connection, and end all waits for its replies."""
        self.connection.link = None
        self._state.clear()
        self.refusals.clear()
        for request in self._requests:
            if isinstance(request, _Ping):
                request.resolve()
        self._requests.clear()
        self._changed.clear()
        for channel in list(self._waiters):
            self._wake(channel)

    def change(self, channel: bytes) -> None:
        """Send a change of the wanted channels at the end of the turn."""
        if not self.connection.connected:
            return
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._send_changes)
        self._changed[channel] = None

    def listens(self, channel: bytes) -> bool:
        """Return whether a subscription is confirmed and not ended."""
        return self._state.get(channel, _UNKNOWN) is None

    async def wait_listening(self, channel: bytes) -> str | None:
        """Wait until a subscription is confirmed or refused, the connection is lost, or the channel is not wanted.

        A refused subscription is tried again, as the ACL may have changed.

        Returns:
            The error, if it was refused.
        """
        if channel in self.refusals and channel not in self._state and self.connection.connected:
            self._send([channel], subscribes=True)
        if not self.listens(channel) and (channel in self._changed or self._state.get(channel)):
            await self._wait_for_answer(channel)
        return self.refusals.get(channel)

    async def _wait_for_answer(self, channel: bytes) -> None:
        waiter = self._waiter(channel)
        try:
            await waiter
        finally:
            waiters = self._waiters.get(channel, [])
            if waiter in waiters:  # the wait was cancelled
                waiters.remove(waiter)
                if not waiters:
                    del self._waiters[channel]

    def take(self, reply: Any) -> None:
        """Handle a message, or the reply to the oldest request."""
        kind = channel = message = None
        if type(reply) is list and len(reply) == 3:
            kind, channel, message = reply
        if kind == b"message" and type(channel) is bytes and type(message) is bytes:
            receive = self._receiver(channel)
            if receive is not None:
                receive(message)
            elif channel == self._probe:
                self._events.echoed(message)
        elif not self._requests:
            self.connection.drop(f"it sent an unexpected reply: {str(reply)[:100]}")
        elif isinstance(request := self._requests[0], _Ping):
            self._requests.popleft()
            request.resolve()
        elif isinstance(reply, hiredis.ReplyError):
            self._refused(self._requests.popleft(), str(reply))
        elif type(channel) is bytes:
            self._confirmed(channel)
        else:
            self.connection.drop(f"it sent an unexpected reply: {str(reply)[:100]}")

    def _send_changes(self) -> None:
        """Subscribe to channels that are wanted now, and unsubscribe from channels that are not wanted any more."""
        changed, self._changed = self._changed, {}
        if not self.connection.connected:
            return
        wanted, state = self._wanted, self._state
        leave = [channel for channel in changed if channel in state and channel not in wanted]
        join = [channel for channel in changed if channel in wanted and channel not in state]
        for channel in changed:
            if channel not in wanted:
                self._clear_refusal(channel)
        self._send(leave, subscribes=False)
        self._send(join, subscribes=True)
        for channel in self._waiters.keys() & changed.keys():
            if channel not in wanted or self.listens(channel):
                self._wake(channel)

    def _send(self, channels: list[bytes], *, subscribes: bool) -> None:
        for some in _batches(channels):
            request = _Request(some, subscribes=subscribes)
            self._requests.append(request)
            for channel in some:
                if subscribes:
                    self._state[channel] = request
                else:
                    del self._state[channel]
            assert self.connection.link is not None  # callers have checked
            self.connection.link.send(command(b"SUBSCRIBE" if subscribes else b"UNSUBSCRIBE", *some))

    def _confirmed(self, channel: bytes) -> None:
        request = self._requests[0]
        request.left -= 1
        if not request.left:
            self._requests.popleft()
        # If the channel was unsubscribed and subscribed to again meanwhile, the reply to the later request counts.
        if request.subscribes and self._state.get(channel) is request:
            self._state[channel] = None
            self._clear_refusal(channel)
            self._wake(channel)

    def _clear_refusal(self, channel: bytes) -> None:
        """Forget the refusal of a channel."""
        if self.refusals.pop(channel, None) is not None and not self.refusals:
            self._events.all_subscribed()

    def _refused(self, request: _Request, error: str) -> None:
        if not request.subscribes:
            return  # its messages will be ignored
        channels = [channel for channel in request.channels if self._state.get(channel) is request]
        if len(request.channels) == 1:
            for channel in channels:
                del self._state[channel]
                if channel in self._wanted:
                    self.refusals[channel] = error
                self._wake(channel)
                self._events.subscription_refused(channel, error)
            return
        # Redis refuses all channels of a command if it refuses one.
        for channel in channels:
            self._send([channel], subscribes=True)
        if channels and not self.listens(self._probe):
            self._send([self._probe], subscribes=True)  # so that it stays the last one

    def _waiter(self, channel: bytes) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(channel, []).append(waiter)
        return waiter

    def _wake(self, channel: bytes) -> None:
        for waiter in self._waiters.pop(channel, ()):
            if not waiter.done():
                waiter.set_result(None)


def _batches(channels: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(channels), MAX_CHANNELS_PER_COMMAND):
        yield channels[start : start + MAX_CHANNELS_PER_COMMAND]
