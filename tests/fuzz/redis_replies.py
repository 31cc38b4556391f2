"""Replies and pushes of a Redis that does not keep to its protocol, into everything that reads them.

The first byte of an input says what: 0 the subscriber, 1 the publisher, 2 the login, 3 the answer of a sentinel. The
second is the size of the pieces in which the rest arrives; 0 for one piece.
"""

from __future__ import annotations

import asyncio
import re
import socket
from collections.abc import Mapping
from typing import Any

from crosswire.cluster.redis import sentinel
from crosswire.cluster.redis.address import parse
from crosswire.cluster.redis.dialer import Dialer
from crosswire.cluster.redis.exchange import exchange
from crosswire.cluster.redis.link import Denied, Link, Unreachable
from crosswire.cluster.redis.publisher import Message, PlainPublish, Publisher, RedundantPublish
from crosswire.cluster.redis.subscriber import Subscriber
from crosswire.cluster.send_buffer import Budget
from tests.fuzz.bus_server import new_loop
from tests.fuzz.target import Finding, SteppedLoop

SUBSCRIBER, PUBLISHER, LOGIN, SENTINEL = range(4)
_LONG_ARRAY = re.compile(rb"[*%~>|][^\r]{6}")
CHANNELS = {b"a", b"b", b"c"}
PROBE = b"probe"
_URL = "redis+sentinel://user:secret@10.0.0.1:26379/main/2"


class RedisRepliesTarget:
    """Target of ``cluster/redis/``, from the link upwards."""

    def start(self) -> None:
        """Make an event loop."""
        self._stepped = SteppedLoop(new_loop)
        self._dialer = Dialer(parse(_URL), "fuzzed", 1)

    def run(self, data: bytes) -> None:
        """Let a link receive the replies.

        hiredis makes a list of as many elements as an array announces, so those with millions are left out.
        """
        if _LONG_ARRAY.search(data):
            return
        kind, size, replies = (data[0] % 4, data[1], data[2:]) if len(data) > 1 else (0, 0, b"")
        transport = _FakeTransport()
        self._stepped.run(self._receive(kind, transport, _pieces(replies, size)))
        self._stepped.step(2)
        if self._stepped.tasks:
            raise Finding("a task is left")
        self._stepped.errors.check()

    def stop(self) -> None:
        """Close the event loop."""
        self._stepped.close()

    async def _receive(self, kind: int, transport: _FakeTransport, pieces: list[bytes]) -> None:
        link = Link()
        link.connection_made(transport)
        user = asyncio.ensure_future(_USERS[kind](self._dialer, link))
        await asyncio.sleep(0)
        await asyncio.sleep(0)
        try:
            for piece in pieces:
                if transport.aborted:
                    break
                link.data_received(piece)
            await asyncio.sleep(0)
        finally:
            link.connection_lost(None)
            await user


def _pieces(data: bytes, size: int) -> list[bytes]:
    size = size or len(data) or 1
    return [data[start : start + size] for start in range(0, len(data), size)]


class _FakeTransport(asyncio.Transport):
    """Transport that sends nothing."""

    aborted = False

    def write(self, data: Any) -> None:
        """Discard commands."""

    def abort(self) -> None:
        self.aborted = True

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        return _UnixSocket() if name == "socket" else default


class _UnixSocket:
    family = socket.AF_UNIX


class _Recorder:
    """Callbacks of a subscriber and of a publisher."""

    def echoed(self, body: bytes) -> None:
        _require_bytes(body)

    def subscription_refused(self, channel: bytes, error: str) -> None:
        _require_bytes(channel)

    def all_subscribed(self) -> None: ...

    def publish_refused(self, message: Message, error: str) -> None: ...


def _require_bytes(body: object) -> None:
    if type(body) is not bytes:
        raise Finding(f"no bytes were received: {body!r}")


async def _subscribe(_dialer: Dialer, link: Link) -> None:
    wanted, receivers = set(CHANNELS), dict.fromkeys(CHANNELS, _require_bytes)
    subscriber = Subscriber(wanted, _typed(receivers), PROBE, _Recorder())
    confirmed = subscriber.attach(link, lambda _reason: subscriber.detach())
    subscriber.ping()
    wanted.discard(b"a")
    subscriber.change(b"a")
    await confirmed
    await link.closed()


def _typed(receivers: Mapping[bytes, Any]) -> Mapping[bytes, Any]:
    return receivers


async def _publish(_dialer: Dialer, link: Link) -> None:
    budget = Budget(1 << 20)
    publisher = Publisher(budget, _Recorder())

    def lost(_reason: str) -> None:
        publisher.detach()

    publisher.attach(link, lost)
    for _ in range(3):
        publisher.publish(b"PUBLISH")
        publisher.publish_as(PlainPublish(b"PLAIN"))
        publisher.publish_as(RedundantPublish(b"TWICE", 2, again=True))
    await publisher.ask(b"PING")
    await link.closed()


async def _log_in(dialer: Dialer, link: Link) -> None:
    try:
        await dialer._log_in(link, "sub")
    except (Unreachable, Denied):
        return  # what a Redis that refuses is for


async def _ask_sentinel(dialer: Dialer, link: Link) -> None:
    assert dialer.address.service is not None
    replies, reason = await exchange(link, sentinel._commands(dialer.address.service))
    try:
        sentinel._master(replies, reason)
    except (Unreachable, sentinel._MasterUnknown):
        return


_USERS = (_subscribe, _publish, _log_in, _ask_sentinel)
