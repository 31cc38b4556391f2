"""Records what is published in a Redis."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import hiredis

from tests.support.aio import wait_until


@asynccontextmanager
async def record_channels(port: int, pattern: str) -> AsyncIterator[list[tuple[str, bytes]]]:
    """Record the messages on the channels of a pattern, with a subscription of its own.

    Args:
        port: of the Redis.
        pattern: as PSUBSCRIBE takes it.
    """
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    heard: list[tuple[str, bytes]] = []
    listening = asyncio.Event()

    async def listen() -> None:
        replies = hiredis.Reader()
        while data := await reader.read(1 << 16):
            replies.feed(data)
            while (reply := replies.gets()) is not False:
                listening.set()
                if reply[0] == b"pmessage":
                    heard.append((reply[2].decode(), reply[3]))

    task = asyncio.create_task(listen())
    writer.write(hiredis.pack_command(("PSUBSCRIBE", pattern)))  # type: ignore[arg-type]
    try:
        await wait_until(listening.is_set)
        yield heard
    finally:
        writer.close()
        await task
        await writer.wait_closed()
