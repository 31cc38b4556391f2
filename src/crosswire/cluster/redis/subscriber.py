"""The connection to a Redis that listens, and what it is subscribed to."""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Callable, Iterator, Mapping, Set
from typing import Any, Protocol

import hiredis

from crosswire.cluster.redis.commands import command
from crosswire.cluster.redis.link import Line, Link, Lost

MOST_AT_ONCE = 1000
"""Channels in one command: many more would keep a Redis busy for too long."""


class SubscriberEvents(Protocol):
    """Whom a subscriber tells."""

    def echoed(self, body: bytes) -> None:
        """A message came on the probe channel."""

    def subscription_refused(self, channel: bytes, error: str) -> None:
        """The Redis does not let us listen on a channel."""

    def all_subscribed(self) -> None:
        """No channel that is wanted is refused any more."""


class _Request:
    """A command that was sent; its answer is one reply for every channel, or one error for all of them."""

    __slots__ = ("channels", "left", "subscribes")

    def __init__(self, channels: list[bytes], *, subscribes: bool) -> None:
        self.channels = channels
        self.left = len(channels)
        self.subscribes = subscribes


class _Mark(_Request):
    """A command whose answer, whatever it is, only tells that all before it has come."""

    __slots__ = ("passed",)

    def __init__(self) -> None:
        super().__init__([], subscribes=False)
        self.passed: asyncio.Future[None] = asyncio.get_running_loop().create_future()

    def pass_by(self) -> None:
        """It has come."""
        if not self.passed.done():
            self.passed.set_result(None)


_UNKNOWN = object()


