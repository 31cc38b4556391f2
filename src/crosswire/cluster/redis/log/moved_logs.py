"""Removes from a Redis the logs of rooms that it does not hold any more, as there are other Redis from now on."""

from __future__ import annotations

import asyncio
import re
from collections.abc import Callable
from typing import Any

from crosswire.cluster.redis.commands import command
from crosswire.errors import BusUnavailable

KEYS_AT_ONCE = 100
"""Keys that a Redis looks at for one SCAN."""

Ask = Callable[[bytes], asyncio.Future[Any]]
"""Sends a command, and returns its reply; None if the connection is lost before."""


async def remove_moved_logs(ask: Ask, prefix: bytes, is_held: Callable[[bytes], bool]) -> None:
    """Remove the logs that a Redis does not hold any more (SCAN, UNLINK).

    A room may come back to this Redis. Its old log has nothing of what was said meanwhile, and would pass for the
    present one.

    Args:
        ask: sends commands to the Redis.
        prefix: the beginning of the names of all keys and channels.
        is_held: returns whether the Redis holds the log of the room that has a channel.

    Raises:
        BusUnavailable: the Redis can't be reached, or refuses a command.
    """
    pattern = re.sub(rb"([*?\[\]\\])", rb"\\\1", prefix) + b"m{*"
    cursor = b"0"
    while True:
        cursor, keys = await _reply(ask, b"SCAN", cursor, b"MATCH", pattern, b"COUNT", b"%d" % KEYS_AT_ONCE)
        rooms = [key[len(prefix) + 1 :] for key in keys]
        moved = [room for room in rooms if not is_held(_channel(prefix, room))]
        if moved:
            await _reply(ask, b"UNLINK", *(prefix + kind + room for room in moved for kind in (b"m", b"l")))
        if cursor == b"0":
            return


def _channel(prefix: bytes, room: bytes) -> bytes:
    """Return the channel of a room, from the part of its keys in braces."""
    return prefix + b"r:" + room[1:-1].replace(b"%7D", b"}").replace(b"%25", b"%")


async def _reply(ask: Ask, *parts: bytes) -> Any:
    reply = await ask(command(*parts))
    if reply is None or isinstance(reply, Exception):
        raise BusUnavailable(f"it does not carry out {parts[0].decode()}: {reply or 'the connection was lost'}")
    return reply
