"""A Redis at the other end of a link that answers when the test says so."""

from __future__ import annotations

import asyncio
from collections import deque

import hiredis

from crosswire.cluster.redis.link import Link


class FakeRedis(asyncio.Transport):
    """Attributes:
    link: the connection to it.
    writes: how often something was written.
    asked: commands that were not answered yet.
    channels: subscribed to.
    forbidden: channels that may not be subscribed to.
    """

    def __init__(self, link: Link | None = None) -> None:
        super().__init__()
        self.link = link or Link()
        self.writes = 0
        self.asked: deque[list[bytes]] = deque()
        self.channels: set[bytes] = set()
        self.forbidden: set[bytes] = set()
        self._reader = hiredis.Reader()
        self.link.connection_made(self)

    def get_extra_info(self, name: str, default: object = None) -> object:
        return _NoSocket() if name == "socket" else default

    def write(self, data: bytes | bytearray | memoryview) -> None:
        self.writes += 1
        self._reader.feed(bytes(data))
        while (command := self._reader.gets()) is not False:
            self.asked.append(command)

    def abort(self) -> None:
        asyncio.get_running_loop().call_soon(self.link.connection_lost, None)

    def say(self, data: bytes) -> None:
        self.link.data_received(data)

    def message(self, channel: bytes, body: bytes) -> None:
        self.say(_array(b"message", channel, body))

    def answer(self, commands: int | None = None) -> None:
        """Answer so many commands, or all."""
        for _ in range(len(self.asked) if commands is None else commands):
            name, *arguments = self.asked.popleft()
            if name == b"SUBSCRIBE" and self.forbidden & set(arguments):
                self.say(b"-NOPERM No permissions to access a channel\r\n")
            elif name in (b"SUBSCRIBE", b"UNSUBSCRIBE"):
                for channel in arguments:
                    (self.channels.add if name == b"SUBSCRIBE" else self.channels.discard)(channel)
                    self.say(_array(name.lower(), channel, number=len(self.channels)))
            else:
                self.say(b":1\r\n")


class _NoSocket:
    family = None


def _array(*parts: bytes, number: int | None = None) -> bytes:
    items = [b"$%d\r\n%b\r\n" % (len(part), part) for part in parts]
    if number is not None:
        items.append(b":%d\r\n" % number)
    return b"*%d\r\n%b" % (len(items), b"".join(items))
