"""Clients that are in the room of all, and keep what they hear."""

from __future__ import annotations

import asyncio
import json
from collections import Counter

from crosswire.errors import NotConnected
from crosswire.testing.socket_peer import SocketPeer, connect
from crosswire.types import Close
from tests.support.attacks import event

_TIMEOUT = 15


class Listener:
    """A client in the room of all; made by :func:`listen`.

    Attributes:
        heard: how often each message came, by server and number.
        out_of_order: messages that came behind a later one of the same server.
        close: with which the connection has ended, or None.
        reader: ends with the connection.
    """

    def __init__(self, peer: SocketPeer) -> None:
        self.heard: Counter[tuple[str, int]] = Counter()
        self.out_of_order = 0
        self.close: Close | None = None
        self.joined = asyncio.Event()
        self._peer = peer
        self._last: dict[str, int] = {}
        self.reader = asyncio.create_task(self._read())

    @property
    def twice(self) -> int:
        """Number of messages that came more than once."""
        return sum(count > 1 for count in self.heard.values())

    async def leave(self) -> None:
        """Drop the connection."""
        self._peer.abort()
        await self.reader

    async def _read(self) -> None:
        try:
            while True:
                received = await self._peer.receive(timeout=3600)
                if isinstance(received, Close):
                    self.close = received
                elif isinstance(received, str):
                    self._take(json.loads(received))
        except NotConnected:
            return

    def _take(self, message: dict[str, object]) -> None:
        if message.get("event") != "n":
            self.joined.set()
            return
        payload = message["payload"]
        assert isinstance(payload, list)
        server, number = payload
        self.heard[server, number] += 1
        self.out_of_order += number < self._last.get(server, 0)
        self._last[server] = max(number, self._last.get(server, 0))


async def listen(port: int, user: str) -> Listener:
    """Connect a user, and join the room of all."""
    peer = await connect(("127.0.0.1", port), f"/?id={user}")
    assert isinstance(peer, SocketPeer), peer
    listener = Listener(peer)
    peer.write(event("join", "all", "j"))
    async with asyncio.timeout(_TIMEOUT):
        await listener.joined.wait()
    return listener
