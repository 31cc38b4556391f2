"""The reads of rooms' logs that a Redis is asked for, by who asks and by room."""

from __future__ import annotations

import asyncio
import re
from collections import Counter

from crosswire.cluster.redis.log.scripts import READ

_READ = re.compile(rb'\+[\d.]+ \[\d+ (\S+)\] "EVALSHA" "%b" "3" "([^"]*)"' % READ.name, re.IGNORECASE)


class LogReads:
    """Counts the reads from its start on, by the MONITOR of Redis.

    Attributes:
        counts: by the address of the connection, of which a node has one for logs, and the key of the log.
    """

    def __init__(self, writer: asyncio.StreamWriter, reader: asyncio.StreamReader) -> None:
        self.counts: Counter[tuple[bytes, bytes]] = Counter()
        self._writer = writer
        self._task = asyncio.create_task(self._read(reader))

    @classmethod
    async def start(cls, port: int) -> LogReads:
        """Begin to count the reads of the Redis on a port of this machine."""
        reader, writer = await asyncio.open_connection("127.0.0.1", port)
        writer.write(b"MONITOR\r\n")
        await reader.readline()  # OK
        return cls(writer, reader)

    async def stop(self) -> None:
        """Count no more."""
        self._writer.close()
        await self._task

    async def _read(self, reader: asyncio.StreamReader) -> None:
        async for line in reader:
            if (found := _READ.match(line)) is not None:
                self.counts[found[1], found[2]] += 1