class Subscriber:
    """Listens on one Redis, over one connection after the other.

    Which channels are wanted is written down elsewhere, and this only told where that changed: so whatever was asked
    for in a turn, in any order, the difference to what was sent before is sent, and nothing else.

    Args:
        wanted: the channels; others change it.
        receivers: who takes the messages of a channel; others change it.
        probe: a channel of this subscriber's own. It is subscribed to after all others.
        owner: told what happens.

    Attributes:
        line: the connection.
        refusals: the channels that are wanted and that the Redis does not let us listen on, and what it said.
    """

    def __init__(
        self,
        wanted: Set[bytes],
        receivers: Mapping[bytes, Callable[[bytes], None]],
        probe: bytes,
        owner: SubscriberEvents,
    ) -> None:
        self._wanted = wanted
        self._receiver = receivers.get
        self._probe = probe
        self._owner = owner
        self.line = Line()
        self.refusals: dict[bytes, str] = {}
        self._changed: dict[bytes, None] = {}
        # Channel -> the request that subscribes to it, or None once that was answered. Those are here that the Redis
        # will be subscribed to when it has done all that was sent.
        self._state: dict[bytes, _Request | None] = {}
        self._requests: deque[_Request] = deque()  # answered in this order
        self._waiters: dict[bytes, list[asyncio.Future[None]]] = {}

    def attach(self, link: Link, lost: Lost) -> asyncio.Future[None]:
        """Listen over a new connection: subscribe to everything, and to the probe channel last.

        Returns:
            What is resolved when all that was answered, or the connection is lost.

        Raises:
            Unreachable: it is gone already.
        """
        link.listen(self.take, lost)
        self.line.link = link
        self._send(list(self._wanted), subscribes=True)
        self._send([self._probe], subscribes=True)
        return self._waiter(self._probe)

    def mark(self) -> asyncio.Future[None]:
        """Return what is resolved when all that the Redis has sent by then is here, or the connection is lost."""
        mark = _Mark()
        if self.line.link is None:
            mark.pass_by()
        else:
            self._requests.append(mark)
            self.line.link.send(command(b"PING"))
        return mark.passed

    def detach(self) -> None:
        """Forget the connection, which is lost. Nobody waits for it any more."""
        self.line.link = None
        self._state.clear()
        self.refusals.clear()
        for request in self._requests:
            if isinstance(request, _Mark):
                request.pass_by()
        self._requests.clear()
        self._changed.clear()
        for channel in list(self._waiters):
            self._wake(channel)

    def change(self, channel: bytes) -> None:
        """Note that a channel is wanted now, or not any more."""
        if not self.line.connected:
            return
        if not self._changed:
            asyncio.get_running_loop().call_soon(self._catch_up)
        self._changed[channel] = None

    def listens(self, channel: bytes) -> bool:
        """Whether the Redis has confirmed the subscription, and was not told to end it."""
        return self._state.get(channel, _UNKNOWN) is None

    async def listening(self, channel: bytes) -> str | None:
        """Wait until it has, or never will: until it refuses, the connection is lost or the channel not wanted.

        Returns:
            What it said, if it refused. One that refused before is asked again, as its ACL may be another by now.
        """
        if channel in self.refusals and channel not in self._state and self.line.connected:
            self._send([channel], subscribes=True)
        if not self.listens(channel) and (channel in self._changed or self._state.get(channel)):
            await self._answered(channel)
        return self.refusals.get(channel)

    async def _answered(self, channel: bytes) -> None:
        waiter = self._waiter(channel)
        try:
            await waiter
        finally:
            waiters = self._waiters.get(channel, [])
            if waiter in waiters:  # it was cancelled
                waiters.remove(waiter)
                if not waiters:
                    del self._waiters[channel]

    def take(self, reply: Any) -> None:
        """Take a message, or the next answer."""
        if type(reply) is list and reply[0] == b"message":
            _, channel, message = reply
            receive = self._receiver(channel)
            if receive is not None:
                receive(message)
            elif channel == self._probe:
                self._owner.echoed(message)
        elif not self._requests:
            self.line.drop(f"it answered what it was not asked: {str(reply)[:100]}")
        elif isinstance(request := self._requests[0], _Mark):
            self._requests.popleft()
            request.pass_by()
        elif isinstance(reply, hiredis.ReplyError):
            self._refused(self._requests.popleft(), str(reply))
        else:
            self._confirmed(reply[1])

    def _catch_up(self) -> None:
        """Send the difference."""
        changed, self._changed = self._changed, {}
        if not self.line.connected:
            return
        wanted, state = self._wanted, self._state
        leave = [channel for channel in changed if channel in state and channel not in wanted]
        join = [channel for channel in changed if channel in wanted and channel not in state]
        for channel in changed:
            if channel not in wanted:
                self._admit(channel)
        self._send(leave, subscribes=False)
        self._send(join, subscribes=True)
        for channel in self._waiters.keys() & changed.keys():
            if channel not in wanted or self.listens(channel):
                self._wake(channel)

    def _send(self, channels: list[bytes], *, subscribes: bool) -> None:
        for some in _portions(channels):
            request = _Request(some, subscribes=subscribes)
            self._requests.append(request)
            for channel in some:
                if subscribes:
                    self._state[channel] = request
                else:
                    del self._state[channel]
            assert self.line.link is not None  # whoever calls has looked
            self.line.link.send(command(b"SUBSCRIBE" if subscribes else b"UNSUBSCRIBE", *some))

    def _confirmed(self, channel: bytes) -> None:
        request = self._requests[0]
        request.left -= 1
        if not request.left:
            self._requests.popleft()
        # If it is another request's, the channel was left meanwhile, or joined again: then that one's answer counts.
        if request.subscribes and self._state.get(channel) is request:
            self._state[channel] = None
            self._admit(channel)
            self._wake(channel)

    def _admit(self, channel: bytes) -> None:
        """Note that a channel is not refused any more."""
        if self.refusals.pop(channel, None) is not None and not self.refusals:
            self._owner.all_subscribed()

    def _refused(self, request: _Request, error: str) -> None:
        if not request.subscribes:
            return  # it goes on to send what nobody listens to
        channels = [channel for channel in request.channels if self._state.get(channel) is request]
        if len(request.channels) == 1:
            for channel in channels:
                del self._state[channel]
                if channel in self._wanted:
                    self.refusals[channel] = error
                self._wake(channel)
                self._owner.subscription_refused(channel, error)
            return
        # One of them spoiled it for all.
        for channel in channels:
            self._send([channel], subscribes=True)
        if channels and not self.listens(self._probe):
            self._send([self._probe], subscribes=True)  # so that it stays the last of all

    def _waiter(self, channel: bytes) -> asyncio.Future[None]:
        waiter: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiters.setdefault(channel, []).append(waiter)
        return waiter

    def _wake(self, channel: bytes) -> None:
        for waiter in self._waiters.pop(channel, ()):
            if not waiter.done():
                waiter.set_result(None)


def _portions(channels: list[bytes]) -> Iterator[list[bytes]]:
    for start in range(0, len(channels), MOST_AT_ONCE):
        yield channels[start : start + MOST_AT_ONCE]
